// SPDX-License-Identifier: Apache-2.0
//
// Annotation files: what is read, and what is said of files that are not what they should be.
#include "runtime/data/annotations/Records.h"
#include "runtime/data/SampleError.h"
#include "tests/runtime_data/Scratch.h"

#include <gmock/gmock.h>

#include <filesystem>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using namespace vcc::runtime::test;
using testing::HasSubstr;

namespace {

RecordSchema dialogue() {
  RecordSchema schema;
  schema.MediaKeys = {"video", "image"};
  schema.TurnsKey = "QA";
  schema.TurnFields = {{"i", "i"}, {"q", "q"}, {"a", "a"}};
  schema.CaptionKey = "caption";
  schema.Fields = {{"kind", "kind"}, {"look", "attributes"}, {"caption", "caption"}};
  return schema;
}

struct Records : testing::Test {
  Scratch Files;
  Record Read;
  std::unique_ptr<RecordFile> File;
  void open(const std::string &json) {
    File = std::make_unique<RecordFile>(Files.write("a.json", json), dialogue());
  }
  const Record &read(uint64_t number) {
    File->read(number, Read);
    return Read;
  }
  std::string opening(const std::string &json) {
    return failure([&] { open(json); });
  }
};

TEST_F(Records, arrayByNumber) {
  open("\xef\xbb\xbf [ {\"video\": \"a.mp4\", \"QA\": [{\"q\": \"x }]\\\"\", \"a\": \"y\"}]},\n"
       "{\"image\": \"b.png\", \"attributes\": {\"shape\": \"circle\"}, \"kind\": 3, "
       "\"caption\": [\"one\", \"two\"], \"c\": [\"r\", \"s\"]} ] \n");
  ASSERT_EQ(File->size(), 2u);
  EXPECT_EQ(read(0).media(), "a.mp4");
  ASSERT_EQ(read(0).turns().size(), 1u);
  EXPECT_EQ(read(0).turns()[0].Question, "x }]\"");
  EXPECT_EQ(read(0).turns()[0].Instruction, "");
  EXPECT_EQ(read(1).media(), "b.png");
  EXPECT_EQ(read(1).field("attributes.shape"), "circle");
  EXPECT_EQ(read(1).field("look.shape"), "circle");
  EXPECT_EQ(read(1).field("kind"), "3");
  EXPECT_THAT(read(1).captions(), testing::ElementsAre("one", "two"));
  EXPECT_THAT(read(1).fields("c"), testing::ElementsAre("r", "s"));
}

TEST_F(Records, linesAndEmptyArray) {
  open("{\"video\": \"a\"}\n{\"video\": \"b\"}\r\n\n{\"video\": \"c\"}");
  ASSERT_EQ(File->size(), 3u);
  EXPECT_EQ(read(2).media(), "c");
  open("[]");
  EXPECT_EQ(File->size(), 0u);
}

TEST_F(Records, turnFieldsBesideTheAnswer) {
  open("[{\"video\": \"a\", \"QA\": [{\"a\": \"x\"}, {\"a\": \"y\", \"c\": [\"y\", \"z\"]}]}]");
  EXPECT_THAT(read(0).fields("c", 1), testing::ElementsAre("y", "z"));
  EXPECT_THAT(failure([&] { read(0).fields("c", 0); }), HasSubstr("`c` is absent"));
}

TEST_F(Records, faultsNameFileRecordAndField) {
  open("[{\"video\": \"a\"}, {\"video\": 7, \"QA\": [{\"q\": [], \"a\": \"x\"}]}, "
       "{\"QA\": [{\"q\": \"x\"}]}, {\"video\": \"\", \"QA\": {}}, {\"video\": \"a\\u0000b\"}]");
  EXPECT_THAT(failure([&] { read(1).media(); }),
              HasSubstr("a.json: record 1: field `video` is a number but a string is needed"));
  EXPECT_THAT(failure([&] { read(1).turns(); }), HasSubstr("`QA[0].q` is a list of 0"));
  EXPECT_THAT(failure([&] { read(2).media(); }), HasSubstr("no field `video` or `image`"));
  EXPECT_THAT(failure([&] { read(2).turns(); }), HasSubstr("`QA[0].a` is absent"));
  EXPECT_THAT(failure([&] { read(3).media(); }), HasSubstr("`video` is empty"));
  EXPECT_THAT(failure([&] { read(3).turns(); }), HasSubstr("`QA` is an object"));
  EXPECT_THAT(failure([&] { read(4).media(); }), HasSubstr("zero byte"));
}

TEST_F(Records, hostileFiles) {
  EXPECT_THAT(opening(""), HasSubstr("is empty"));
  EXPECT_THAT(opening("  \n"), HasSubstr("is empty"));
  EXPECT_THAT(opening("42"), HasSubstr("record 0 at byte 0: found `4`, needed an object"));
  EXPECT_THAT(opening("[1]"), HasSubstr("needed an object"));
  EXPECT_THAT(opening("[{}"), HasSubstr("found the end of the file"));
  EXPECT_THAT(opening("[{},]"), HasSubstr("record 1 at byte 4: found `]`"));
  EXPECT_THAT(opening("[{} {}]"), HasSubstr("needed `,` or `]`"));
  EXPECT_THAT(opening("[{}] x"), HasSubstr("the end of the file after `]`"));
  EXPECT_THAT(opening("[{\"a\": \"unfinished"), HasSubstr("does not end"));
  EXPECT_THAT(opening("[{\"a\": \"\\"), HasSubstr("does not end"));
  EXPECT_THAT(opening(std::string("\0\0\0", 3)), HasSubstr("found byte 0x00"));
  EXPECT_THAT(failure([&] { RecordFile(Files.dir(), dialogue()); }),
              HasSubstr("not a regular file"));
  EXPECT_THAT(failure([&] { RecordFile(Files.path("none"), dialogue()); }),
              HasSubstr("cannot open"));
}

TEST_F(Records, fileThatChangesMeanwhile) {
  std::string json = "[{\"caption\": \"one\"}, {\"caption\": \"two\"}]";
  open(json);
  // Another file under the name: the one that was opened goes on.
  Files.write("b.json", "[]");
  std::filesystem::rename(Files.path("b.json"), Files.path("a.json"));
  EXPECT_THAT(read(1).captions(), testing::ElementsAre("two"));
  open(json);
  Files.write("a.json", json + " ");
  EXPECT_THAT(failure([&] { read(0); }), HasSubstr("was written to while it was in use"));
  Files.write("a.json", "");
  EXPECT_THAT(failure([&] { read(0); }), HasSubstr("was written to while it was in use"));
  EXPECT_THAT(failure([&] { File->content(); }), HasSubstr("was written to while it was in use"));
}

TEST_F(Records, hostileRecords) {
  std::string deep = "[{\"a\": " + std::string(100000, '[') + std::string(100000, ']') + "}, ";
  open(deep + "{\"a\" 1}, {\"a\": \"\xff\xfe\"}, {\"a\": 1e999}, {\"a\": [1,]}]");
  ASSERT_EQ(File->size(), 5u);
  for (uint64_t i = 0; i < File->size(); ++i)
    EXPECT_THAT(failure([&] { read(i); }), HasSubstr("record " + std::to_string(i)));
}

} // namespace
