// SPDX-License-Identifier: Apache-2.0
#include "runtime/collectives/tcp/Socket.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vcc::runtime {

Socket::~Socket() {
  if (Descriptor >= 0)
    close(Descriptor);
}

bool Socket::send(const void *data, size_t bytes) const {
  auto *next = static_cast<const char *>(data);
  while (bytes) {
    ssize_t sent = ::send(Descriptor, next, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR)
      continue;
    if (sent <= 0)
      return false;
    next += sent, bytes -= size_t(sent);
  }
  return true;
}

bool Socket::receive(void *data, size_t bytes) const {
  auto *next = static_cast<char *>(data);
  while (bytes) {
    ssize_t received = recv(Descriptor, next, bytes, 0);
    if (received < 0 && errno == EINTR)
      continue;
    if (received <= 0)
      return false;
    next += received, bytes -= size_t(received);
  }
  return true;
}

void Socket::limit(int seconds) const {
  timeval time{seconds, 0};
  setsockopt(Descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

static Socket made(const addrinfo &address) {
  Socket socket(::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC, address.ai_protocol));
  if (socket) {
    int yes = 1;
    setsockopt(socket.descriptor(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(socket.descriptor(), SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  }
  return socket;
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

static Addresses addressesOf(const char *host, int port, int flags, std::string &reason) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC, hints.ai_socktype = SOCK_STREAM, hints.ai_flags = flags | AI_NUMERICSERV;
  if (int code = getaddrinfo(host, std::to_string(port).c_str(), &hints, &found); code != 0)
    reason = gai_strerror(code);
  return {found, freeaddrinfo};
}

Socket Socket::listening(const std::string &host, int port) {
  // Of a name any of this machine's addresses may be meant; what is for this machine alone is not opened to others.
  bool alone = host.rfind("127.", 0) == 0 || host == "localhost" || host == "::1";
  std::string reason = "no address";
  Addresses addresses = addressesOf(alone ? host.c_str() : nullptr, port, alone ? 0 : AI_PASSIVE, reason);
  for (const addrinfo *address = addresses.get(); address; address = address->ai_next) {
    Socket socket = made(*address);
    int yes = 1;
    if (socket)
      setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (socket && bind(socket.descriptor(), address->ai_addr, address->ai_addrlen) == 0 && listen(socket.descriptor(), 1024) == 0)
      return socket;
    reason = std::strerror(errno);
  }
  throw Failure(Exit::Machine, fmt::format("rank 0 cannot wait for the other ranks at port {}: {}", port, reason),
                "set MASTER_PORT, for all ranks, to a port that is free on the machine of rank 0");
}

bool Socket::waits(int milliseconds) const {
  pollfd entry{Descriptor, POLLIN, 0};
  return poll(&entry, 1, milliseconds) > 0;
}

Socket Socket::accepted() const {
  Socket socket(accept4(Descriptor, nullptr, nullptr, SOCK_CLOEXEC));
  if (socket) {
    int yes = 1;
    setsockopt(socket.Descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(socket.Descriptor, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
  }
  return socket;
}

Socket Socket::connected(const std::string &host, int port, std::string &reason) {
  Addresses addresses = addressesOf(host.c_str(), port, 0, reason);
  for (const addrinfo *address = addresses.get(); address; address = address->ai_next) {
    Socket socket = made(*address);
    if (socket && connect(socket.descriptor(), address->ai_addr, address->ai_addrlen) == 0)
      return socket;
    reason = std::strerror(errno);
  }
  return {};
}

} // namespace vcc::runtime
