// SPDX-License-Identifier: Apache-2.0
//
// Two handlers and a flag.
#include "runtime/loop/Signals.h"

#include <csignal>

namespace vcc::runtime {

static volatile std::sig_atomic_t Received = 0;

static void receive(int signal) {
  Received = signal;
  std::signal(signal, SIG_DFL);
}

void listenForSignals() {
  Received = 0;
  std::signal(SIGTERM, receive);
  std::signal(SIGINT, receive);
}

int signalReceived() { return Received; }

} // namespace vcc::runtime
