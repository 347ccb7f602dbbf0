// SPDX-License-Identifier: Apache-2.0
//
// What a compiled recipe says about itself (runtime/program/MANIFEST.md): stages, states, functions, batches, data.
// parseManifest checks types, ranges, names and cross references, so that the rest of the runtime reads plain structs.
#ifndef VCC_RUNTIME_PROGRAM_MANIFEST_H
#define VCC_RUNTIME_PROGRAM_MANIFEST_H

#include "runtime/program/Abi.h"
#include "runtime/program/DType.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vcc::runtime::manifest {

struct Tokenizer {
  std::string name;
  std::string kind; // "sentencepiece" | "wordpiece"
  std::string file; // relative to --data
  int64_t vocab = 0;
  bool lowercase = false;
  std::vector<std::string> added; // control tokens after the file's own
  bool addedTakeSpace = false;    // white space after a control token belongs to it
};

/// How one JSON record maps to the canonical roles.
struct Record {
  std::vector<std::string> mediaKeys; // the first one present is the media file; empty: no media
  std::string turnsKey;               // key of the list of turns; empty: no turns
  std::map<std::string, std::string> turnFields; // canonical name (i, q, a) -> key inside a turn
  std::map<std::string, std::string> fields; // any other name ("caption" and "text" included) -> key (dots descend)
};

struct Dataset {
  std::string name;
  std::string file;  // relative to --data
  std::string media; // folder relative to --data
  Record record;
  double skip = 0; // the share of samples that may be replaced
  std::string frames = "file"; // what a record's media is: a file, or a folder of pictures, its frames
  double rate = 0;             // of a folder: frames a second; 0: not said
};

struct Segment {
  std::string role; // system | media | image | video | first | user | assistant | end
  std::string text;
};

struct Template {
  std::string name;
  std::vector<Segment> segments;
  std::vector<std::string> prompts;
  std::vector<std::string> imagePrompts; // instead, where clips are single frames
};

/// Clips cut into tiles, as many as suit their shape.
struct Tiles {
  int64_t most = 1;    // of a clip
  bool global = false; // and one more clip of the whole
  int64_t clips = 0;   // of all rows together, in this variant
};

struct Media {
  std::string name = "clip"; // the input is `<name>.pixels`, u8 [rows, frames, 3, height, width], with tiles f32 [clips, ..]
  int64_t frames = 1, height = 0, width = 0;
  std::string sample = "middle"; // middle | random | random_exclusive | still
  bool flip = false;
  std::string crop; // empty: none; center | random
  int64_t cacheBytes = 0;
  std::string resize = "exact"; // exact | short_side, and its middle is cut out
  std::string kind = "any";     // of the files: any | image | video
  bool antialias = true;        // where it is made smaller
  std::string fallback = "sample"; // what stands in for a file that cannot be used: a whole sample | media
  double leastScale = 0.5, mostScale = 1;         // of a random crop: its share of the area
  double leastRatio = 3.0 / 4, mostRatio = 4.0 / 3; // and its width over its height
  std::optional<Tiles> tiles;
};

struct Field {
  enum class Kind { Template, Text, Label, Identity };
  std::string name;
  Kind kind = Kind::Text;
  std::string templateName;        // Template
  std::string tokenizer;           // Template, Text
  std::string from;                // Text, Label, Identity: the record's field
  int64_t maxTokens = 0;           // before the visual positions
  int64_t visual = 0;              // visual positions spliced in, 0: none; of clips in tiles: at most
  int64_t visualOfClip = 0;        // of these each clip has, 0: the only one all
  int64_t length = 0;              // maxTokens + visual: the positions of a sample
  int64_t pack = 1;                // samples in a row, on average
  int64_t packedTokens = 0;        // tokens of text that such a row has room for
  std::string supervise = "assistant"; // assistant | answer | roles | all | none
  bool bos = true;
  std::string side = "right";      // padding side
  std::string cut = "right";       // the side on which a text that is too long is cut
  std::string spaces = "trimmed";  // Template: trimmed | kept
  std::string prompt = "sample";   // Template: a prompt is drawn for each sample | batch
  int64_t answerTokens = 0;        // Template: what is kept of the answers, 0: all
  std::vector<std::string> of;     // Label: the values in order

  int64_t visualOfEach() const { return visualOfClip ? visualOfClip : visual; }
  bool isText() const { return kind == Kind::Template || kind == Kind::Text; }
  /// Tokens of text that a row has room for, and its positions: L of the tensors.
  int64_t rowTokens() const { return pack == 1 ? maxTokens : packedTokens; }
  int64_t rowLength() const { return pack == 1 ? length : packedTokens + pack * visual; }
};

struct Batch {
  std::string variant;
  std::string branch; // which of the stage's batch it is of; empty where the batch has plain rows
  int64_t rows = 0;
  std::vector<std::string> datasets;
  std::vector<double> weights; // of the datasets; empty: they are joined
  std::string turn = "all"; // which turns of a record a sample holds: all | random (one of them) | shuffle (all, in random order)
  bool textOnly = false;    // its rows have no clips: what a template says of them is left out
  std::optional<Media> media;
  std::vector<Field> fields;
};

/// When something happens: at the end of the stage, or every `steps` steps or `epochs` epochs (and at the end).
struct When {
  int64_t steps = 0; // 0 both: only at the end
  double epochs = 0;
};

struct Evaluation {
  std::string name;
  std::string function;
  When when;
  std::string dataset;
  std::string metric; // choice_accuracy
  std::string choices, answer, group; // fields of the record
  std::string media = "normal"; // normal | shuffled | still
  Batch batch;
};

/// An input or output of a function, in the io region.
struct Port {
  std::string name;
  DType dtype = DType::F32;
  Shape shape;
  int64_t offset = 0;
  int64_t bytes() const { return elementsOf(shape) * bytesOf(dtype); }
};

struct Function {
  enum class Role { Micro, Update, Init, Evaluate };
  std::string name;
  Role role = Role::Micro;
  std::string variant;
  int64_t index = 0; // into VccStage::functions
  std::vector<Port> inputs, outputs;
};

struct Start {
  enum class Kind { Stage, File, Init };
  Kind kind = Kind::Init;
  std::string name;  // stage's name, file relative to --weights, or the initialiser where it is known
  int64_t keys = -1; // File: into Stage::keys; -1: its keys are the paths
};

/// How the keys of a file become paths.
struct FileKeys {
  std::string inside; // the dictionary of the file that is meant; empty: found by a rule
  std::vector<std::pair<std::string, std::string>> rename; // patterns, in order
};

struct Place {
  VccRegion region = VCC_REGION_STATE;
  int64_t offset = 0;
};

struct State {
  enum class Kind { Weight, Gradient, Moment, Counter };
  std::string path;
  Kind kind = Kind::Weight;
  Shape shape;
  DType dtype = DType::F32;
  Place place;
  int64_t bytes = 0;
  bool trainable = false;
  bool transposed = false; // a matrix that launches have with rows and columns changed places
  int64_t group = -1;
  std::optional<Place> gradient;
  std::vector<Start> start; // in order of preference
  /// A flat buffer of an optimizer group (`group0:weight`), whose parts have entries of their own.
  bool isGroup() const { return path.find(':') != std::string::npos; }
  /// Whether the recipe's own initialiser writes this weight, at least where nothing else is found.
  bool isInitialised() const;
};

struct Component {
  std::string name, role;
  int64_t parameters = 0, trainable = 0;
};

/// What the loss is multiplied by for the backward, and how it moves (under fp16).
struct LossScale {
  double scale = 0, growth = 0, backoff = 0;
  int64_t interval = 0; // good steps in a row until it grows
};

struct Stage {
  int64_t number = 0; // 0: none
  std::string name, model, precision;
  std::string identity; // of what decides on its weights: only a run of the same goes on from its checkpoints
  std::vector<Component> components;
  int64_t steps = 0; // 0: epochs decide
  double epochs = 0;
  int64_t accumulate = 1;
  std::string across = "mixed"; // micro-batches of a step: mixed | one_modality | every_modality
  std::string rest = "step";    // of an epoch: step | carry
  bool parallel = false; // may be run by several ranks
  int64_t ranks = 0;     // by exactly as many; 0: by any number
  std::optional<LossScale> lossScale;
  uint64_t seed = 0;
  int64_t weightsBytes = 0, stateBytes = 0, arenaBytes = 0, ioBytes = 0;
  std::vector<FileKeys> keys;
  std::vector<State> states;
  std::vector<Function> functions;
  std::map<std::string, Batch> batch; // by variant
  std::vector<Evaluation> evaluations;
  When save;
  int64_t keep = 1;
  When log{10};

  /// The first function of a role (and variant or name, where given); null where there is none.
  const Function *find(Function::Role role, std::string_view which = {}) const;
};

struct Manifest {
  std::string recipe, vcc, cpu, target;
  std::vector<std::string> features;
  std::map<std::string, Tokenizer> tokenizers;
  std::map<std::string, Dataset> datasets;
  std::map<std::string, Template> templates;
  std::vector<Stage> stages;

  /// By name or by number as text; null where there is none.
  const Stage *findStage(std::string_view nameOrNumber) const;
};

/// Throws Failure(Exit::Internal) that says where the manifest is wrong.
Manifest parseManifest(std::string_view json);

} // namespace vcc::runtime::manifest
#endif
