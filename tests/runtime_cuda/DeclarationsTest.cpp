// SPDX-License-Identifier: Apache-2.0
//
// The runtime's own declarations of the driver and of cuBLASLt beside NVIDIA's headers, where a toolkit is installed: parameters by
// number, size and kind, and every number by value. What is wrong does not compile.
#include "runtime/device/cuda/ProductApi.h"
#include "tests/runtime_cuda/SameSignature.h"

#include <cublasLt.h>
#include <cuda.h>
#include <gtest/gtest.h>

#include <cstddef>

namespace ours = vcc::runtime::cuda;

namespace {

#define CHECK(MEMBER, SYMBOL, PARAMETERS) static_assert(ours::Same<decltype(ours::DriverApi::MEMBER), decltype(&SYMBOL)>::value, #SYMBOL);
VCC_DRIVER_CALLS(CHECK)
#undef CHECK
#define CHECK(MEMBER, SYMBOL, PARAMETERS) static_assert(ours::Same<decltype(ours::ProductApi::MEMBER), decltype(&SYMBOL)>::value, #SYMBOL);
VCC_PRODUCT_CALLS(CHECK)
#undef CHECK
#define EQUAL(OURS, THEIRS) static_assert(int(ours::OURS) == int(THEIRS), #THEIRS);
EQUAL(Success, CUDA_SUCCESS)
EQUAL(OutOfMemory, CUDA_ERROR_OUT_OF_MEMORY)
EQUAL(StubLibrary, CUDA_ERROR_STUB_LIBRARY)
EQUAL(DeviceUnavailable, CUDA_ERROR_DEVICE_UNAVAILABLE)
EQUAL(NoDevice, CUDA_ERROR_NO_DEVICE)
EQUAL(InvalidImage, CUDA_ERROR_INVALID_IMAGE)
EQUAL(NoBinaryForGpu, CUDA_ERROR_NO_BINARY_FOR_GPU)
EQUAL(EccUncorrectable, CUDA_ERROR_ECC_UNCORRECTABLE)
EQUAL(InvalidPtx, CUDA_ERROR_INVALID_PTX)
EQUAL(NvlinkUncorrectable, CUDA_ERROR_NVLINK_UNCORRECTABLE)
EQUAL(JitCompilerNotFound, CUDA_ERROR_JIT_COMPILER_NOT_FOUND)
EQUAL(UnsupportedPtxVersion, CUDA_ERROR_UNSUPPORTED_PTX_VERSION)
EQUAL(Contained, CUDA_ERROR_CONTAINED)
EQUAL(NotReady, CUDA_ERROR_NOT_READY)
EQUAL(IllegalAddress, CUDA_ERROR_ILLEGAL_ADDRESS)
EQUAL(LaunchOutOfResources, CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES)
EQUAL(LaunchTimeout, CUDA_ERROR_LAUNCH_TIMEOUT)
EQUAL(HardwareStackError, CUDA_ERROR_HARDWARE_STACK_ERROR)
EQUAL(IllegalInstruction, CUDA_ERROR_ILLEGAL_INSTRUCTION)
EQUAL(MisalignedAddress, CUDA_ERROR_MISALIGNED_ADDRESS)
EQUAL(InvalidAddressSpace, CUDA_ERROR_INVALID_ADDRESS_SPACE)
EQUAL(InvalidPc, CUDA_ERROR_INVALID_PC)
EQUAL(LaunchFailed, CUDA_ERROR_LAUNCH_FAILED)
EQUAL(SystemNotReady, CUDA_ERROR_SYSTEM_NOT_READY)
EQUAL(SystemDriverMismatch, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH)
EQUAL(CompatNotSupported, CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE)
EQUAL(Unknown, CUDA_ERROR_UNKNOWN)
EQUAL(ComputeCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
EQUAL(ComputeCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
EQUAL(StreamNonBlocking, CU_STREAM_NON_BLOCKING)
EQUAL(EventDisableTiming, CU_EVENT_DISABLE_TIMING)
EQUAL(EventRecordExternal, CU_EVENT_RECORD_EXTERNAL)
EQUAL(CaptureThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
EQUAL(JitErrorLog, CU_JIT_ERROR_LOG_BUFFER)
EQUAL(JitErrorLogBytes, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
EQUAL(ProductAllocFailed, CUBLAS_STATUS_ALLOC_FAILED)
EQUAL(ProductArchMismatch, CUBLAS_STATUS_ARCH_MISMATCH)
EQUAL(ProductNotSupported, CUBLAS_STATUS_NOT_SUPPORTED)
EQUAL(ElementF32, CUDA_R_32F)
EQUAL(ElementF16, CUDA_R_16F)
EQUAL(ElementBf16, CUDA_R_16BF)
EQUAL(ComputeF32, CUBLAS_COMPUTE_32F)
EQUAL(ComputeTf32, CUBLAS_COMPUTE_32F_FAST_TF32)
EQUAL(LayoutBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)
EQUAL(LayoutBatchStride, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)
EQUAL(KindTransposeA, CUBLASLT_MATMUL_DESC_TRANSA)
EQUAL(KindTransposeB, CUBLASLT_MATMUL_DESC_TRANSB)
EQUAL(KindEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE)
EQUAL(KindBias, CUBLASLT_MATMUL_DESC_BIAS_POINTER)
EQUAL(KindBiasType, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE)
EQUAL(WishWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
EQUAL(WishAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES)
EQUAL(WishAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
EQUAL(EpilogueNone, CUBLASLT_EPILOGUE_DEFAULT)
EQUAL(EpilogueBias, CUBLASLT_EPILOGUE_BIAS)
static_assert(sizeof(ours::ProductAlgorithm) == sizeof(cublasLtMatmulAlgo_t) &&
              sizeof(ours::ProductChoice) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(ours::ProductChoice, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) &&
              offsetof(ours::ProductChoice, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(CUBLAS_OP_N == 0 && CUBLAS_OP_T == 1 && sizeof(ours::Address) == sizeof(CUdeviceptr));

TEST(Declarations, AreThoseOfTheHeaders) { SUCCEED() << "or this would not have been compiled"; }

} // namespace
