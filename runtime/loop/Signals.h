// SPDX-License-Identifier: Apache-2.0
//
// SIGTERM and SIGINT ask the run to save and stop after the step; a second one ends it at once.
#ifndef VCC_RUNTIME_LOOP_SIGNALS_H
#define VCC_RUNTIME_LOOP_SIGNALS_H

namespace vcc::runtime {

void listenForSignals();
/// The signal that has come, 0 for none.
int signalReceived();

} // namespace vcc::runtime
#endif
