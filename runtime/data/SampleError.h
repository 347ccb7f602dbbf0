// SPDX-License-Identifier: Apache-2.0
//
// A sample that cannot be used: a record that does not fit its schema, or a media file that is
// missing or broken. Where the dataset declares a limit it is replaced by another sample; elsewhere
// it ends the run like any Failure.
#ifndef VCC_RUNTIME_DATA_SAMPLEERROR_H
#define VCC_RUNTIME_DATA_SAMPLEERROR_H

#include "runtime/program/Failure.h"

namespace vcc::runtime::data {

class SampleError : public Failure {
public:
  explicit SampleError(const std::string &message) : Failure(Exit::Data, message) {}
};

} // namespace vcc::runtime::data
#endif
