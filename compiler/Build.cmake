# SPDX-License-Identifier: Apache-2.0
# The functions every CMakeLists.txt of this project is written with:
#   vcc_library(name [PATTERNS glob...] [DEPENDS lib...] [PLAIN])   sources of this folder; PLAIN: no MLIR, no precompiled header
#   vcc_dialect(name td...)                                        TableGen of a dialect's ops, types, attributes, enums, interfaces
#   vcc_passes(name Passes.td)                                     TableGen of a step's passes
#   vcc_gtest(name source... DEPENDS lib...)                       a GoogleTest program in build/bin/tests
# Every MLIR library links libMLIR.so and libLLVM.so through the one target vcc_mlir.

add_library(vcc_mlir INTERFACE)
target_include_directories(vcc_mlir SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
target_include_directories(vcc_mlir INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_definitions(vcc_mlir INTERFACE ${LLVM_DEFINITIONS_LIST})
target_link_libraries(vcc_mlir INTERFACE MLIR LLVM)

list(TRANSFORM MLIR_INCLUDE_DIRS PREPEND -I OUTPUT_VARIABLE MLIR_TD_INCLUDES)
set(VCC_MLIR_FLAGS -Wall -Wno-unused-function -fvisibility-inlines-hidden)

# One precompiled header over the MLIR core; a pass file takes a fifth of the time with it.
file(WRITE ${CMAKE_BINARY_DIR}/MlirCore.cpp "// anchor of the precompiled MLIR core header\n")
add_library(vcc_mlir_pch OBJECT ${CMAKE_BINARY_DIR}/MlirCore.cpp)
target_link_libraries(vcc_mlir_pch PUBLIC vcc_mlir)
target_compile_options(vcc_mlir_pch PRIVATE ${VCC_MLIR_FLAGS} -Xclang -fno-pch-timestamp)
target_precompile_headers(vcc_mlir_pch PRIVATE
  <mlir/IR/BuiltinOps.h> <mlir/IR/BuiltinTypes.h> <mlir/IR/BuiltinAttributes.h> <mlir/IR/Builders.h>
  <mlir/IR/OpImplementation.h> <mlir/IR/PatternMatch.h> <mlir/IR/SymbolTable.h> <mlir/IR/Dialect.h>
  <mlir/Pass/Pass.h> <mlir/Dialect/Func/IR/FuncOps.h> <mlir/Interfaces/SideEffectInterfaces.h>
  <mlir/Interfaces/InferTypeOpInterface.h> <mlir/Transforms/GreedyPatternRewriteDriver.h>)
set_target_properties(vcc_mlir_pch PROPERTIES PCH_INSTANTIATE_TEMPLATES ON)

function(vcc_library name)
  cmake_parse_arguments(A "PLAIN" "" "PATTERNS;DEPENDS" ${ARGN})
  if(NOT A_PATTERNS)
    set(A_PATTERNS *.cpp)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${A_PATTERNS})
  if(NOT sources)
    # An empty folder still gives a target, so that the tree configures while a part is being written.
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.cpp "")
    set(sources ${CMAKE_CURRENT_BINARY_DIR}/${name}_empty.cpp)
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  if(A_PLAIN)
    target_compile_options(${name} PRIVATE -Wall)
  else()
    target_link_libraries(${name} PUBLIC vcc_mlir)
    target_compile_options(${name} PRIVATE ${VCC_MLIR_FLAGS} -Xclang -fno-pch-timestamp)
    target_precompile_headers(${name} REUSE_FROM vcc_mlir_pch)
  endif()
  if(A_DEPENDS)
    target_link_libraries(${name} PUBLIC ${A_DEPENDS})
  endif()
endfunction()

# vcc_dialect(vcs VcsOps.td): for X.td generates X.h.inc/X.cpp.inc (ops) and XDialect/XTypes/XAttrs/XEnums/XInterfaces by suffix.
function(vcc_dialect dialect)
  set(MLIR_MAIN_INCLUDE_DIR ${MLIR_INCLUDE_DIRS})
  foreach(td ${ARGN})
    get_filename_component(stem ${td} NAME_WE)
    set(LLVM_TARGET_DEFINITIONS ${td})
    set(flags -I${CMAKE_SOURCE_DIR} -I${CMAKE_CURRENT_SOURCE_DIR} ${MLIR_TD_INCLUDES})
    if(stem MATCHES "Dialect$")
      mlir_tablegen(${stem}.h.inc -gen-dialect-decls -dialect=${dialect} ${flags})
      mlir_tablegen(${stem}.cpp.inc -gen-dialect-defs -dialect=${dialect} ${flags})
    elseif(stem MATCHES "Types$")
      mlir_tablegen(${stem}.h.inc -gen-typedef-decls -typedefs-dialect=${dialect} ${flags})
      mlir_tablegen(${stem}.cpp.inc -gen-typedef-defs -typedefs-dialect=${dialect} ${flags})
    elseif(stem MATCHES "Attrs$")
      mlir_tablegen(${stem}.h.inc -gen-attrdef-decls -attrdefs-dialect=${dialect} ${flags})
      mlir_tablegen(${stem}.cpp.inc -gen-attrdef-defs -attrdefs-dialect=${dialect} ${flags})
      mlir_tablegen(${dialect}_${stem}Enums.h.inc -gen-enum-decls ${flags})
      mlir_tablegen(${dialect}_${stem}Enums.cpp.inc -gen-enum-defs ${flags})
    elseif(stem MATCHES "Interfaces$")
      mlir_tablegen(${stem}.h.inc -gen-op-interface-decls ${flags})
      mlir_tablegen(${stem}.cpp.inc -gen-op-interface-defs ${flags})
    else()
      mlir_tablegen(${stem}.h.inc -gen-op-decls ${flags})
      mlir_tablegen(${stem}.cpp.inc -gen-op-defs ${flags})
    endif()
  endforeach()
  add_public_tablegen_target(vcc_${dialect}_tablegen)
endfunction()

function(vcc_passes step)
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/Passes.td)
    return()
  endif()
  set(MLIR_MAIN_INCLUDE_DIR ${MLIR_INCLUDE_DIRS})
  set(LLVM_TARGET_DEFINITIONS Passes.td)
  mlir_tablegen(Passes.h.inc -gen-pass-decls -name=${step} -I${CMAKE_SOURCE_DIR} ${MLIR_TD_INCLUDES})
  add_public_tablegen_target(vcc_${step}_passes_tablegen)
  add_dependencies(vcc_${step} vcc_${step}_passes_tablegen)
endfunction()

function(vcc_gtest name)
  cmake_parse_arguments(A "" "" "DEPENDS" ${ARGN})
  add_executable(${name} ${A_UNPARSED_ARGUMENTS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_link_libraries(${name} PRIVATE ${A_DEPENDS} GTest::gtest_main GTest::gmock)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
  add_dependencies(vcc_tests ${name})
endfunction()
