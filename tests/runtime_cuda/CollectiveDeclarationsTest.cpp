// SPDX-License-Identifier: Apache-2.0
//
// The runtime's own declarations of NCCL beside NVIDIA's header, where one is installed. What is wrong does not compile.
#include "runtime/collectives/nccl/CollectiveApi.h"
#include "tests/runtime_cuda/SameSignature.h"

#include <gtest/gtest.h>
#include <nccl.h>

namespace ours = vcc::runtime::cuda;

namespace {

#define CHECK(MEMBER, SYMBOL, PARAMETERS) static_assert(ours::Same<decltype(ours::CollectiveApi::MEMBER), decltype(&SYMBOL)>::value, #SYMBOL);
VCC_COLLECTIVE_CALLS(CHECK)
CHECK(version, ncclGetVersion, )
CHECK(errorText, ncclGetErrorString, )
CHECK(lastError, ncclGetLastError, )
#undef CHECK
#define EQUAL(OURS, THEIRS) static_assert(int(ours::OURS) == int(THEIRS), #THEIRS);
EQUAL(CollectiveSuccess, ncclSuccess)
EQUAL(CollectiveCudaError, ncclUnhandledCudaError)
EQUAL(CollectiveSystemError, ncclSystemError)
EQUAL(CollectiveInternalError, ncclInternalError)
EQUAL(CollectiveInvalidArgument, ncclInvalidArgument)
EQUAL(CollectiveInvalidUsage, ncclInvalidUsage)
EQUAL(CollectiveRemoteError, ncclRemoteError)
EQUAL(CollectiveInProgress, ncclInProgress)
EQUAL(CollectiveU8, ncclUint8)
EQUAL(CollectiveF32, ncclFloat32)
EQUAL(CollectiveSummed, ncclSum)
static_assert(sizeof(ours::CollectiveId) == sizeof(ncclUniqueId) && alignof(ours::CollectiveId) == alignof(ncclUniqueId));

TEST(CollectiveDeclarations, AreThoseOfTheHeader) { SUCCEED() << "or this would not have been compiled"; }

} // namespace
