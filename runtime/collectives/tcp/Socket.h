// SPDX-License-Identifier: Apache-2.0
//
// A connected socket: whole messages, or a failure that names the other end.
#ifndef VCC_RUNTIME_COLLECTIVES_TCP_SOCKET_H
#define VCC_RUNTIME_COLLECTIVES_TCP_SOCKET_H

#include <cstddef>
#include <string>
#include <utility>

namespace vcc::runtime {

class Socket {
public:
  Socket() = default;
  explicit Socket(int descriptor) : Descriptor(descriptor) {}
  Socket(Socket &&other) noexcept : Descriptor(std::exchange(other.Descriptor, -1)) {}
  Socket &operator=(Socket &&other) noexcept {
    std::swap(Descriptor, other.Descriptor);
    return *this;
  }
  ~Socket();

  explicit operator bool() const { return Descriptor >= 0; }
  int descriptor() const { return Descriptor; }
  /// Whether all bytes went or came; false where the other end is gone.
  bool send(const void *data, size_t bytes) const;
  bool receive(void *data, size_t bytes) const;
  /// No more waiting than this for what is received; 0: for ever.
  void limit(int seconds) const;

  /// One that waits for connections. Throws Failure where the port is taken.
  static Socket listening(const std::string &host, int port);
  Socket accepted() const;
  /// Whether a connection comes within this time.
  bool waits(int milliseconds) const;
  /// Empty where nobody listens there now, and why in `reason`.
  static Socket connected(const std::string &host, int port, std::string &reason);

private:
  int Descriptor = -1;
};

} // namespace vcc::runtime
#endif
