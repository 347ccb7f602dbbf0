// SPDX-License-Identifier: Apache-2.0
//
// The CUDA driver's functions that this runtime calls, as a table: filled from libcuda.so.1 in a program, by a recording
// stand-in in tests. The declarations are this project's own, as the driver documents its C interface, so that no CUDA header is
// needed. A function is named by the symbol that has the meaning of CUDA 12 (`_v2` where an older one kept the plain name).
#ifndef VCC_RUNTIME_DEVICE_CUDA_DRIVERAPI_H
#define VCC_RUNTIME_DEVICE_CUDA_DRIVERAPI_H

#include <cstddef>
#include <cstdint>

namespace vcc::runtime::cuda {

/// Of the driver's enumeration of results those that this runtime tells apart.
enum Result : int {
  Success = 0,
  OutOfMemory = 2,
  StubLibrary = 34,
  DeviceUnavailable = 46,
  NoDevice = 100,
  InvalidImage = 200,
  NoBinaryForGpu = 209,
  EccUncorrectable = 214,
  InvalidPtx = 218,
  NvlinkUncorrectable = 220,
  JitCompilerNotFound = 221,
  UnsupportedPtxVersion = 222,
  Contained = 226,
  NotReady = 600,
  IllegalAddress = 700,
  LaunchOutOfResources = 701,
  LaunchTimeout = 702,
  HardwareStackError = 714,
  IllegalInstruction = 715,
  MisalignedAddress = 716,
  InvalidAddressSpace = 717,
  InvalidPc = 718,
  LaunchFailed = 719,
  SystemNotReady = 802,
  SystemDriverMismatch = 803,
  CompatNotSupported = 804,
  Unknown = 999
};

using Ordinal = int;                ///< CUdevice
using Address = unsigned long long; ///< CUdeviceptr
using Context = struct ContextObject *;
using Stream = struct StreamObject *;
using Event = struct EventObject *;
using Module = struct ModuleObject *;
using Kernel = struct KernelObject *; ///< CUfunction
using Graph = struct GraphObject *;
using GraphExec = struct GraphExecObject *;

enum : int { ComputeCapabilityMajor = 75, ComputeCapabilityMinor = 76 }; ///< CUdevice_attribute
enum : unsigned { StreamNonBlocking = 1, EventDisableTiming = 2, EventRecordExternal = 1 };
enum : int { CaptureThreadLocal = 1 };                   ///< CUstreamCaptureMode
enum : int { JitErrorLog = 5, JitErrorLogBytes = 6 };    ///< CUjit_option

/// X(member, symbol, parameters)
#define VCC_DRIVER_CALLS(X)                                                                                                     \
  X(init, cuInit, (unsigned flags))                                                                                             \
  X(driverVersion, cuDriverGetVersion, (int *version))                                                                          \
  X(deviceCount, cuDeviceGetCount, (int *count))                                                                                \
  X(device, cuDeviceGet, (Ordinal * device, int ordinal))                                                                       \
  X(deviceName, cuDeviceGetName, (char *name, int length, Ordinal device))                                                      \
  X(deviceAttribute, cuDeviceGetAttribute, (int *value, int attribute, Ordinal device))                                         \
  X(retainContext, cuDevicePrimaryCtxRetain, (Context * context, Ordinal device))                                               \
  X(releaseContext, cuDevicePrimaryCtxRelease_v2, (Ordinal device))                                                             \
  X(setContext, cuCtxSetCurrent, (Context context))                                                                             \
  X(memoryInfo, cuMemGetInfo_v2, (size_t * left, size_t *total))                                                                \
  X(allocate, cuMemAlloc_v2, (Address * address, size_t bytes))                                                                 \
  X(free, cuMemFree_v2, (Address address))                                                                                      \
  X(allocateHost, cuMemHostAlloc, (void **pointer, size_t bytes, unsigned flags))                                               \
  X(freeHost, cuMemFreeHost, (void *pointer))                                                                                   \
  X(copyToDevice, cuMemcpyHtoDAsync_v2, (Address to, const void *from, size_t bytes, Stream stream))                            \
  X(copyToHost, cuMemcpyDtoHAsync_v2, (void *to, Address from, size_t bytes, Stream stream))                                    \
  X(copyOnDevice, cuMemcpyDtoDAsync_v2, (Address to, Address from, size_t bytes, Stream stream))                                \
  X(fill, cuMemsetD8Async, (Address to, unsigned char byte, size_t bytes, Stream stream))                                       \
  X(createStream, cuStreamCreate, (Stream * stream, unsigned flags))                                                            \
  X(destroyStream, cuStreamDestroy_v2, (Stream stream))                                                                         \
  X(synchronizeStream, cuStreamSynchronize, (Stream stream))                                                                    \
  X(waitEvent, cuStreamWaitEvent, (Stream stream, Event event, unsigned flags))                                                 \
  X(createEvent, cuEventCreate, (Event * event, unsigned flags))                                                                \
  X(destroyEvent, cuEventDestroy_v2, (Event event))                                                                             \
  X(recordEvent, cuEventRecord, (Event event, Stream stream))                                                                   \
  X(recordTimer, cuEventRecordWithFlags, (Event event, Stream stream, unsigned flags))                                          \
  X(synchronizeEvent, cuEventSynchronize, (Event event))                                                                        \
  X(elapsed, cuEventElapsedTime, (float *milliseconds, Event begin, Event end))                                                 \
  X(loadModule, cuModuleLoadDataEx, (Module * module, const void *image, unsigned count, int *options, void **values))          \
  X(unloadModule, cuModuleUnload, (Module module))                                                                              \
  X(kernel, cuModuleGetFunction, (Kernel * kernel, Module module, const char *name))                                            \
  X(launch, cuLaunchKernel,                                                                                                     \
    (Kernel kernel, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, unsigned blockZ,          \
     unsigned sharedBytes, Stream stream, void **parameters, void **extra))                                                     \
  X(beginCapture, cuStreamBeginCapture_v2, (Stream stream, int mode))                                                           \
  X(endCapture, cuStreamEndCapture, (Stream stream, Graph *graph))                                                              \
  X(instantiate, cuGraphInstantiateWithFlags, (GraphExec * exec, Graph graph, unsigned long long flags))                        \
  X(destroyGraph, cuGraphDestroy, (Graph graph))                                                                                \
  X(launchGraph, cuGraphLaunch, (GraphExec exec, Stream stream))                                                                \
  X(destroyExec, cuGraphExecDestroy, (GraphExec exec))                                                                          \
  X(errorName, cuGetErrorName, (Result result, const char **name))                                                              \
  X(errorText, cuGetErrorString, (Result result, const char **text))

struct DriverApi {
#define VCC_DRIVER_MEMBER(MEMBER, SYMBOL, PARAMETERS) Result(*MEMBER) PARAMETERS = nullptr;
  VCC_DRIVER_CALLS(VCC_DRIVER_MEMBER)
#undef VCC_DRIVER_MEMBER
};

} // namespace vcc::runtime::cuda
#endif
