// SPDX-License-Identifier: Apache-2.0
//
// As much of a driver as cuDNN needs to make plans for a GPU that is described to it: kernels are "loaded", everything else says that
// there is no GPU. Only what a test of graphs needs; nothing can be computed with it.
#define _GNU_SOURCE
#include <dlfcn.h>

enum { Done = 0, NoGpu = 34 };
static char Something[64];
static int refuse(void) { return NoGpu; }

int cuDriverGetVersion(int *version) { return *version = 13000, Done; }
int cuLibraryLoadData(void **library) { return *library = Something, Done; }
int cuLibraryGetKernel(void **kernel) { return *kernel = Something, Done; }
int cuLibraryUnload(void) { return Done; }
int cuKernelSetAttribute(void) { return Done; }
int cuGetErrorString(int error, const char **text) { return *text = error ? "there is no GPU" : "done", Done; }
int cuGetErrorName(int error, const char **text) { return cuGetErrorString(error, text); }
int cuGetProcAddress(const char *name, void **function) {
  *function = dlsym(RTLD_DEFAULT, name);
  if (!*function)
    *function = (void *)refuse;
  return Done;
}
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags, int *status) {
  (void)version, (void)flags;
  if (status)
    *status = 0;
  return cuGetProcAddress(name, function);
}

// Looked for by name when the library starts.
#define REFUSED(NAME)                                                                                                           \
  int NAME(void) { return NoGpu; }
REFUSED(cuInit)
REFUSED(cuCtxGetCurrent)
REFUSED(cuCtxGetLimit)
REFUSED(cuCtxPopCurrent)
REFUSED(cuCtxPushCurrent)
REFUSED(cuDeviceGet)
REFUSED(cuDeviceGetCount)
REFUSED(cuKernelGetAttribute)
REFUSED(cuKernelGetFunction)
REFUSED(cuLaunchCooperativeKernel)
REFUSED(cuLaunchKernel)
REFUSED(cuLaunchKernelEx)
REFUSED(cuLibraryLoadFromFile)
REFUSED(cuLinkAddData)
REFUSED(cuLinkComplete)
REFUSED(cuLinkCreate)
REFUSED(cuLinkDestroy)
REFUSED(cuOccupancyMaxPotentialClusterSize)
REFUSED(cuStreamGetCtx)
