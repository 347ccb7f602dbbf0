// SPDX-License-Identifier: Apache-2.0
//
// One table of results. Those that say that the machine is gone or damaged end with the exit code for it; the others are faults of
// this program, unless the hardware made them, which the help says.
#include "runtime/device/cuda/Faults.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

namespace vcc::runtime::cuda {

namespace {

struct Meaning {
  Result result;
  Exit code;
  const char *what;
  const char *help;
};

constexpr const char *Damaged = "the checkpoints saved before are whole: run again to go on from the newest; `nvidia-smi -q` and the kernel's log "
                                "(`dmesg`, lines with Xid) say whether this GPU must be reset or replaced";
constexpr const char *Stray = "run again to go on from the newest checkpoint; where it happens again, `compute-sanitizer ./train.bin ..` names the "
                              "kernel, and lines with Xid in the kernel's log (`dmesg`) would tell of a fault of the hardware";
constexpr const char *Setup = "`nvidia-smi` must work here first";

constexpr Meaning Meanings[] = {
    {OutOfMemory, Exit::Memory, "the GPU has no memory left", "another program may hold some of it: `nvidia-smi` lists them"},
    {StubLibrary, Exit::Machine, "the libcuda.so.1 that was found is the toolkit's stub, not a driver",
     "take the folder `stubs` out of LD_LIBRARY_PATH"},
    {DeviceUnavailable, Exit::Machine, "another program has this GPU for itself", "`nvidia-smi` lists who uses it; its compute mode may be exclusive"},
    {NoDevice, Exit::Machine, "this machine shows no NVIDIA GPU", "`nvidia-smi` must list one; CUDA_VISIBLE_DEVICES and a container may hide it"},
    {InvalidImage, Exit::Machine, "the driver cannot read this program's kernels", "a newer NVIDIA driver is needed"},
    {NoBinaryForGpu, Exit::Machine, "this program has no kernels for this GPU", "GPUs from compute capability 8.0 (Ampere) on are supported"},
    {EccUncorrectable, Exit::Machine, "the GPU's memory has an error that ECC cannot correct", Damaged},
    {InvalidPtx, Exit::Internal, "the driver refuses this program's PTX", "this is a bug of vcc"},
    {NvlinkUncorrectable, Exit::Machine, "NVLink has an error that cannot be corrected", Damaged},
    {JitCompilerNotFound, Exit::Machine, "this GPU needs kernels compiled by the driver, whose compiler is not installed",
     "install libnvidia-ptxjitcompiler.so.1, which belongs to the driver"},
    {UnsupportedPtxVersion, Exit::Machine, "the driver is too old for this program's PTX", "a driver of CUDA 12.0 (R525) or newer is needed"},
    {Contained, Exit::Machine, "the GPU's memory has an error that was contained", Damaged},
    {IllegalAddress, Exit::Internal, "a kernel touched memory that is not its own", Stray},
    {LaunchOutOfResources, Exit::Internal, "a kernel needs more registers than the GPU has", "this is a bug of vcc"},
    {LaunchTimeout, Exit::Machine, "a kernel ran longer than this machine allows", "use a GPU that drives no display"},
    {HardwareStackError, Exit::Internal, "a kernel's stack is damaged", Stray},
    {IllegalInstruction, Exit::Internal, "a kernel met an illegal instruction", Stray},
    {MisalignedAddress, Exit::Internal, "a kernel used an address that is not aligned", Stray},
    {InvalidAddressSpace, Exit::Internal, "a kernel used an address of another space", Stray},
    {InvalidPc, Exit::Internal, "a kernel jumped to nowhere", Stray},
    {LaunchFailed, Exit::Internal, "a kernel failed on the GPU", Stray},
    {SystemNotReady, Exit::Machine, "the GPU's system services are not ready", "nvidia-fabricmanager may have to be started"},
    {SystemDriverMismatch, Exit::Machine, "the driver's library and its kernel module are of different versions", "reboot, or load the new module"},
    {CompatNotSupported, Exit::Machine, "CUDA's compatibility package does not support this GPU", "take it out of LD_LIBRARY_PATH"},
    {Unknown, Exit::Machine, "the driver lost the GPU, or cannot start it", Damaged},
};

} // namespace

void failCall(const DriverApi &api, Result result, const std::string &doing) {
  const char *name = nullptr, *text = nullptr;
  if (api.errorName(result, &name) != Success || !name)
    name = "unknown";
  for (const Meaning &meaning : Meanings)
    if (meaning.result == result)
      throw Failure(meaning.code, fmt::format("{}: could not {} ({}, {})", meaning.what, doing, name, int(result)), meaning.help);
  if (api.errorText(result, &text) != Success || !text)
    text = "no description";
  throw Failure(Exit::Internal, fmt::format("could not {}: {} ({}, {})", doing, text, name, int(result)),
                "this is a bug of the runtime, or the driver's state is broken: " + std::string(Setup));
}

} // namespace vcc::runtime::cuda
