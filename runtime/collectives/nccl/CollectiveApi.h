// SPDX-License-Identifier: Apache-2.0
//
// The functions of NCCL that this runtime calls, as a table: filled from libnccl.so.2 in a program, by a stand-in in tests. Own
// declarations of the C interface, which is one for all versions 2.
#ifndef VCC_RUNTIME_COLLECTIVES_NCCL_COLLECTIVEAPI_H
#define VCC_RUNTIME_COLLECTIVES_NCCL_COLLECTIVEAPI_H

#include "runtime/device/cuda/DriverApi.h"

namespace vcc::runtime::cuda {

enum CollectiveResult : int {
  CollectiveSuccess = 0,
  CollectiveCudaError = 1,
  CollectiveSystemError = 2,
  CollectiveInternalError = 3,
  CollectiveInvalidArgument = 4,
  CollectiveInvalidUsage = 5,
  CollectiveRemoteError = 6,
  CollectiveInProgress = 7
};

using Communicator = struct CommunicatorObject *; ///< ncclComm_t

/// ncclUniqueId, which is handed over by value.
struct CollectiveId {
  char bytes[128];
};

enum CollectiveElement : int { CollectiveU8 = 1, CollectiveF32 = 7 }; ///< ncclDataType_t
enum CollectiveSum : int { CollectiveSummed = 0 };                    ///< ncclRedOp_t

#define VCC_COLLECTIVE_CALLS(X)                                                                                                 \
  X(makeId, ncclGetUniqueId, (CollectiveId * id))                                                                               \
  X(join, ncclCommInitRank, (Communicator * joined, int ranks, CollectiveId id, int rank))                                      \
  X(destroy, ncclCommDestroy, (Communicator joined))                                                                            \
  X(abort, ncclCommAbort, (Communicator joined))                                                                                \
  X(fault, ncclCommGetAsyncError, (Communicator joined, CollectiveResult * fault))                                              \
  X(beginGroup, ncclGroupStart, ())                                                                                             \
  X(endGroup, ncclGroupEnd, ())                                                                                                 \
  X(sum, ncclAllReduce,                                                                                                         \
    (const void *from, void *to, size_t count, CollectiveElement type, CollectiveSum how, Communicator joined, Stream stream))  \
  X(gather, ncclAllGather, (const void *from, void *to, size_t count, CollectiveElement type, Communicator joined, Stream stream)) \
  X(sumParts, ncclReduceScatter,                                                                                                \
    (const void *from, void *to, size_t count, CollectiveElement type, CollectiveSum how, Communicator joined, Stream stream))

struct CollectiveApi {
#define VCC_COLLECTIVE_MEMBER(MEMBER, SYMBOL, PARAMETERS) CollectiveResult(*MEMBER) PARAMETERS = nullptr;
  VCC_COLLECTIVE_CALLS(VCC_COLLECTIVE_MEMBER)
#undef VCC_COLLECTIVE_MEMBER
  CollectiveResult (*version)(int *version) = nullptr;           ///< ncclGetVersion
  const char *(*errorText)(CollectiveResult result) = nullptr;   ///< ncclGetErrorString
  const char *(*lastError)(Communicator joined) = nullptr;       ///< ncclGetLastError
};

} // namespace vcc::runtime::cuda
#endif
