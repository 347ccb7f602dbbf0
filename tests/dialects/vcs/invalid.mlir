// SPDX-License-Identifier: Apache-2.0
// RUN: vcc-opt --split-input-file --verify-diagnostics %s

// A literal of no kind of the language.
vcs.module @m {
  vcs.const @a {
    // expected-error @below {{value must be an i64, an f64, a string, a boolean or `unit`}}
    %0 = vcs.literal 1 : i32
    vcs.yield %0
  }
}

// -----

// A unit on a string.
vcs.module @m {
  vcs.const @a {
    // expected-error @below {{only a number has a unit}}
    %0 = vcs.literal "a" unit steps
    vcs.yield %0
  }
}

// -----

// An expression region yields one value.
vcs.module @m {
  // expected-error @below {{region `value` must yield 1 values but yields 0}}
  vcs.const @a {
    vcs.yield
  }
}

// -----

// A reference to nothing.
vcs.module @m {
  vcs.const @a {
    // expected-error @below {{refers to @m::@b, which is not declared}}
    %0 = vcs.ref @m::@b
    vcs.yield %0
  }
}

// -----

// Positional arguments stand first.
vcs.module @m {
  vcs.const @a {
    %0 = vcs.builtin "len"
    // expected-error @below {{has a positional argument after a named one}}
    %1 = vcs.call %0(x = %0, %0)
    vcs.yield %1
  }
}

// -----

// A function's body takes what its signature says.
vcs.module @m {
  // expected-error @below {{body must take 1 arguments but takes 0}}
  vcs.fn @f params {
    vcs.param "x" : #vcs.named<int>
  } body {
    %0 = vcs.literal 1 : i64
    vcs.return %0
  }
}

// -----

// Sizes that are expressions are yielded beside the type.
vcs.module @m {
  vcs.struct @s {
    // expected-error @below {{region `dims` must be one block}}
    vcs.param "x" : #vcs.tensor<f32, [value 0]>
  }
}

// -----

// A stage is of a model.
vcs.module @m {
  vcs.struct @s {
  }
  // expected-error @below {{is of @m::@s, which is no model}}
  vcs.stage "a" of @m::@s {
  }
}

// -----

// What stands between a selector's dots.
// expected-error @below {{`a..b` is not a path of names, `*` and [indices]}}
module attributes {vcs.a = #vcs.selector<["a..b"]>} {}

// -----

// Fields only in a conditional part of a layer.
vcs.module @m {
  vcs.layer @l {
    // expected-error @below {{holds vcs.option where a field is expected}}
    vcs.static_if {
      %0 = vcs.literal true
      vcs.yield %0
    } then {
      vcs.option "a" {
        %0 = vcs.literal true
        vcs.yield %0
      }
    }
  }
}

// -----

// A loop's block takes its targets and what it carries.
vcs.module @m {
  vcs.fn @f params {
  } body {
    %0 = vcs.literal 1 : i64
    // expected-error @below {{region `body` must take 2 arguments but takes 1}}
    %1 = vcs.for %0 targets 1 carry(%0) {
    ^bb0(%i: !vcs.value):
      vcs.yield %i
    } -> !vcs.value
    vcs.return %1
  }
}
