// RUN: vcc-opt %s --split-input-file --verify-diagnostics

// A buffer is as large as its type.
exec.module @stage sizes {weights = 64, state = 0, arena = 0, io = 0, constant = 0} {
  // expected-error @below {{is 8 bytes but 'tensor<4xf32>' takes 16}}
  exec.buffer @w weights at 0 size 8 : tensor<4xf32> why "frozen weight"
}

// -----

// A buffer lies inside its region.
exec.module @stage sizes {weights = 64, state = 0, arena = 0, io = 0, constant = 0} {
  // expected-error @below {{ends at byte 80 but its region has 64 bytes}}
  exec.buffer @w weights at 64 size 16 : tensor<4xf32> why "frozen weight"
}

// -----

// Only a view may start anywhere.
exec.module @stage sizes {weights = 64, state = 0, arena = 0, io = 0, constant = 0} {
  // expected-error @below {{starts at 4 but only a view may break the alignment of 64 bytes}}
  exec.buffer @w weights at 4 size 16 : tensor<4xf32> why "frozen weight"
}

// -----

// A view lies inside what it views.
exec.module @stage sizes {weights = 128, state = 0, arena = 0, io = 0, constant = 0} {
  // expected-note @below {{which is declared here}}
  exec.buffer @w weights at 0 size 16 : tensor<4xf32> why "frozen weight"
  // expected-error @below {{is a view of `w` but does not lie inside it}}
  exec.buffer @v weights at 8 size 16 : tensor<4xf32> view @w why "frozen weight"
}

// -----

// What a launch names exists.
exec.module @stage sizes {weights = 64, state = 64, arena = 0, io = 0, constant = 0} {
  exec.buffer @w state at 0 size 16 : tensor<4xf32> why "trained weight"
  exec.function @f {
    // expected-error @below {{uses buffer @x but there is no such buffer}}
    exec.copy @w = @x size 16 update "w" flops 0 bytes 32
  }
}

// -----

// Constants are in the image of the program and cannot be written.
exec.module @stage sizes {weights = 0, state = 0, arena = 0, io = 0, constant = 64} {
  exec.buffer @c constant at 0 size 8 : tensor<2xf32> = dense<[1.0, 2.0]> : tensor<2xf32> why "constant"
  exec.function @f {
    // expected-error @below {{writes @c but it is a constant}}
    exec.fill @c size 8 update "c" flops 0 bytes 8
  }
}

// -----

// A launch gives its kernel what that takes.
tg.kernel @k(%x: tensor<f32>) attributes {columns = 1 : i64, kernel_class = #tg.kernel_class<flat>,
    params = [#tg.param<scalar>], results = [#tg.result<scalar>]} {
  tg.yield %x : tensor<f32>
}
exec.module @stage sizes {weights = 0, state = 64, arena = 0, io = 0, constant = 0} {
  exec.buffer @w state at 0 size 16 : tensor<4xf32> why "trained weight"
  exec.function @f {
    // expected-error @below {{gives 2 reads and 1 writes but `k` takes 1 and 1}}
    exec.launch @k reads [@w, @w] writes [@w] dims [4] access [#tg.access<0, [1]>, #tg.access<0, [1]>, #tg.access<0, [1]>] units 4 update "w" flops 0 bytes 32
  }
}

// -----

// An accumulating product has nothing else to add.
exec.module @stage sizes {weights = 0, state = 64, arena = 0, io = 0, constant = 0} {
  exec.buffer @w state at 0 size 16 : tensor<2x2xf32> why "trained weight"
  exec.function @f {
    // expected-error @below {{accumulates but also has a bias, an addend or an activation}}
    exec.gemm @w = @w * @w addend @w batch [1, 1] m 2 n 2 k 2 strides [0, 0, 2, 1], [0, 0, 2, 1], [0, 0, 2, 1] accumulate update "w" flops 0 bytes 0
  }
}

// -----

// Of one rank there is nothing to join.
exec.module @stage sizes {weights = 0, state = 128, arena = 0, io = 0, constant = 0} {
  exec.buffer @a state at 0 size 16 : tensor<4xf32> why "trained weight"
  exec.buffer @b state at 64 size 16 : tensor<4xf32> why "trained weight"
  exec.function @f {
    // expected-error @below {{joins 1 ranks of 16 bytes}}
    exec.gather @b = @a ranks 1 size 16 forward "a" flops 0 bytes 32
  }
}

// -----

exec.module @stage sizes {weights = 0, state = 128, arena = 0, io = 0, constant = 0} {
  exec.buffer @a state at 0 size 16 : tensor<4xf32> why "trained weight"
  exec.buffer @b state at 64 size 16 : tensor<4xf32> why "trained weight"
  exec.function @f {
    // expected-error @below {{joins 2 ranks of 0 bytes}}
    exec.reduce_scatter @b = @a ranks 2 size 0 backward "a" flops 0 bytes 32
  }
}
