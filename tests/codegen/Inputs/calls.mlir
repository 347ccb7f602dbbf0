llvm.func @expf(f32) -> f32
llvm.func @scalar(%x: !llvm.ptr, %n: !llvm.ptr, %a: i64, %b: i64) {
  %v = llvm.load %x : !llvm.ptr -> f32
  %e = llvm.call @expf(%v) : (f32) -> f32
  llvm.store %e, %x : f32, !llvm.ptr
  llvm.return
}
