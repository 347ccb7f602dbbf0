// SPDX-License-Identifier: Apache-2.0
//
// State family in the reference interpreter: what the context holds.
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc::tg;

LogicalResult ReadOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *>, MutableArrayRef<HostTensor> Out) {
  if (failed(Context.readState(getState(), Out[0])))
    return emitOpError("reads the state `") << getState() << "`, which has no value of this shape";
  return success();
}

LogicalResult WriteOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor>) {
  if (failed(Context.writeState(getState(), *In[0], getAccumulate())))
    return emitOpError("writes the state `") << getState() << "`, which does not exist in this shape";
  return success();
}

LogicalResult InputOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *>,
                                MutableArrayRef<HostTensor> Out) {
  if (failed(Context.readInput(getName(), Out[0])))
    return emitOpError("takes the input `") << getName() << "`, which was not given in this shape";
  return success();
}

LogicalResult OutputOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                 MutableArrayRef<HostTensor>) {
  if (failed(Context.writeOutput(getName(), *In[0])))
    return emitOpError("gives the output `") << getName() << "`, which cannot be taken";
  return success();
}

LogicalResult LossOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor>) {
  if (failed(Context.writeOutput("loss", *In[0])))
    return emitOpError("gives the output `loss`, which cannot be taken");
  return success();
}
