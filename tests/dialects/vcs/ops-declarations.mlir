// SPDX-License-Identifier: Apache-2.0
// RUN: vcc-opt --verify-roundtrip %s | FileCheck %s
// Every declaration and every clause of a stage.

vcs.module @m main {
  // CHECK: vcs.const @frames doc "per clip"
  vcs.const @frames doc "per clip" {
    %0 = vcs.literal 8 : i64
    vcs.yield %0
  }
  // CHECK: vcs.layer @L
  vcs.layer @L {
    vcs.param "bias" : #vcs.named<bool> default {
      %0 = vcs.literal true
      vcs.yield %0
    }
    // CHECK: vcs.weight "scale" f32 shape
    // CHECK: within
    vcs.weight "scale" f32 shape {
      %0 = vcs.literal 4 : i64
      vcs.yield %0
    } init {
      %0 = vcs.builtin "ones"
      vcs.yield %0
    } within {
      %0 = vcs.literal 0.0 : f64
      %1 = vcs.literal 1.0 : f64
      vcs.yield %0, %1
    }
    // CHECK: vcs.static_if {
    // CHECK: } then {
    // CHECK: } else {
    vcs.static_if {
      %0 = vcs.argument "bias"
      vcs.yield %0
    } then {
      vcs.field "shift" {
        %0 = vcs.self
        %1 = vcs.get %0 "scale"
        vcs.yield %1
      }
    } else {
      vcs.field "other" {
        %0 = vcs.literal unit
        vcs.yield %0
      }
    }
    // CHECK: vcs.group "ends" = [#vcs.selector<["layers[0]", "layers[-1].{{\*}}"]>]
    vcs.group "ends" = [#vcs.selector<["layers[0]", "layers[-1].*"]>]
    // CHECK: vcs.fn @forward method params
    vcs.fn @forward method params {
      vcs.param "x" : #vcs.tensor<f32, [...]>
    } body {
    ^bb0(%self: !vcs.value, %x: !vcs.value):
      vcs.return %x
    }
  }
  vcs.model @M {
    // CHECK: vcs.component "vision" encoder {
    vcs.component "vision" encoder {
      %0 = vcs.ref @m::@L
      %1 = vcs.call %0()
      vcs.yield %1
    }
    // CHECK: vcs.lora "adapter" [#vcs.selector<["vision.blocks{{\[\*\]}}.q" at [3:4:6, 3:11:6, 3:17:3, 3:21:1]]>] {
    vcs.lora "adapter" [#vcs.selector<["vision.blocks[*].q" at [3:4:6, 3:11:6, 3:17:3, 3:21:1]]>] {
      vcs.option "rank" {
        %0 = vcs.literal 4 : i64
        vcs.yield %0
      }
    }
  }
  // CHECK: vcs.dataset_format @json
  vcs.dataset_format @json {
    vcs.param "file" : #vcs.named<path>
    // CHECK: vcs.record_field "media" keys ["video", "image"] string {
    // CHECK: vcs.record_field "turns" keys ["QA"] record list {
    vcs.record_field "media" keys ["video", "image"] string {}
    vcs.record_field "turns" keys ["QA"] record list {
      vcs.record_field "q" keys ["q"] string {}
    }
  }
  // CHECK: vcs.dataset @train {
  // CHECK: } options {
  vcs.dataset @train {
    %0 = vcs.ref @m::@json
    %1 = vcs.literal "train.json"
    %2 = vcs.call %0(%1)
    vcs.yield %2
  } options {
    vcs.option "on_error" {
      %0 = vcs.literal 1.0 : f64 unit percent
      vcs.yield %0
    }
  }
  vcs.tokenizer @words {
    %0 = vcs.builtin "wordpiece"
    vcs.yield %0
  }
  // CHECK: vcs.template @plain {
  // CHECK-NEXT: vcs.segment assistant "{a}"
  // CHECK-NEXT: vcs.prompts ["say"]
  vcs.template @plain {
    vcs.segment assistant "{a}"
    vcs.prompts ["say"]
  }
  vcs.optimizer @plain_descent {
    vcs.state "m" {
      %0 = vcs.builtin "zeros"
      vcs.yield %0
    }
  }
  vcs.schedule_decl @flat {
  }
  // CHECK: vcs.stage "s" number 2 of @m::@M {
  vcs.stage "s" number 2 of @m::@M {
    // CHECK: vcs.uses <["vision"] except ["text", "cls"]>
    vcs.uses #vcs.selector<["vision"] except ["text", "cls"]>
    vcs.train #vcs.selector<["vision.blocks[0..3]"]>
    vcs.freeze #vcs.selector<["vision.blocks[3..]"]>
    vcs.idle #vcs.selector<["*"]>
    vcs.recompute #vcs.selector<["vision"]>
    // CHECK: vcs.start [#vcs.selector<["vision"]>] except <["text"]> {
    vcs.start [#vcs.selector<["vision"]>] except #vcs.selector<["text"]> {
      vcs.from_stage "earlier"
      vcs.from_file {
        %0 = vcs.literal "w.safetensors"
        vcs.yield %0
      }
      vcs.from_file {
        %0 = vcs.literal "w.pth"
        vcs.yield %0
      // CHECK: } rename {{\[\[}}"a.*", "b.*"], ["c", ""]] inside "model"
      } rename [["a.*", "b.*"], ["c", ""]] inside "model"
      vcs.from_init
    }
    vcs.batch {
      vcs.rows "clips" count {
        %0 = vcs.literal 4 : i64
        vcs.yield %0
      } from {
        %0 = vcs.ref @m::@train
        vcs.yield %0
      } options {
      }
      vcs.text_field "text" {
        %0 = vcs.ref @m::@words
        vcs.yield %0
      } options {
      }
      vcs.label_field "kind" options {
      }
      vcs.accumulate {
        %0 = vcs.literal 2 : i64
        vcs.yield %0
      }
    }
    vcs.loss {
      %0 = vcs.part "vision"
      vcs.term "a", %0
      vcs.yield
    }
    // CHECK: vcs.optimize {
    // CHECK: vcs.per_weight "lr" of <["vision"]> {
    // CHECK: vcs.per_weight "lr" {
    vcs.optimize {
      %0 = vcs.ref @m::@plain_descent
      vcs.yield %0
    } options {
      vcs.per_weight "lr" of #vcs.selector<["vision"]> {
        %0 = vcs.literal 1.0 : f64
        vcs.yield %0
      }
      vcs.per_weight "lr" {
        %0 = vcs.literal 2.0 : f64
        vcs.yield %0
      }
    }
    vcs.schedule {
      %0 = vcs.ref @m::@flat
      vcs.yield %0
    } options {
    }
    // CHECK: vcs.precision {
    vcs.precision {
      %0 = vcs.builtin "f32"
      vcs.yield %0
    }
    // CHECK: vcs.evaluate "held" <end> on {
    vcs.evaluate "held" #vcs.when<end> on {
      %0 = vcs.ref @m::@train
      vcs.yield %0
    } options {
    }
    // CHECK: vcs.save <every 5.000000e-01 epochs> {
    vcs.save #vcs.when<every 5.000000e-01 epochs> {
    }
    // CHECK: vcs.log <every 1.000000e+01 steps>
    vcs.log #vcs.when<every 1.000000e+01 steps>
  }
}
