// SPDX-License-Identifier: Apache-2.0
//
// Constants of a kernel body as register scalars.
#include "compiler/codegen/cpu/KernelEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

namespace vcc::cpu {

Value KernelEmitter::splatScalar(tg::ConstantOp Op, int64_t Element) {
  auto Elements = mlir::cast<ElementsAttr>(Op.getValue());
  Type Register = registerType(Op.getResult());
  auto Dense = mlir::dyn_cast<DenseElementsAttr>(Elements);
  if (!Dense || (Element < 0 && !Dense.isSplat()))
    return {};
  int64_t Place = Dense.isSplat() ? 0 : Element;
  if (isa<FloatType>(Register)) {
    APFloat Number = *(Dense.value_begin<APFloat>() + Place);
    return B.create<arith::ConstantOp>(B.getFloatAttr(Register, Number));
  }
  APInt Number = *(Dense.value_begin<APInt>() + Place);
  return B.create<arith::ConstantOp>(B.getIntegerAttr(Register, Number));
}

} // namespace vcc::cpu
