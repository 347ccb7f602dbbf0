// SPDX-License-Identifier: Apache-2.0
//
// The functions of cuDNN's graph interface that this runtime calls, as a table: filled from libcudnn.so.9 in a program, by a
// recording stand-in in tests. Own declarations, whose numbers are the same in all versions 9.
#ifndef VCC_RUNTIME_DEVICE_CUDA_ATTENTIONAPI_H
#define VCC_RUNTIME_DEVICE_CUDA_ATTENTIONAPI_H

#include "runtime/device/cuda/DriverApi.h"

namespace vcc::runtime::cuda {

/// cudnnStatus_t: thousands are the category.
enum AttentionResult : int {
  AttentionSuccess = 0,
  AttentionNotStarted = 1001,
  AttentionMixedVersions = 1002,
  AttentionPartMissing = 1008,
  AttentionNotSupported = 3000,
  AttentionOldDriver = 3005,
  AttentionOldRuntime = 3006,
  AttentionOtherChip = 3007,
  AttentionNoPrerequisite = 3008,
  AttentionHostMemory = 4003,
  AttentionGpuMemory = 4004
};

using AttentionHandle = struct AttentionHandleObject *; ///< cudnnHandle_t
using GraphPart = void *;                               ///< cudnnBackendDescriptor_t

/// cudnnBackendDescriptorType_t
enum PartKind : int {
  PartPointwise = 0,
  PartEngine = 2,
  PartEngineChoice = 3,
  PartHeuristic = 4,
  PartPlan = 5,
  PartPointwiseStep = 13,
  PartGraph = 15,
  PartOperands = 16,
  PartTensor = 17,
  PartProduct = 18,
  PartProductStep = 19,
  PartReduction = 21,
  PartReductionStep = 22,
  PartReshapeStep = 31,
  PartDevice = 38
};

/// cudnnBackendAttributeName_t
enum PartAttribute : int {
  PointwiseMode = 0,
  PointwisePrecision = 1,
  PointwiseAxis = 9,
  HeuristicMode = 200,
  HeuristicGraph = 201,
  HeuristicResults = 202,
  HeuristicDevice = 204,
  ChoiceEngine = 300,
  PlanHandle = 400,
  PlanChoice = 401,
  PlanWorkspace = 402,
  PlanDevice = 407,
  PointwiseStepHow = 750,
  PointwiseStepX = 751,
  PointwiseStepB = 752,
  PointwiseStepY = 753,
  PointwiseStepAlpha1 = 754,
  PointwiseStepAlpha2 = 755,
  PointwiseStepT = 758,
  GraphHandle = 800,
  GraphSteps = 801,
  TensorAlignment = 900,
  TensorType = 901,
  TensorSizes = 902,
  TensorStrides = 903,
  TensorName = 906,
  TensorVirtual = 907,
  TensorByValue = 908,
  OperandNames = 1000,
  OperandPointers = 1001,
  OperandWorkspace = 1003,
  EngineNotes = 1303,
  ProductPrecision = 1500,
  ProductStepA = 1520,
  ProductStepB = 1521,
  ProductStepC = 1522,
  ProductStepHow = 1523,
  ProductStepM = 1525,
  ProductStepN = 1526,
  ProductStepK = 1527,
  ReductionOperator = 1600,
  ReductionPrecision = 1601,
  ReductionStepX = 1610,
  ReductionStepY = 1611,
  ReductionStepHow = 1612,
  ReshapeStepX = 2200,
  ReshapeStepY = 2201,
  DeviceText = 2702
};

/// cudnnBackendAttributeType_t
enum ValueKind : int {
  ValueHandle = 0,
  ValueType = 1,
  ValueBool = 2,
  ValueInt64 = 3,
  ValueFloat = 4,
  ValuePointer = 6,
  ValueHeuristic = 8,
  ValueNote = 11,
  ValuePointwise = 14,
  ValuePart = 15,
  ValueReduction = 18,
  ValueChar = 24
};

enum TensorElement : int { TensorF32 = 0, TensorF16 = 2, TensorI32 = 4, TensorBf16 = 9, TensorBool = 11 }; ///< cudnnDataType_t
/// cudnnPointwiseMode_t
enum PointwiseKind : int {
  PointwiseAdd = 0,
  PointwiseMultiply = 1,
  PointwiseDivide = 6,
  PointwiseSubtract = 9,
  PointwiseExp = 13,
  PointwiseLog = 15,
  PointwiseAtLeast = 303, ///< x >= b
  PointwiseBelow = 304,   ///< x < b
  PointwiseAnd = 400,
  PointwiseIndex = 501, ///< an element's place along an axis
  PointwiseSelect = 601 ///< t ? x : b
};
enum ReductionKind : int { ReductionSum = 0, ReductionMax = 3 };             ///< cudnnReduceTensorOp_t
enum HeuristicKind : int { HeuristicFallback = 2, HeuristicBest = 3 };       ///< cudnnBackendHeurMode_t
enum EngineNote : int { NoteNotDeterministic = 4, NoteCount = 10 };          ///< cudnnBackendNumericalNote_t

#define VCC_ATTENTION_CALLS(X)                                                                                                  \
  X(create, cudnnCreate, (AttentionHandle * handle))                                                                            \
  X(destroy, cudnnDestroy, (AttentionHandle handle))                                                                            \
  X(setStream, cudnnSetStream, (AttentionHandle handle, Stream stream))                                                         \
  X(createPart, cudnnBackendCreateDescriptor, (PartKind kind, GraphPart * part))                                                \
  X(destroyPart, cudnnBackendDestroyDescriptor, (GraphPart part))                                                               \
  X(setPart, cudnnBackendSetAttribute, (GraphPart part, PartAttribute attribute, ValueKind kind, int64_t count, const void *values)) \
  X(getPart, cudnnBackendGetAttribute,                                                                                          \
    (GraphPart part, PartAttribute attribute, ValueKind kind, int64_t wanted, int64_t *count, void *values))                    \
  X(finishPart, cudnnBackendFinalize, (GraphPart part))                                                                         \
  X(execute, cudnnBackendExecute, (AttentionHandle handle, GraphPart plan, GraphPart operands))

struct AttentionApi {
#define VCC_ATTENTION_MEMBER(MEMBER, SYMBOL, PARAMETERS) AttentionResult(*MEMBER) PARAMETERS = nullptr;
  VCC_ATTENTION_CALLS(VCC_ATTENTION_MEMBER)
#undef VCC_ATTENTION_MEMBER
  size_t (*version)() = nullptr;                                ///< cudnnGetVersion
  const char *(*resultText)(AttentionResult result) = nullptr;  ///< cudnnGetErrorString
  void (*lastError)(char *text, size_t bytes) = nullptr;        ///< cudnnGetLastErrorString
};

} // namespace vcc::runtime::cuda
#endif
