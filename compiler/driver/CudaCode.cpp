// SPDX-License-Identifier: Apache-2.0
#include "compiler/driver/CudaCode.h"

#include "compiler/codegen/cuda/Assemble.h"
#include "compiler/codegen/cuda/LowerKernels.h"
#include "compiler/codegen/cuda/Ptx.h"
#include "compiler/link/Link.h"

#include "mlir/IR/Verifier.h"
#include "llvm/Support/Threading.h"

namespace vcc::driver {

static unsigned threads() { return llvm::hardware_concurrency().compute_thread_count(); }

static llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> lower(llvm::ArrayRef<mlir::ModuleOp> stages, Costs &costs) {
  mlir::OwningOpRef<mlir::ModuleOp> kernels = cuda::lowerKernels(stages);
  costs.endLevel("lower kernels", {}, kernels ? costs.count(*kernels) : std::nullopt);
  if (!kernels || mlir::failed(mlir::verify(*kernels)))
    return llvm::createStringError("the kernels cannot be lowered");
  return kernels;
}

static llvm::Expected<cuda::DeviceCode> assemble(llvm::ArrayRef<std::string> ptx, Costs &costs) {
  auto assembler = cuda::findAssembler();
  if (!assembler)
    return assembler.takeError();
  auto code = cuda::assemble(ptx, *assembler, threads());
  costs.endLevel("ptxas");
  return code;
}

llvm::Expected<std::string> emitCudaText(llvm::ArrayRef<mlir::ModuleOp> stages, Level level, Costs &costs) {
  auto kernels = lower(stages, costs);
  if (!kernels)
    return kernels.takeError();
  std::string text;
  if (level == Level::Kernels) {
    llvm::raw_string_ostream stream(text);
    (*kernels)->print(stream);
    return text + "\n";
  }
  auto ptx = cuda::emitPtx(**kernels, threads());
  costs.endLevel("compile kernels");
  if (!ptx)
    return ptx.takeError();
  if (level == Level::Asm) {
    for (const std::string &part : *ptx)
      text += part;
    return text;
  }
  auto code = assemble(*ptx, costs);
  if (!code)
    return code.takeError();
  return cuda::printResources(code->Resources);
}

llvm::Expected<std::string> emitCudaObject(llvm::ArrayRef<mlir::ModuleOp> stages, llvm::StringRef manifest, Costs &costs) {
  auto kernels = lower(stages, costs);
  if (!kernels)
    return kernels.takeError();
  auto grids = cuda::planGrids(stages);
  if (mlir::failed(grids))
    return llvm::createStringError("the launches cannot be planned");
  auto ptx = cuda::emitPtx(**kernels, threads());
  costs.endLevel("compile kernels");
  if (!ptx)
    return ptx.takeError();
  auto code = assemble(*ptx, costs);
  if (!code)
    return code.takeError();
  link::DeviceProgram device;
  for (cuda::DeviceModule &module : code->Modules) {
    auto &images = device.Modules.emplace_back();
    for (auto [chip, cubin] : llvm::zip(cuda::Chips, module.Cubins))
      images.push_back({/*Cubin=*/true, chip, std::move(cubin)});
    images.push_back({/*Cubin=*/false, cuda::PtxChip, std::move(module.Ptx)});
  }
  for (auto [number, kernel] : llvm::enumerate(*grids))
    device.Kernels.push_back({kernel.Name, static_cast<unsigned>(number) / cuda::KernelsPerModule, kernel.Threads});
  llvm::LLVMContext context;
  auto tables = link::buildProgram(stages, manifest, context, "vcc_main_cuda", /*Device=*/true);
  if (!tables)
    return tables.takeError();
  link::addDeviceCode(**tables, device);
  auto object = link::emitProgramObject(**tables);
  costs.endLevel("object");
  return object;
}

} // namespace vcc::driver
