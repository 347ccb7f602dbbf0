// SPDX-License-Identifier: Apache-2.0
//
// Stands in for the runtime in LinkTest: prints a program's tables and runs its kernel launches over one arena.
#include "runtime/program/Abi.h"
#include <stdio.h>
#include <stdlib.h>

static float arena[256];

static void *addressOf(const VccStage *stage, const VccBuffer *buffer) {
  if (buffer->region == VCC_REGION_NONE)
    return 0;
  if (buffer->region == VCC_REGION_CONSTANT)
    return (char *)stage->constants + buffer->offset;
  return (char *)arena + buffer->offset;
}

int vcc_main(int argc, char **argv, const VccProgram *program) {
  (void)argv;
  printf("arguments %d magic %x version %u manifest %.*s\n", argc, program->magic, program->version,
         (int)program->manifest_bytes, program->manifest);
  for (uint64_t k = 0; k < program->kernel_count; ++k)
    printf("kernel %s %s\n", program->kernels[k].name, program->kernels[k].kernel ? "is there" : "is missing");
  for (uint64_t s = 0; s < program->stage_count; ++s) {
    const VccStage *stage = &program->stages[s];
    printf("stage %s weights %llu state %llu arena %llu io %llu constants %llu\n", stage->name,
           (unsigned long long)stage->weights_bytes, (unsigned long long)stage->state_bytes,
           (unsigned long long)stage->arena_bytes, (unsigned long long)stage->io_bytes,
           (unsigned long long)stage->constant_bytes);
    for (uint64_t f = 0; f < stage->function_count; ++f) {
      const VccFunction *function = &stage->functions[f];
      printf("function %s launches %llu\n", function->name, (unsigned long long)function->launch_count);
      for (uint64_t l = 0; l < function->launch_count; ++l) {
        const VccLaunch *launch = &function->launches[l];
        printf("launch kind %u phase %u name %s buffers %llu ints %llu units %lld flops %llu bytes %llu\n", launch->kind,
               launch->phase, launch->name, (unsigned long long)launch->buffer_count, (unsigned long long)launch->int_count,
               (long long)launch->units, (unsigned long long)launch->flops, (unsigned long long)launch->bytes);
        void *buffers[16];
        for (uint64_t b = 0; b < launch->buffer_count && b < 16; ++b)
          buffers[b] = addressOf(stage, &launch->buffers[b]);
        if (launch->kind == VCC_LAUNCH_KERNEL)
          launch->kernel(buffers, launch->ints, 0, launch->units);
      }
    }
  }
  for (int i = 0; i < 10; ++i)
    printf("%g ", arena[i]);
  printf("\n");
  return 7;
}
