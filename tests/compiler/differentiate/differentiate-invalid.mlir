// RUN: vcc-opt %s --split-input-file --tg-differentiate --verify-diagnostics

module {
  tg.state @w weight trainable : tensor<f32>
  // expected-error@+1 {{trainable weight `lost` has no path to the loss and is not listed in `tg.idle`}}
  tg.state @lost weight trainable : tensor<f32>
  func.func @forward_main() {
    %w = tg.read @w : tensor<f32>
    %lost = tg.read @lost : tensor<f32>
    tg.output "aside", %lost : tensor<f32>
    tg.loss %w : tensor<f32>
    return
  }
}

// -----

module {
  tg.state @w weight trainable : tensor<f32>
  func.func @forward_main() {
    %w = tg.read @w : tensor<f32>
    // expected-error@+1 {{has no gradient: it is constant between its jumps}}
    %f = tg.floor %w : tensor<f32>
    tg.loss %f : tensor<f32>
    return
  }
}

// -----

module {
  tg.state @w weight trainable : tensor<f32>
  // expected-error@+1 {{has 2 losses, but differentiation starts from exactly one}}
  func.func @forward_main() {
    %w = tg.read @w : tensor<f32>
    tg.loss %w : tensor<f32>
    tg.loss %w : tensor<f32>
    return
  }
}
