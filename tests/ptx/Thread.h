// SPDX-License-Identifier: Apache-2.0
//
// What C++ made of PTX is written with: a thread of a block is a function or, where it meets others at barriers and shuffles, a coroutine;
// memory is the host's, and every access is checked as a GPU would and somewhat more. Instructions mean what NVIDIA's "Parallel Thread
// Execution ISA" 8.0 says. Included by that C++ and by whoever runs it.
#ifndef VCC_TESTS_PTX_THREAD_H
#define VCC_TESTS_PTX_THREAD_H

#include <bit>
#include <cmath>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace vcc::ptx {

/// What stops a kernel: a result of the driver's, and why.
struct Fault {
  enum : int { Stray = 700, Misaligned = 716, Failed = 719 };
  int result;
  std::string why;
};

struct Span {
  uint64_t begin, end;
};

/// What the threads of a block see of one another and of memory.
struct Block {
  struct Lane {
    enum { Ready, AtBarrier, AtShuffle, Ended } state = Ready;
    uint32_t barrier = 0, partner = 0, value = 0;
    std::coroutine_handle<> handle = {};
  };
  uint32_t number = 0;            ///< %ctaid.x
  uint32_t blocks = 1, threads = 1; ///< %nctaid.x, %ntid.x
  const uint64_t *parameters = nullptr;
  const std::vector<Span> *memory = nullptr; ///< what was allocated
  Span shared = {0, 0};
  std::vector<Lane> lanes = {};
};

/// A thread that can wait.
class Thread {
public:
  struct promise_type {
    Block::Lane *lane;
    promise_type(Block &block, uint32_t thread) : lane(&block.lanes[thread]) {}
    Thread get_return_object() { return Thread(lane->handle = std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept {
      lane->state = Block::Lane::Ended;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  explicit Thread(std::coroutine_handle<> handle) : Handle(handle) {}
  Thread(Thread &&other) noexcept : Handle(std::exchange(other.Handle, nullptr)) {}
  ~Thread() {
    if (Handle)
      Handle.destroy();
  }

private:
  std::coroutine_handle<> Handle;
};

struct Barrier {
  Block::Lane &lane;
  uint32_t number;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<>) const { lane.state = Block::Lane::AtBarrier, lane.barrier = number; }
  void await_resume() const {}
};

/// Everybody's value for that of the lane whose number differs in these bits.
struct Butterfly {
  Block::Lane &lane;
  uint32_t value, bits;
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<>) const { lane.state = Block::Lane::AtShuffle, lane.value = value, lane.partner = bits; }
  uint32_t await_resume() const { return lane.value; }
};

/// A kernel as it was translated; one of the two is there.
struct Entry {
  const char *name;
  uint32_t words, threads, sharedBytes; // threads: the most of a block
  void (*straight)(Block &, uint32_t thread);
  Thread (*waiting)(Block &, uint32_t thread);
};

/// A table that a module begins with.
struct Table {
  const unsigned char *begin;
  size_t bytes;
};

// Registers hold bits: an operand is taken as the instruction's type.
template <typename T, typename R> T as(R value) {
  if constexpr (sizeof(T) == sizeof(R))
    return std::bit_cast<T>(value);
  else {
    static_assert(std::is_integral_v<R> && std::is_integral_v<T>);
    return T(value);
  }
}
/// A result in a wider register is extended as its own type is.
template <typename R, typename T> void put(R &to, T value) {
  if constexpr (sizeof(T) == sizeof(R))
    to = std::bit_cast<R>(value);
  else {
    static_assert(std::is_integral_v<R> && std::is_integral_v<T> && sizeof(T) < sizeof(R));
    to = R(std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>(value));
  }
}

// Not inlined: kernels are compiled while a test waits.
[[gnu::noinline]] inline void checkAligned(uint64_t address, size_t bytes) {
  if (address % bytes)
    throw Fault{Fault::Misaligned, "an access of " + std::to_string(bytes) + " bytes at " + std::to_string(address)};
}
[[gnu::noinline]] inline char *global(const Block &block, uint64_t address, size_t bytes) {
  checkAligned(address, bytes);
  for (const Span &span : *block.memory)
    if (address >= span.begin && address + bytes <= span.end)
      return reinterpret_cast<char *>(address);
  throw Fault{Fault::Stray, std::to_string(bytes) + " bytes at " + std::to_string(address) + ", where nothing was allocated"};
}
[[gnu::noinline]] inline char *shared(const Block &block, uint64_t address, size_t bytes) {
  checkAligned(address, bytes);
  if (address < block.shared.begin || address + bytes > block.shared.end)
    throw Fault{Fault::Stray, std::to_string(bytes) + " bytes of a block's memory beyond its end"};
  return reinterpret_cast<char *>(address);
}
template <typename T> T load(const char *from, size_t index) {
  T value;
  std::memcpy(&value, from + index * sizeof(T), sizeof(T));
  return value;
}
template <typename T> void store(char *to, size_t index, T value) { std::memcpy(to + index * sizeof(T), &value, sizeof(T)); }

// Shifts by more than there is leave nothing, or the sign.
template <std::unsigned_integral T> T shiftLeft(T value, uint32_t by) { return by < 8 * sizeof(T) ? T(value << by) : T(0); }
template <std::integral T> T shiftRight(T value, uint32_t by) {
  return T(value >> (by < 8 * sizeof(T) ? by : 8 * sizeof(T) - 1) >> (std::is_unsigned_v<T> && by >= 8 * sizeof(T)));
}
template <std::unsigned_integral T> T insertBits(T bits, T into, uint32_t at, uint32_t count) {
  T mask = T(shiftLeft(T(count < 8 * sizeof(T) ? shiftLeft(T(1), count) - 1 : ~T(0)), at));
  return T((into & ~mask) | (shiftLeft(bits, at) & mask));
}
template <std::unsigned_integral T> T extractBits(T from, uint32_t at, uint32_t count) {
  return T(shiftRight(from, at) & (count < 8 * sizeof(T) ? T(shiftLeft(T(1), count) - 1) : T(~T(0))));
}
template <std::integral T> T highHalf(T a, T b) {
  using Wide = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
  return T(Wide(a) * Wide(b) >> 8 * sizeof(T));
}
/// What a division by zero gives is not said; it does not trap.
template <std::integral T> T quotient(T a, T b) {
  if (b == 0)
    return T(~T(0));
  return std::is_signed_v<T> && b == T(-1) ? T(0) - a : T(a / b);
}
template <std::integral T> T remainder(T a, T b) {
  if (b == 0)
    return a;
  return std::is_signed_v<T> && b == T(-1) ? T(0) : T(a % b);
}
/// Of a number and none the number; of two zeros the positive is the greater.
template <typename T> T lesser(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b))
      return std::isnan(a) ? b : a;
    if (a == b)
      return std::signbit(a) ? a : b;
  }
  return a < b ? a : b;
}
template <typename T> T greater(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b))
      return std::isnan(a) ? b : a;
    if (a == b)
      return std::signbit(a) ? b : a;
  }
  return a > b ? a : b;
}

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

/// To the nearest, ties to even; what is no number is 0x7fff.
inline Bf16 toBf16(float value) {
  if (std::isnan(value))
    return {0x7fff};
  auto bits = std::bit_cast<uint32_t>(value);
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
inline float toFloat(Bf16 value) { return std::bit_cast<float>(uint32_t(value.bits) << 16); }
inline F16 toF16(float value) { return std::isnan(value) ? F16{0x7fff} : F16{std::bit_cast<uint16_t>(_Float16(value))}; }
inline float toFloat(F16 value) { return float(std::bit_cast<_Float16>(value.bits)); }

// Sums and products of two: f32 holds so much more than twice the bits that rounding twice is rounding once.
inline F16 operator+(F16 a, F16 b) { return toF16(toFloat(a) + toFloat(b)); }
inline F16 operator-(F16 a, F16 b) { return toF16(toFloat(a) - toFloat(b)); }
inline F16 operator*(F16 a, F16 b) { return toF16(toFloat(a) * toFloat(b)); }

struct TwoF16 {
  uint32_t bits;
  F16 low() const { return {uint16_t(bits)}; }
  F16 high() const { return {uint16_t(bits >> 16)}; }
};
inline TwoF16 two(F16 low, F16 high) { return {uint32_t(high.bits) << 16 | low.bits}; }
inline TwoF16 operator+(TwoF16 a, TwoF16 b) { return two(a.low() + b.low(), a.high() + b.high()); }
inline TwoF16 operator-(TwoF16 a, TwoF16 b) { return two(a.low() - b.low(), a.high() - b.high()); }
inline TwoF16 operator*(TwoF16 a, TwoF16 b) { return two(a.low() * b.low(), a.high() * b.high()); }

enum class Rounding { None, Nearest, Zero, Down, Up };

template <std::floating_point T> T rounded(T value, Rounding how) {
  switch (how) {
  case Rounding::Nearest:
    return std::nearbyint(value);
  case Rounding::Zero:
    return std::trunc(value);
  case Rounding::Down:
    return std::floor(value);
  case Rounding::Up:
    return std::ceil(value);
  case Rounding::None:
    return value;
  }
  return value;
}

/// From floating point to whole numbers what does not fit becomes the nearest that does, and what is no number 0.
template <typename D, typename S> D converted(S value, Rounding how) {
  if constexpr (std::is_same_v<D, Bf16>)
    return toBf16(value);
  else if constexpr (std::is_same_v<D, F16>)
    return toF16(value);
  else if constexpr (std::is_same_v<S, Bf16> || std::is_same_v<S, F16>)
    return D(toFloat(value));
  else if constexpr (std::is_floating_point_v<S> && std::is_integral_v<D>) {
    S whole = rounded(value, how);
    if (std::isnan(whole))
      return 0;
    if (whole <= S(std::numeric_limits<D>::min()))
      return std::numeric_limits<D>::min();
    return whole >= S(std::numeric_limits<D>::max()) ? std::numeric_limits<D>::max() : D(whole);
  } else if constexpr (std::is_floating_point_v<S> && std::is_same_v<S, D>)
    return rounded(value, how);
  else
    return D(value); // between whole numbers, from them, and between widths: to the nearest
}

} // namespace vcc::ptx
#endif
