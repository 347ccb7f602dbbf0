// SPDX-License-Identifier: Apache-2.0
//
// Enumerations of the execution dialect. The numbers are those of runtime/program/Abi.h.
#ifndef VCC_EXEC_ATTRS
#define VCC_EXEC_ATTRS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "dialects/exec/ExecDialect.td"

class Exec_Enum<string name, string summary, list<I32EnumAttrCase> cases> : I32EnumAttr<name, summary, cases> {
  let genSpecializedAttr = 0;
  let cppNamespace = "::vcc::exec";
}
class Exec_EnumAttr<EnumAttrInfo info, string mnemonic> : EnumAttr<Exec_Dialect, info, mnemonic> {
  let assemblyFormat = "$value";
}

def Exec_Region : Exec_Enum<"Region", "where a buffer lives", [
  I32EnumAttrCase<"Weights", 1, "weights">, I32EnumAttrCase<"State", 2, "state">,
  I32EnumAttrCase<"Arena", 3, "arena">, I32EnumAttrCase<"Io", 4, "io">, I32EnumAttrCase<"Constant", 5, "constant">]>;
def Exec_RegionAttr : Exec_EnumAttr<Exec_Region, "region">;

def Exec_Phase : Exec_Enum<"Phase", "what a launch belongs to", [
  I32EnumAttrCase<"Forward", 0, "forward">, I32EnumAttrCase<"Backward", 1, "backward">,
  I32EnumAttrCase<"Update", 2, "update">, I32EnumAttrCase<"Evaluate", 3, "evaluate">,
  I32EnumAttrCase<"Init", 4, "init">]>;
def Exec_PhaseAttr : Exec_EnumAttr<Exec_Phase, "phase">;

#endif
