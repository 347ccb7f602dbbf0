// SPDX-License-Identifier: Apache-2.0
//
// Keys of files as paths: patterns, their order, and the rule that is suggested.
#include "runtime/weights/KeyMap.h"

#include <gtest/gtest.h>

namespace vcc::runtime {
namespace {

TEST(KeyMap, PatternsMatchWholeKeys) {
  EXPECT_EQ(renamed("a.b", "a.b", "c"), "c");
  EXPECT_EQ(renamed("a.b.c", "a.b", "c"), std::nullopt);
  EXPECT_EQ(renamed("xa.b", "a.b", "c"), std::nullopt);
  EXPECT_EQ(renamed("llama_model.layers.0.w", "llama_model.*", "lm.*"), "lm.layers.0.w");
  EXPECT_EQ(renamed("llama_model.", "llama_model.*", "lm.*"), std::nullopt); // one or more
  EXPECT_EQ(renamed("llama_model", "llama_model*", "lm*"), std::nullopt);
  EXPECT_EQ(renamed("a.b", "*", "net.*"), "net.a.b");
  EXPECT_EQ(renamed("blocks.3.attn.qkv.weight", "blocks.*.attn.*", "layers.*.self.*"), "layers.3.self.qkv.weight");
  EXPECT_EQ(renamed("a.1.b.1.b", "a.*.b", "c.*"), "c.1.b.1");        // the last one takes the rest
  EXPECT_EQ(renamed("a.1.b.2.b.w", "a.*.b.*", "*|*"), "1|2.b.w");    // the first as little as possible
  EXPECT_EQ(renamed("aa", "a*a", "x"), std::nullopt);
  EXPECT_EQ(renamed("w.bias", "*.bias", "*.shift"), "w.shift");
  EXPECT_EQ(renamed("decoder.x", "decoder.*", ""), "");
}

TEST(KeyMap, TheFirstRuleThatMatchesCounts) {
  manifest::FileKeys rules{"", {{"enc.head.*", ""}, {"enc.*", "vision.*"}, {"none.*", "x.*"}}};
  KeyMap map(&rules, {"enc.head.w", "enc.w", "other"});
  EXPECT_EQ(map.pathOf("enc.head.w"), "");
  EXPECT_EQ(map.pathOf("enc.w"), "vision.w");
  EXPECT_EQ(map.pathOf("other"), "other");
  EXPECT_EQ(map.keysOf("vision.w"), std::vector<std::string>{"enc.w"});
  EXPECT_TRUE(map.keysOf("vision.head.w").empty());
  EXPECT_EQ(map.idle(), std::vector<std::string>{"\"none.*\" -> \"x.*\""});
  EXPECT_EQ(map.paths(), (std::vector<std::string>{"other", "vision.w"}));
}

TEST(KeyMap, KeepsAllKeysOfAPath) {
  manifest::FileKeys rules{"", {{"*.a", "*.w"}}};
  KeyMap map(&rules, {"x.a", "x.w"});
  EXPECT_EQ(map.keysOf("x.w"), (std::vector<std::string>{"x.a", "x.w"}));
}

TEST(KeyMap, WithoutRulesKeysArePaths) {
  KeyMap map(nullptr, {"a", "b.c"});
  EXPECT_EQ(map.pathOf("b.c"), "b.c");
  EXPECT_TRUE(map.idle().empty());
}

TEST(KeyMap, SuggestsTheBeginningThatDiffers) {
  EXPECT_EQ(suggestRename({"vision.encoder.blocks.0.attn.w", "vision.encoder.blocks.1.attn.w", "vision.norm.w"},
                          {"vision_encoder.encoder.blocks.0.attn.w", "vision_encoder.encoder.blocks.1.attn.w", "text.w"}),
            "rename { \"vision_encoder.*\" -> \"vision.*\" }");
  EXPECT_EQ(suggestRename({"vision.blocks.0.w", "vision.blocks.1.w"}, {"blocks.0.w", "blocks.1.w"}), "rename { \"*\" -> \"vision.*\" }");
  EXPECT_EQ(suggestRename({"a.w", "b.w"}, {"c.x", "d.w"}), "");
  EXPECT_EQ(suggestRename({"project.weight", "project.bias"}, {"mm_projector.weight", "mm_projector.bias"}),
            "rename { \"mm_projector.*\" -> \"project.*\" }");
  EXPECT_EQ(suggestRename({}, {"c.x"}), "");
}

} // namespace
} // namespace vcc::runtime
