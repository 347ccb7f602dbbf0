// SPDX-License-Identifier: Apache-2.0
//
// Whether two functions of C take and give alike: parameters by number, size and kind.
#ifndef VCC_TESTS_RUNTIME_CUDA_SAMESIGNATURE_H
#define VCC_TESTS_RUNTIME_CUDA_SAMESIGNATURE_H

#include <type_traits>

namespace vcc::runtime::cuda {

/// Handles are pointers on both sides; whose, the types do not say.
template <typename A, typename B>
constexpr bool alike() {
  if constexpr (std::is_pointer_v<A> || std::is_pointer_v<B>)
    return std::is_pointer_v<A> && std::is_pointer_v<B>;
  else
    return sizeof(A) == sizeof(B) && std::is_floating_point_v<A> == std::is_floating_point_v<B> &&
           (std::is_enum_v<A> || std::is_enum_v<B> || std::is_signed_v<A> == std::is_signed_v<B>);
}

template <typename F, typename G>
struct Same;
template <typename R, typename... A, typename S, typename... B>
struct Same<R (*)(A...), S (*)(B...)> {
  static constexpr bool compare() {
    if constexpr (sizeof...(A) != sizeof...(B))
      return false;
    else
      return sizeof(R) == sizeof(S) && (alike<A, B>() && ...);
  }
  static constexpr bool value = compare();
};

} // namespace vcc::runtime::cuda
#endif
