// SPDX-License-Identifier: Apache-2.0
//
// Templates and text fields, token by token: which token stands where, which is supervised, what is
// cut.
#include "runtime/data/SampleError.h"
#include "runtime/data/text/TextField.h"
#include "runtime/program/Failure.h"
#include "tests/runtime_data/Scratch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sentencepiece_processor.h>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using namespace vcc::runtime::test;
using testing::HasSubstr;

namespace {

const char *const Annotations = R"([
 {"QA": [{"i": "look", "q": "what colour", "a": "dark red"}]},
 {"QA": [{"q": "what", "a": "red"}, {"q": "colour", "a": "</s> blue"}]},
 {"caption": "a circle"},
 {"text": "red blue"},
 {"kind": "odd"}
])";

struct Texts : testing::Test {
  Scratch Files;
  std::unique_ptr<Tokenizer> Words;
  sentencepiece::SentencePieceProcessor Pieces;
  manifest::Template Pattern{"tiny",
                             {{"system", "{i}"},
                              {"media", "human : <video> {visual} </video>"},
                              {"user", "{q}"},
                              {"assistant", "assistant : {a}"},
                              {"end", "</s>"}},
                             {"describe"}};
  manifest::Field Field;
  std::unique_ptr<RecordFile> File;
  Record Read;

  Texts() {
    std::string model = Files.words("lm", {"human", ":", "<video>", "</video>", "assistant", "look",
                                           "what", "colour", "dark", "red", "blue", "a", "circle",
                                           "describe", "extra", "user"});
    manifest::Tokenizer declared{"pieces", "sentencepiece", model, 19, false};
    Words = openTokenizer(declared, Files.dir());
    EXPECT_TRUE(Pieces.Load(Files.path(model)).ok());
    RecordSchema schema;
    schema.TurnsKey = "QA";
    schema.TurnFields = {{"i", "i"}, {"q", "q"}, {"a", "a"}};
    schema.CaptionKey = "caption";
    schema.TextKey = "text";
    File = std::make_unique<RecordFile>(Files.write("a.json", Annotations), schema);
    Field.name = "dialogue";
    Field.kind = manifest::Field::Kind::Template;
    Field.templateName = "tiny";
    size(16, 2);
  }

  void size(int64_t tokens, int64_t visual) {
    Field.maxTokens = tokens;
    Field.visual = visual;
    Field.length = tokens + visual;
  }

  Conversation conversation(uint64_t number, TurnChoice choice = TurnChoice::All,
                            uint64_t key = 0) {
    File->read(number, Read);
    return Conversation(Read, choice, Draws(1, Purpose::Turn, key, 0));
  }

  TextRow make(const Conversation &conversation) {
    bool templated = Field.kind == manifest::Field::Kind::Template;
    return TextField(Field, templated ? &Pattern : nullptr, *Words)
        .row(conversation, Draws(1, Purpose::Prompt, 0, 0));
  }

  /// Tokens in words; supervised ones in brackets, visual places as V, padding as _.
  std::string show(const TextRow &row) {
    std::string out;
    int64_t text = 0, first = Field.side == "left" ? Field.length - row.Length : 0;
    for (int64_t i = 0; i < Field.length; ++i) {
      std::string piece = Pieces.IdToPiece(row.Ids[i]);
      if (piece.starts_with("\xe2\x96\x81"))
        piece = piece.substr(3);
      bool used = i >= first && i < first + row.Length;
      bool visual = row.VisualAt >= 0 && i >= row.VisualAt && i < row.VisualAt + Field.visual;
      EXPECT_TRUE(row.Labels[i] == -100 || (row.Labels[i] == row.Ids[i] && used && !visual));
      if (!used || visual)
        piece = used ? "V" : "_";
      else
        ++text;
      out += (out.empty() ? "" : " ") + (row.Labels[i] >= 0 ? "[" + piece + "]" : piece);
    }
    EXPECT_EQ(text, row.Tokens);
    return out;
  }
  std::string show(uint64_t number) { return show(make(conversation(number))); }
};

TEST_F(Texts, oneTurn) {
  EXPECT_EQ(show(0), "<s> look human : <video> V V </video> what colour assistant : [dark] [red] "
                     "[</s>] _ _ _");
  EXPECT_EQ(make(conversation(0)).Supervised, 3);
  EXPECT_EQ(make(conversation(0)).Length, 15);
}

// Turns repeat user and assistant only; no instruction, no system segment; `</s>` in a record is
// text.
TEST_F(Texts, twoTurns) {
  EXPECT_EQ(show(1), "<s> human : <video> V V </video> what assistant : [red] colour assistant : "
                     "[<unk>] [blue] [</s>] _");
}

TEST_F(Texts, oneOfTwoTurns) {
  std::set<std::string> seen;
  for (uint64_t key = 0; key < 20; ++key)
    seen.insert(conversation(1, TurnChoice::One, key).turns().at(0).Question);
  EXPECT_EQ(seen, (std::set<std::string>{"what", "colour"}));
}

TEST_F(Texts, captionTakesAPrompt) {
  EXPECT_EQ(show(2),
            "<s> human : <video> V V </video> describe assistant : [a] [circle] [</s>] _ _ "
            "_ _ _");
}

TEST_F(Texts, plainTextHasNoQuestion) {
  Pattern.segments = {{"assistant", "{a}"}, {"end", "</s>"}};
  Field.supervise = "all";
  size(6, 0);
  EXPECT_EQ(show(3), "[<s>] [red] [blue] [</s>] _ _");
  // The first position is nobody's target.
  EXPECT_EQ(make(conversation(3)).Supervised, 3);
  Pattern.segments[0].text = "user : {text}";
  Field.supervise = "assistant";
  EXPECT_EQ(show(3), "<s> user : [red] [blue] [</s>]");
}

TEST_F(Texts, candidateTakesTheAnswersPlace) {
  Conversation asked = conversation(0);
  asked.answer("blue");
  EXPECT_EQ(show(make(asked)), "<s> look human : <video> V V </video> what colour assistant : "
                               "[blue] [</s>] _ _ _ _");
}

TEST_F(Texts, superviseAllAndNone) {
  Field.supervise = "all";
  EXPECT_EQ(show(2), "[<s>] [human] [:] [<video>] V V [</video>] [describe] [assistant] [:] [a] "
                     "[circle] [</s>] _ _ _ _ _");
  EXPECT_EQ(make(conversation(2)).Supervised, 10);
  Field.supervise = "none";
  EXPECT_EQ(make(conversation(2)).Supervised, 0);
}

// An end token inside an assistant segment belongs to every answer.
TEST_F(Texts, controlTokenInEveryTurn) {
  Pattern.segments = {{"user", "user {q}"}, {"assistant", "{a} </s>"}};
  size(9, 0);
  EXPECT_EQ(show(0), "<s> user what colour [dark] [red] [</s>] _ _");
}

TEST_F(Texts, cutLeavesVisualPlaces) {
  Field.supervise = "none";
  size(7, 2);
  EXPECT_EQ(show(0), "<s> look human : <video> V V </video> what");
  size(3, 2);
  EXPECT_EQ(show(0), "<s> look human V V");
  EXPECT_EQ(make(conversation(0)).Supervised, 0);
}

// Cut at its beginning a text keeps its begin token, whoever wrote it, and the visual places stay
// between their words; where these are gone, they follow the begin token.
TEST_F(Texts, cutOnTheLeft) {
  Field.cut = "left";
  const std::vector<std::pair<int64_t, const char *>> cuts = {
      {13, "<s> look human : <video> V V </video> what colour assistant : [dark] [red] [</s>]"},
      {11, "<s> : <video> V V </video> what colour assistant : [dark] [red] [</s>]"},
      {9, "<s> V V </video> what colour assistant : [dark] [red] [</s>]"},
      {7, "<s> V V colour assistant : [dark] [red] [</s>]"},
      {1, "<s> V V"}};
  for (const char *begin : {"", "<s> "}) {
    Pattern.segments[0].text = std::string(begin) + "{i}";
    for (bool bos : {true, false})
      for (auto [tokens, shown] : cuts) {
        Field.bos = bos;
        Field.supervise = tokens > 1 ? "assistant" : "none";
        size(tokens, 2);
        if (bos || *begin)
          EXPECT_EQ(show(0), shown) << begin << bos;
      }
  }
  Pattern.segments[0].text = "{i}";
  Field.supervise = "assistant";
  size(10, 2);
  EXPECT_EQ(show(0), ": <video> V V </video> what colour assistant : [dark] [red] [</s>]");
  size(3, 2);
  EXPECT_EQ(show(0), "V V [dark] [red] [</s>]");
}

// A row that nothing can be learned from is no row.
TEST_F(Texts, cutBeforeTheAnswer) {
  size(11, 2);
  EXPECT_EQ(make(conversation(0)).Supervised, 1);
  size(10, 2);
  try {
    make(conversation(0));
    ADD_FAILURE() << "made";
  } catch (const SampleError &error) {
    EXPECT_THAT(error.what(), HasSubstr("record 0: nothing of it is left to train on"));
  }
}

// Nor is one with nothing but what stands around an answer.
TEST_F(Texts, anEmptyAnswer) {
  size(20, 2);
  for (const char *mode : {"assistant", "answer", "roles"}) {
    Field.supervise = mode;
    Conversation silent = conversation(0);
    silent.answer(" ");
    EXPECT_THAT(failure([&] { make(silent); }), HasSubstr("its answers are empty")) << mode;
  }
}

// `answer`: what stands after `{a}` is not trained.
TEST_F(Texts, answerAlone) {
  Field.supervise = "answer";
  Pattern.segments = {{"user", "{q}"}, {"assistant", "assistant : {a}</s>"}};
  size(9, 0);
  EXPECT_EQ(show(0), "<s> what colour assistant : [dark] [red] </s> _");
}

// `roles`: what stands around questions is trained, the questions are not, nor is the media turn.
TEST_F(Texts, rolesAndAnswers) {
  Field.supervise = "roles";
  Pattern.segments = {{"system", "{i} "}, {"media", "user : <video>{visual}</video> "}, {"user", "user : {q} "},
                      {"assistant", "assistant : {a} "}, {"end", "</s>"}};
  size(22, 1);
  EXPECT_EQ(show(1), "<s> user : <video> V </video> [user] [:] what [assistant] [:] [red] [user] [:] colour "
                     "[assistant] [:] [<unk>] [blue] [</s>] _ _ _");
}

// The first turn's question may stand in the media turn; `{q?}` does not take its segment away.
TEST_F(Texts, firstTurn) {
  Pattern.segments = {{"image", "circle"}, {"video", "<video>{visual}</video>"}, {"first", "{q?} extra"},
                      {"user", "user {q?} extra"}, {"assistant", "{a}"}};
  size(12, 1);
  EXPECT_EQ(show(1), "<s> <video> V </video> what extra [red] user colour extra [<unk>] [blue] _");
  Pattern.prompts.clear();
  EXPECT_EQ(show(2), "<s> <video> V </video> extra [a] [circle] _ _ _ _ _ _");
}

TEST_F(Texts, imagesHaveTheirOwnSegmentsAndPrompts) {
  Pattern.segments = {{"image", "circle {visual}"}, {"video", "<video> {visual}"}, {"user", "{q}"}, {"assistant", "{a}"}};
  Pattern.imagePrompts = {"look"};
  size(7, 1);
  TextField image(Field, &Pattern, *Words, Shown::Image);
  EXPECT_EQ(show(image.row(conversation(2), Draws(1, Purpose::Prompt, 0, 0))), "<s> circle V look [a] [circle] _ _");
  EXPECT_EQ(show(2), "<s> <video> V describe [a] [circle] _ _");
}

// Without media the segments that show it are left out, and the first turn is as all others.
TEST_F(Texts, conversationsOfTextAlone) {
  Pattern.segments = {{"system", "{i}"}, {"image", "circle {visual}"}, {"video", "<video> {visual}"}, {"first", "what {q}"}, {"user", "look {q}"}, {"assistant", "{a}"}};
  size(16, 0);
  TextField alone(Field, &Pattern, *Words, Shown::Nothing);
  EXPECT_EQ(show(alone.row(conversation(0), Draws(1, Purpose::Prompt, 0, 0))).find("<video>"), std::string::npos);
  EXPECT_EQ(show(alone.row(conversation(1), Draws(1, Purpose::Prompt, 0, 0))).find("circle"), std::string::npos);
}

TEST_F(Texts, answersHaveACap) {
  Field.answerTokens = 2;
  size(16, 0);
  EXPECT_EQ(show(0), "<s> look human : <video> </video> what colour assistant : [dark] [red] _ _ _ _");
}

TEST_F(Texts, shuffledTurns) {
  std::set<std::string> seen;
  for (uint64_t key = 0; key < 20; ++key) {
    Conversation shuffled = conversation(1, TurnChoice::Shuffled, key);
    ASSERT_EQ(shuffled.turns().size(), 2u);
    EXPECT_NE(shuffled.turns()[0].Question, shuffled.turns()[1].Question);
    // A field of a turn goes with it.
    EXPECT_EQ(shuffled.value("q", 1), shuffled.turns()[1].Question);
    seen.insert(shuffled.turns()[0].Question);
  }
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(Texts, timesOfFrames) {
  Pattern.segments = {{"media", "{frames} at {seconds} seconds"}, {"assistant", "{a}"}};
  Conversation timed = conversation(2);
  timed.times({0.2, 1.05, 12});
  Template pattern(Pattern, *Words, Supervise::Assistant, Spaces::Trimmed, Shown::Video);
  EXPECT_TRUE(pattern.namesTimes());
  EXPECT_EQ(pattern.text(timed, Draws(1, Purpose::Prompt, 0, 0)), "3 at 0.2, 1.1, 12.0 secondsa circle");
}

TEST_F(Texts, leftPadding) {
  Field.side = "left";
  size(14, 2);
  EXPECT_EQ(show(2), "_ _ _ <s> human : <video> V V </video> describe assistant : [a] [circle] "
                     "[</s>]");
}

TEST_F(Texts, withoutVisualPlacesTheWordsRemain) {
  size(13, 0);
  EXPECT_EQ(show(0),
            "<s> look human : <video> </video> what colour assistant : [dark] [red] [</s>]");
}

TEST_F(Texts, plainField) {
  Field.kind = manifest::Field::Kind::Text;
  Field.from = "q";
  Field.bos = false;
  size(4, 0);
  EXPECT_EQ(show(0), "[what] [colour] _ _");
  EXPECT_EQ(make(conversation(0)).Supervised, 1);
  Words = openTokenizer(
      {"words", "wordpiece",
       (Files.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nwhat\ncolour\nred\n"), "vocab.txt"),
       7, true},
      Files.dir());
  EXPECT_EQ(make(conversation(0)).Ids, (std::vector<int32_t>{2, 4, 5, 3}));
  size(3, 0);
  EXPECT_EQ(make(conversation(0)).Ids, (std::vector<int32_t>{2, 4, 3}));
  Field.from = "i";
  EXPECT_EQ(make(conversation(1)).Ids, (std::vector<int32_t>{2, 3, 0}));
}

TEST_F(Texts, faults) {
  EXPECT_THAT(failure([&] { show(4); }), HasSubstr("record 4: has neither turns nor a caption"));
  Pattern.segments[1].text = "human";
  EXPECT_THAT(failure([&] { show(0); }, Exit::Recipe), HasSubstr("has no `{visual}`"));
  Pattern.segments[1].text = "{colour} {visual}";
  EXPECT_THAT(failure([&] { show(0); }), HasSubstr("field `colour` is absent"));
}

} // namespace
