// A linear model with one loss term: states in flat groups, the forward function, update, init.
// RUN: vcc-opt %s --convert-vcs-to-tg --tg-simplify | FileCheck %s

vcs.module @prelude {
  vcs.op @linear {
    vcs.param "x" : #vcs.tensor<f32, [..., "K"]>
    vcs.param "weight" : #vcs.tensor<f32, ["N", "K"]>
  }
  vcs.op @cross_entropy {
    vcs.param "logits" : #vcs.tensor<f32, ["N", "V"]>
    vcs.param "labels" : #vcs.tensor<i32, ["N"]>
    vcs.param "smoothing" : #vcs.named<float> default { %0 = vcs.literal 0.0 : f64 vcs.yield %0 }
    vcs.param "ignore" : #vcs.named<int> default { %0 = vcs.literal -100 : i64 vcs.yield %0 }
  }
  vcs.op @sum {
    vcs.param "x" : #vcs.tensor<f32, [...]>
    vcs.param "axis" : #vcs.named<any> default { %0 = vcs.literal unit vcs.yield %0 }
    vcs.param "keep" : #vcs.named<bool> default { %0 = vcs.literal false vcs.yield %0 }
  }
  vcs.op @reshape {
    vcs.param "x" : #vcs.named<any>
    vcs.param "shape" : #vcs.named<any>
  }
  vcs.op @zeros { vcs.param "shape" : #vcs.named<any> default { %0 = vcs.literal unit vcs.yield %0 } }
  vcs.op @normal {
    vcs.param "mean" : #vcs.named<float>
    vcs.param "std" : #vcs.named<float>
  }
}

vcs.module @rules {
  vcs.optimizer @plain {
    vcs.param "momentum" : #vcs.named<float> default { %0 = vcs.literal 0.5 : f64 vcs.yield %0 }
    vcs.state "velocity" { %0 = vcs.ref @prelude::@zeros vcs.yield %0 }
    vcs.fn @update method params {
      vcs.param "w" : #vcs.tensor<f32, ["N"]>
      vcs.param "g" : #vcs.tensor<f32, ["N"]>
      vcs.param "velocity" : #vcs.tensor<f32, ["N"]>
      vcs.param "lr" : #vcs.tensor<f32, []>
      vcs.param "decay" : #vcs.named<bool>
    } body {
    ^bb0(%self: !vcs.value, %w: !vcs.value, %g: !vcs.value, %v: !vcs.value, %lr: !vcs.value, %decay: !vcs.value):
      %m = vcs.argument "momentum"
      %0 = vcs.binary mul %v, %m
      %1 = vcs.binary add %0, %g
      %2 = vcs.binary mul %lr, %1
      %3 = vcs.binary sub %w, %2
      %4 = vcs.tuple(%3, %1)
      vcs.return %4
    }
  }
  vcs.schedule_decl @fixed {
    vcs.fn @factor method params {
      vcs.param "step" : #vcs.tensor<f32, []>
      vcs.param "total" : #vcs.tensor<f32, []>
    } body {
    ^bb0(%self: !vcs.value, %step: !vcs.value, %total: !vcs.value):
      %0 = vcs.binary div %step, %total
      vcs.return %0
    }
  }
  vcs.dataset_format @images {
    vcs.param "file" : #vcs.named<path>
    vcs.param "media" : #vcs.named<path>
    vcs.record_field "media" keys ["image"] string {}
    vcs.record_field "label" keys ["label"] string {}
  }
}

vcs.module @demo main {
  vcs.dataset @train {
    %f = vcs.ref @rules::@images
    %0 = vcs.literal "train.json"
    %1 = vcs.literal "images/"
    %2 = vcs.call %f(%0, media = %1)
    vcs.yield %2
  } options {}
  vcs.layer @Head {
    vcs.param "classes" : #vcs.named<int>
    vcs.weight "weight" f32 shape {
      %0 = vcs.argument "classes"
      %1 = vcs.literal 48 : i64
      vcs.yield %0, %1
    } init {
      %f = vcs.ref @prelude::@normal
      %0 = vcs.literal 0.0 : f64
      %1 = vcs.literal 0.1 : f64
      %2 = vcs.call %f(%0, %1)
      vcs.yield %2
    }
    vcs.weight "bias" f32 shape {
      %0 = vcs.argument "classes"
      vcs.yield %0
    } init {
      %0 = vcs.ref @prelude::@zeros
      vcs.yield %0
    }
    vcs.fn @forward method params {
      vcs.param "x" : #vcs.tensor<f32, ["B", 48]>
    } body {
    ^bb0(%self: !vcs.value, %x: !vcs.value):
      %f = vcs.ref @prelude::@linear
      %w = vcs.get %self "weight"
      %b = vcs.get %self "bias"
      %0 = vcs.call %f(%x, %w)
      %1 = vcs.binary add %0, %b
      vcs.return %1
    }
  }
  vcs.model @Demo {
    vcs.component "head" head {
      %f = vcs.ref @demo::@Head
      %0 = vcs.literal 3 : i64
      %1 = vcs.call %f(%0)
      vcs.yield %1
    }
  }
  vcs.stage "fit" number 1 of @demo::@Demo {
    vcs.train #vcs.selector<["head" at [1:1:1]]>
    vcs.start [] { vcs.from_init }
    vcs.batch {
      vcs.rows "images" count { %0 = vcs.literal 2 : i64 vcs.yield %0 } from {
        %0 = vcs.ref @demo::@train
        vcs.yield %0
      } options {
        vcs.option "size" { %0 = vcs.literal 4 : i64 vcs.yield %0 }
      }
      vcs.label_field "kind" options {
        vcs.option "from" { %0 = vcs.word "label" vcs.yield %0 }
        vcs.option "of" {
          %0 = vcs.literal "a"
          %1 = vcs.literal "b"
          %2 = vcs.literal "c"
          %3 = vcs.list[%0, %1, %2]
          vcs.yield %3
        }
      }
    }
    vcs.loss {
      %head = vcs.part "head"
      %clip = vcs.input "clip"
      %kind = vcs.input "kind"
      %reshape = vcs.ref @prelude::@reshape
      %2 = vcs.literal 2 : i64
      %48 = vcs.literal 48 : i64
      %shape = vcs.list[%2, %48]
      %x = vcs.call %reshape(%clip, %shape)
      %logits = vcs.call %head(%x)
      %ce = vcs.ref @prelude::@cross_entropy
      %each = vcs.call %ce(%logits, %kind)
      %sum = vcs.ref @prelude::@sum
      %total = vcs.call %sum(%each)
      vcs.term "class", %total
      vcs.yield
    }
    vcs.optimize { %0 = vcs.ref @rules::@plain vcs.yield %0 } options {
      vcs.option "lr" { %0 = vcs.literal 0.25 : f64 vcs.yield %0 }
      vcs.option "decay" { %0 = vcs.word "matrices" vcs.yield %0 }
    }
    vcs.schedule { %0 = vcs.ref @rules::@fixed vcs.yield %0 } options {
      vcs.option "steps" { %0 = vcs.literal 8 : i64 vcs.yield %0 }
    }
  }
}

// Decay makes a group of its own of the matrix and the vector.
// CHECK: module attributes {tg.accumulate = 1 : i64, tg.stage = "fit"}
// CHECK: tg.state @"group0:weight" weight : tensor<144xf32>
// CHECK: tg.state @"group0:gradient" gradient : tensor<144xf32>
// CHECK: tg.state @"group0:velocity" moment : tensor<144xf32>
// CHECK: tg.state @"group1:weight" weight : tensor<16xf32>
// CHECK: tg.state @head.weight weight trainable in(@"group0:weight", 0) : tensor<3x48xf32>
// CHECK: tg.state @"gradient:head.weight" gradient in(@"group0:gradient", 0) : tensor<3x48xf32>
// CHECK: tg.state @head.bias weight trainable in(@"group1:weight", 0) : tensor<3xf32>

// CHECK-LABEL: func.func @forward_main()
// CHECK: tg.input "clip.pixels" : tensor<2x1x3x4x4xui8>
// CHECK: tg.input "kind" : tensor<2xi32>
// CHECK: %[[W:.*]] = tg.read @head.weight
// CHECK: tg.dot_general %{{.*}}, %[[W]]
// CHECK: tg.cross_entropy
// CHECK: %[[TERM:.*]] = tg.reduce
// CHECK: tg.output "loss.class", %[[TERM]]
// CHECK: tg.loss %[[TERM]]

// CHECK-LABEL: func.func @update()
// CHECK-DAG: tg.input "step.index"
// CHECK-DAG: tg.input "step.total"
// CHECK: tg.output "lr"
// CHECK: tg.write @"group0:weight"
// CHECK: tg.write @"group0:velocity"
// CHECK: tg.write @"group1:weight"

// CHECK-LABEL: func.func @init()
// CHECK: tg.random_normal %{{.*}} {site = #tg.site<"head.weight">} : (tensor<4xi32>) -> tensor<1x144xf32>
// CHECK: tg.write @head.weight
// CHECK: tg.write @head.bias
// CHECK: tg.write @"group0:velocity"
