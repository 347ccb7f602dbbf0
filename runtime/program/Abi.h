// SPDX-License-Identifier: Apache-2.0
//
// The one place where the compiler and the runtime meet: the constant tables that `compiler/link` writes into
// train.bin and `runtime/device` walks. Plain C. A change here needs a new VCC_ABI_VERSION and a change on both
// sides. All tensors live in five regions; a buffer is a region and a byte offset, fixed at compile time.
#ifndef VCC_RUNTIME_PROGRAM_ABI_H
#define VCC_RUNTIME_PROGRAM_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VCC_ABI_VERSION 5u
#define VCC_ABI_MAGIC 0x0a434356u /* "VCC\n" */

/* Where a buffer lives. */
enum VccRegion {
  VCC_REGION_NONE = 0,     /* an absent optional operand */
  VCC_REGION_WEIGHTS = 1,  /* frozen weights: written once at start */
  VCC_REGION_STATE = 2,    /* trained weights, gradients that outlive a micro-step, moments, counters */
  VCC_REGION_ARENA = 3,    /* what lives within one function */
  VCC_REGION_IO = 4,       /* inputs and outputs of functions */
  VCC_REGION_CONSTANT = 5  /* constants in the image */
};

/* Of a buffer's elements: their bytes, which are enough but for the two floats of 2 bytes; 0 for an absent operand. */
enum VccElement { VCC_ELEMENT_NONE = 0, VCC_ELEMENT_BF16 = 2, VCC_ELEMENT_F32 = 4, VCC_ELEMENT_F16 = 0x102 };
static inline uint32_t vcc_element_bytes(uint32_t element) { return element & 0xff; }

typedef struct VccBuffer {
  uint32_t region;
  uint32_t element;       /* the bytes of one element, or VCC_ELEMENT_F16 */
  uint64_t offset;        /* bytes from the start of the region */
} VccBuffer;

/* A generated kernel. `buffers` are base addresses, in the order of the launch; `ints` the launch's integers;
   [begin, end) a part of the launch's units, which the runtime may split over threads in any way.
   buffers: the parameters that are not uniform, then the results. ints, in this order:
     n, the number of outer dimensions; dims[n];
     for each buffer: its offset in elements; its strides[n]; for an indexed parameter or a scatter result also the stride of
       the index and the number of rows of the table (an index outside of it stands for row 0); for a sum nothing but the offset;
     each uniform: the bits of an f32, or an integer;
     for a kernel with column or total sums: rows per chunk.
   units: rows (product of dims; for a flat kernel elements), chunks of rows when there are sums, rows of the table of a
   scatter (each unit zeroes its row and then adds to it, in the order of the rows that name it). */
typedef void (*VccKernel)(void *const *buffers, const int64_t *ints, int64_t begin, int64_t end);

enum VccLaunchKind {
  VCC_LAUNCH_KERNEL = 1,         /* kernel(buffers, ints, 0..units) split over threads */
  VCC_LAUNCH_GEMM = 2,           /* buffers: a, b, c, bias?, addend?; ints: VccGemmInt */
  VCC_LAUNCH_ATTENTION = 3,      /* buffers: q, k, v, out, lse, lengths?, starts?, workspace; ints: VccAttentionInt; kernel as below */
  VCC_LAUNCH_ATTENTION_GRAD = 4, /* buffers: q, k, v, out, lse, dout, dq, dk, dv, lengths?, starts?, workspace; likewise */
  VCC_LAUNCH_FILL = 5,           /* buffers: dst; ints: bytes; fills with zero */
  VCC_LAUNCH_COPY = 6,           /* buffers: dst, src; ints: bytes */
  VCC_LAUNCH_GATHER = 7,         /* buffers: dst, src; ints: ranks, bytes of a rank's src; dst holds those of all ranks, rank 0 first */
  VCC_LAUNCH_REDUCE_SCATTER = 8, /* buffers: dst, src; ints: ranks, bytes of dst; dst is part `rank` of the sum of src over ranks, in f32 */
  VCC_LAUNCH_GRID = 9           /* a kernel of the device code; ints: VccGridInt, an offset in elements for each buffer, then words */
};

/* C[batch] (m x n) = A[batch] (m x k) * B[batch] (k x n) + bias[n] + addend, or C += ... when accumulate is set.
   Strides in elements; batch dimensions 0, 1 (size 1 when unused). Elements are f32, on a device also bf16 or f16: A and B are alike,
   bias and addend are like C, which is like A or f32. */
enum VccGemmInt {
  VCC_GEMM_BATCH0, VCC_GEMM_BATCH1, VCC_GEMM_M, VCC_GEMM_N, VCC_GEMM_K,
  VCC_GEMM_A_BATCH0, VCC_GEMM_A_BATCH1, VCC_GEMM_A_M, VCC_GEMM_A_K,
  VCC_GEMM_B_BATCH0, VCC_GEMM_B_BATCH1, VCC_GEMM_B_K, VCC_GEMM_B_N,
  VCC_GEMM_C_BATCH0, VCC_GEMM_C_BATCH1, VCC_GEMM_C_M, VCC_GEMM_C_N,
  VCC_GEMM_ACCUMULATE,  /* 1: C += */
  VCC_GEMM_ACTIVATION,  /* enum VccActivation, after bias and addend */
  VCC_GEMM_PACK_B,      /* 1: B is frozen, the runtime may keep a packed copy */
  VCC_GEMM_INTS
};
enum VccActivation { VCC_ACTIVATION_NONE = 0, VCC_ACTIVATION_GELU_ERF = 1, VCC_ACTIVATION_SILU = 2 };

/* q [B,Sq,H,D], k and v [B,Sk,G,D], contiguous; out like q; lse [B,H,Sq]. Query i sees key j iff j < lengths[b]
   (when given), j >= starts[b, i] (when given, i32 [B,Sq]) and (not causal or j <= i + Sk - Sq).
   The kernel is made for the head size D, with starts or without, and takes the buffers and integers of the launch, but as workspace the scratch of the
   calling thread, vcc_attention_scratch_bytes of it. Units: forward blocks of block_rows queries of each query head of each key
   head of each sample, in this order, the blocks of one head next to each other; backward the key heads of each sample.
   On a device it is a library's call: no kernel, elements are all bf16 or all f16 (lse f32), BLOCK_ROWS and MAX_THREADS are 1, and the bytes of
   workspace are what the call may use at most, which is part of the arena. */
enum VccAttentionInt {
  VCC_ATTENTION_B, VCC_ATTENTION_SQ, VCC_ATTENTION_SK, VCC_ATTENTION_H, VCC_ATTENTION_G, VCC_ATTENTION_D,
  VCC_ATTENTION_CAUSAL, VCC_ATTENTION_SCALE_BITS, VCC_ATTENTION_BLOCK_ROWS, VCC_ATTENTION_WORKSPACE_BYTES_PER_THREAD,
  VCC_ATTENTION_MAX_THREADS, VCC_ATTENTION_INTS
};

/* Keys that are turned at a time, so that columns of D lie in rows; all of them at once when there are no more. */
#define VCC_ATTENTION_PANEL 256

/* Floats from one row of scores, or of turned keys, to the next: an odd number of cache lines, so that equal columns of many rows
   do not fall into the same set of the cache. */
static inline int64_t vcc_attention_stride(int64_t keys) { return ((keys + 15) / 16 | 1) * 16; }

/* Scores of a block of rows (a multiple of 8 of them) and a panel of turned keys; backward also their gradients and the values. */
static inline int64_t vcc_attention_scratch_bytes(int64_t rows, int64_t keys, int64_t d, int backward) {
  int64_t panel = keys < VCC_ATTENTION_PANEL ? keys : VCC_ATTENTION_PANEL;
  return ((rows + 7) / 8 * 8 * vcc_attention_stride(keys) + d * vcc_attention_stride(panel)) * 4 * (backward ? 2 : 1);
}

/* What a library's call may use on a device. cuDNN's deterministic gradient keeps the scores' gradients in 2 bytes each, in blocks of 64 queries and
   128 keys, and the gradients of all heads where several read the same keys; the runtime a sum for each query beside it. */
static inline int64_t vcc_attention_device_bytes(int64_t b, int64_t sq, int64_t sk, int64_t h, int64_t g, int64_t d, int backward) {
  int64_t spare = (int64_t)1 << 16, heads = b * h, queries = (sq + 63) / 64 * 64, keys = (sk + 127) / 128 * 128;
  return spare + (backward ? (heads * sq * 4 + 255) / 256 * 256 + heads * queries * keys * 2 + (h == g ? 0 : 4 * heads * keys * d) : 0);
}

enum VccPhase { VCC_PHASE_FORWARD = 0, VCC_PHASE_BACKWARD = 1, VCC_PHASE_UPDATE = 2, VCC_PHASE_EVALUATE = 3, VCC_PHASE_INIT = 4 };

typedef struct VccLaunch {
  uint32_t kind;   /* enum VccLaunchKind */
  uint32_t phase;  /* enum VccPhase */
  const char *name; /* where it comes from, in the recipe's words */
  const VccBuffer *buffers;
  uint64_t buffer_count;
  const int64_t *ints;
  uint64_t int_count;
  VccKernel kernel;
  int64_t units; /* rows, elements or chunks of a kernel launch */
  uint64_t flops;
  uint64_t bytes;
} VccLaunch;

typedef struct VccFunction {
  const char *name; /* "micro_main", "update", "init", "evaluate_held" */
  const VccLaunch *launches;
  uint64_t launch_count;
} VccFunction;

typedef struct VccStage {
  const char *name; /* as in the manifest */
  const VccFunction *functions;
  uint64_t function_count;
  uint64_t weights_bytes, state_bytes, arena_bytes, io_bytes;
  const void *constants;
  uint64_t constant_bytes;
} VccStage;

/* What a generated kernel is called, once for each that launches name. */
typedef struct VccKernelName {
  VccKernel kernel;
  const char *name;
} VccKernelName;

/* A launch of a grid: the kernel is KERNEL in the table of device kernels and runs in BLOCKS blocks of its threads. Its arguments
   are 8 bytes each: for each buffer of the launch its address, the offset's elements in; then the launch's words as they stand. */
enum VccGridInt { VCC_GRID_KERNEL, VCC_GRID_BLOCKS, VCC_GRID_OFFSETS };

enum VccDeviceImageKind { VCC_IMAGE_PTX = 1, VCC_IMAGE_CUBIN = 2 };

/* One form of a module of device code: a cubin for exactly this chip (90: sm_90), or PTX for this chip and all later ones. */
typedef struct VccDeviceImage {
  uint32_t kind; /* enum VccDeviceImageKind */
  uint32_t chip;
  const void *bytes; /* PTX ends with a zero byte, which is counted */
  uint64_t size;
} VccDeviceImage;

typedef struct VccDeviceModule {
  const VccDeviceImage *images;
  uint64_t image_count;
} VccDeviceModule;

typedef struct VccDeviceKernel {
  const char *name;
  uint32_t module;  /* in the table of modules */
  uint32_t threads; /* of a block */
} VccDeviceKernel;

/* The code of a program for a GPU. A module is loaded when the first of its kernels is asked for. */
typedef struct VccDeviceCode {
  const VccDeviceModule *modules;
  uint64_t module_count;
  const VccDeviceKernel *kernels;
  uint64_t kernel_count;
} VccDeviceCode;

typedef struct VccProgram {
  uint32_t magic;
  uint32_t version;
  const char *manifest; /* JSON, runtime/program/MANIFEST.md */
  uint64_t manifest_bytes;
  const VccStage *stages;
  uint64_t stage_count;
  const VccKernelName *kernels;
  uint64_t kernel_count;
} VccProgram;

/* Defined by the compiled recipe. */
extern const VccProgram vcc_program;

/* Defined by a recipe that was compiled for a GPU. */
extern const VccDeviceCode vcc_device_code;

/* Defined by the runtime: the whole of train.bin's main. */
int vcc_main(int argc, char **argv, const VccProgram *program);
/* The same for a recipe that says `parallel`; in a library of its own. */
int vcc_main_mpi(int argc, char **argv, const VccProgram *program);
/* The same for a recipe compiled for a GPU, which defines vcc_device_code too. */
int vcc_main_cuda(int argc, char **argv, const VccProgram *program);

#ifdef __cplusplus
}
#endif
#endif
