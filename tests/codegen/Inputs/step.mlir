// A step with all that a kernel or a library call can be: table rows, norms, products, attention, draws, losses, sums, updates.
module attributes {tg.stage = "toy"} {
  tg.state @"group0:weight" weight : tensor<1184xf32>
  tg.state @"group0:gradient" gradient : tensor<1184xf32>
  tg.state @"emb" weight trainable in(@"group0:weight", 0) : tensor<10x16xf32>
  tg.state @"gradient:emb" gradient in(@"group0:gradient", 0) : tensor<10x16xf32>
  tg.state @"w1" weight trainable in(@"group0:weight", 160) : tensor<16x48xf32>
  tg.state @"gradient:w1" gradient in(@"group0:gradient", 160) : tensor<16x48xf32>
  tg.state @"b1" weight trainable in(@"group0:weight", 928) : tensor<48xf32>
  tg.state @"gradient:b1" gradient in(@"group0:gradient", 928) : tensor<48xf32>
  tg.state @"w2" weight trainable in(@"group0:weight", 976) : tensor<16x10xf32>
  tg.state @"gradient:w2" gradient in(@"group0:gradient", 976) : tensor<16x10xf32>
  tg.state @"g" weight trainable in(@"group0:weight", 1136) : tensor<16xf32>
  tg.state @"gradient:g" gradient in(@"group0:gradient", 1136) : tensor<16xf32>
  func.func @forward_main() {
    %rng = tg.input "rng" : tensor<4xi32>
    %ids = tg.input "ids" : tensor<2x6xi32>
    %labels = tg.input "labels" : tensor<2x6xi32>
    %emb = tg.read @emb : tensor<10x16xf32>
    %w1 = tg.read @w1 : tensor<16x48xf32>
    %b1 = tg.read @b1 : tensor<48xf32>
    %w2 = tg.read @w2 : tensor<16x10xf32>
    %gamma = tg.read @g : tensor<16xf32>
    %x = tg.gather %emb, %ids : (tensor<10x16xf32>, tensor<2x6xi32>) -> tensor<2x6x16xf32>
    %sum = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 2>} : (tensor<2x6x16xf32>) -> tensor<2x6xf32>
    %n = tg.constant dense<6.250000e-02> : tensor<2x6xf32>
    %mean = tg.mul %sum, %n : tensor<2x6xf32>
    %mb = tg.broadcast %mean {axes = array<i64: 0, 1>} : (tensor<2x6xf32>) -> tensor<2x6x16xf32>
    %d = tg.sub %x, %mb : tensor<2x6x16xf32>
    %dd = tg.mul %d, %d : tensor<2x6x16xf32>
    %ss = tg.reduce %dd {kind = #tg.reduce_kind<sum>, axes = array<i64: 2>} : (tensor<2x6x16xf32>) -> tensor<2x6xf32>
    %var = tg.mul %ss, %n : tensor<2x6xf32>
    %eps = tg.constant dense<1.0e-05> : tensor<2x6xf32>
    %ve = tg.add %var, %eps : tensor<2x6xf32>
    %rs = tg.rsqrt %ve : tensor<2x6xf32>
    %rb = tg.broadcast %rs {axes = array<i64: 0, 1>} : (tensor<2x6xf32>) -> tensor<2x6x16xf32>
    %nx = tg.mul %d, %rb : tensor<2x6x16xf32>
    %gb = tg.broadcast %gamma {axes = array<i64: 2>} : (tensor<16xf32>) -> tensor<2x6x16xf32>
    %nx2 = tg.mul %nx, %gb : tensor<2x6x16xf32>
    %h = tg.dot_general %nx2, %w1 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 2>, contract_b = array<i64: 0>} : (tensor<2x6x16xf32>, tensor<16x48xf32>) -> tensor<2x6x48xf32>
    %bb = tg.broadcast %b1 {axes = array<i64: 2>} : (tensor<48xf32>) -> tensor<2x6x48xf32>
    %hb = tg.add %h, %bb : tensor<2x6x48xf32>
    %r = tg.reshape %hb : (tensor<2x6x48xf32>) -> tensor<2x6x3x2x8xf32>
    %q5 = tg.slice %r {offsets = array<i64: 0, 0, 0, 0, 0>, sizes = array<i64: 2, 6, 1, 2, 8>, strides = array<i64: 1, 1, 1, 1, 1>} : (tensor<2x6x3x2x8xf32>) -> tensor<2x6x1x2x8xf32>
    %k5 = tg.slice %r {offsets = array<i64: 0, 0, 1, 0, 0>, sizes = array<i64: 2, 6, 1, 2, 8>, strides = array<i64: 1, 1, 1, 1, 1>} : (tensor<2x6x3x2x8xf32>) -> tensor<2x6x1x2x8xf32>
    %v5 = tg.slice %r {offsets = array<i64: 0, 0, 2, 0, 0>, sizes = array<i64: 2, 6, 1, 2, 8>, strides = array<i64: 1, 1, 1, 1, 1>} : (tensor<2x6x3x2x8xf32>) -> tensor<2x6x1x2x8xf32>
    %q = tg.reshape %q5 : (tensor<2x6x1x2x8xf32>) -> tensor<2x6x2x8xf32>
    %k = tg.reshape %k5 : (tensor<2x6x1x2x8xf32>) -> tensor<2x6x2x8xf32>
    %v = tg.reshape %v5 : (tensor<2x6x1x2x8xf32>) -> tensor<2x6x2x8xf32>
    %o, %lse = tg.attention %q, %k, %v {causal, scale = 3.535534e-01 : f64} : tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32> -> tensor<2x6x2x8xf32>, tensor<2x2x6xf32>
    %oo = tg.reshape %o : (tensor<2x6x2x8xf32>) -> tensor<2x6x16xf32>
    %u = tg.random_uniform %rng {site = #tg.site<"drop">} : (tensor<4xi32>) -> tensor<2x6x16xf32>
    %p = tg.constant dense<2.500000e-01> : tensor<2x6x16xf32>
    %keep = tg.compare %u, %p {predicate = #tg.predicate<ge>} : tensor<2x6x16xf32>
    %z = tg.constant dense<0.0> : tensor<2x6x16xf32>
    %od = tg.select %keep, %oo, %z : tensor<2x6x16xi1>, tensor<2x6x16xf32>
    %y = tg.add %od, %x : tensor<2x6x16xf32>
    %e = tg.erf %y : tensor<2x6x16xf32>
    %ye = tg.mul %y, %e : tensor<2x6x16xf32>
    %logits = tg.dot_general %ye, %w2 {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 2>, contract_b = array<i64: 0>} : (tensor<2x6x16xf32>, tensor<16x10xf32>) -> tensor<2x6x10xf32>
    %l2 = tg.reshape %logits : (tensor<2x6x10xf32>) -> tensor<12x10xf32>
    %lab = tg.reshape %labels : (tensor<2x6xi32>) -> tensor<12xi32>
    %loss, %lse2 = tg.cross_entropy %l2, %lab {smoothing = 1.0e-01 : f64} : (tensor<12x10xf32>, tensor<12xi32>) -> (tensor<12xf32>, tensor<12xf32>)
    %total = tg.reduce %loss {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<12xf32>) -> tensor<f32>
    tg.loss %total : tensor<f32>
    return
  }
  func.func @update() {
    %w = tg.read @"group0:weight" : tensor<1184xf32>
    %g = tg.read @"group0:gradient" : tensor<1184xf32>
    %gg = tg.mul %g, %g : tensor<1184xf32>
    %s = tg.reduce %gg {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<1184xf32>) -> tensor<f32>
    %norm = tg.sqrt %s : tensor<f32>
    tg.output "grad_norm", %norm : tensor<f32>
    %lr = tg.constant dense<1.0e-01> : tensor<f32>
    %step = tg.div %lr, %norm : tensor<f32>
    %sb = tg.broadcast %step {axes = array<i64>} : (tensor<f32>) -> tensor<1184xf32>
    %u = tg.mul %g, %sb : tensor<1184xf32>
    %w2 = tg.sub %w, %u : tensor<1184xf32>
    tg.write @"group0:weight", %w2 : tensor<1184xf32>
    return
  }
  func.func @init() {
    %rng = tg.input "rng" : tensor<4xi32>
    %e = tg.random_normal %rng {site = #tg.site<"emb">} : (tensor<4xi32>) -> tensor<1x160xf32>
    %scale_e = tg.constant dense<0.25> : tensor<1x160xf32>
    %es = tg.mul %e, %scale_e : tensor<1x160xf32>
    %er = tg.reshape %es : (tensor<1x160xf32>) -> tensor<10x16xf32>
    tg.write @emb, %er : tensor<10x16xf32>
    %z = tg.constant dense<0.5> : tensor<48xf32>
    tg.write @b1, %z : tensor<48xf32>
    %o = tg.constant dense<1.0> : tensor<16xf32>
    tg.write @g, %o : tensor<16xf32>
    %a = tg.random_normal %rng {site = #tg.site<"w1">} : (tensor<4xi32>) -> tensor<1x768xf32>
    %scale_a = tg.constant dense<0.25> : tensor<1x768xf32>
    %as = tg.mul %a, %scale_a : tensor<1x768xf32>
    %ar = tg.reshape %as : (tensor<1x768xf32>) -> tensor<16x48xf32>
    tg.write @w1, %ar : tensor<16x48xf32>
    %b = tg.random_normal %rng {site = #tg.site<"w2">} : (tensor<4xi32>) -> tensor<1x160xf32>
    %bs = tg.mul %b, %scale_e : tensor<1x160xf32>
    %br = tg.reshape %bs : (tensor<1x160xf32>) -> tensor<16x10xf32>
    tg.write @w2, %br : tensor<16x10xf32>
    return
  }
}
