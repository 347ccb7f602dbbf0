// SPDX-License-Identifier: Apache-2.0
//
// The one interface between the stage loop and the data path. The loop owns the memory and asks for micro-batches by
// (step, micro); runtime/data decodes, tokenises and writes. Everything written is a pure function of
// (seed, step, micro, rank, world) and the files, never of the number of workers or of earlier calls, so that a resumed
// run sees the same batches. Faults are thrown as Failure(Exit::Data, ...) naming file, record and field.
#ifndef VCC_RUNTIME_LOOP_BATCHSOURCE_H
#define VCC_RUNTIME_LOOP_BATCHSOURCE_H

#include "runtime/program/Manifest.h"
#include "runtime/report/Log.h"
#include "runtime/report/Timeline.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace vcc::runtime {

/// One input tensor of a function, contiguous, row-major, 64-byte aligned. `data` is not initialised: all of it is
/// to be written (padding included).
struct HostTensor {
  DType dtype = DType::F32;
  Shape shape;
  void *data = nullptr;
};
using HostTensors = std::map<std::string, HostTensor>;

/// A sample that could not be used, and what took its place.
struct Replacement {
  std::string sample; // file and record
  std::string reason;
};

/// What one micro-batch was made of; the loop adds these up per step and logs them.
struct BatchReport {
  int64_t samples = 0;    // rows of this micro-batch
  int64_t tokens = 0;     // text tokens that are not padding
  int64_t supervised = 0; // supervised targets after the shift, of all fields of this micro-batch whose labels are read
  int64_t emptyClips = 0; // of clips in tiles: those that no row has
  int64_t bytes = 0;      // read from files
  std::vector<Replacement> replaced;
};

struct DataOptions {
  std::string dir = ".";  // --data: what the manifest's file names are relative to
  uint64_t seed = 0;
  int rank = 0, world = 1;
  int workers = 2;        // decoding threads
  report::Timeline *spans = nullptr; // where its threads take down what they do, if anybody asks
};

/// The training batches of one stage.
class BatchSource {
public:
  virtual ~BatchSource() = default;

  /// Samples in the stage's datasets, of all ranks together.
  virtual int64_t samples() const = 0;

  /// Steps that are over when `epochs` epochs are; within an epoch in proportion. Safe from any thread.
  virtual int64_t stepAt(double epochs) const = 0;

  /// Micro-batches of a step; the same on all ranks. Safe from any thread.
  virtual int micros(int64_t step) const = 0;

  /// Which micro function takes a micro-batch, the places of the step before it (of all ranks), and the rows on one rank.
  /// Where texts decide on the variant it blocks until they are there, so it is called by the thread that calls fill().
  struct Micro {
    std::string variant;
    int64_t first = 0, rows = 0;
  };
  virtual Micro micro(int64_t step, int micro) = 0;

  /// What the samples are made of, wherever it lies: name -> size and hash of a file of annotations or of a tokenizer.
  virtual std::map<std::string, std::string> content() const { return {}; }

  /// What an epoch holds, for the log.
  virtual std::string account() const { return {}; }

  /// Records that could not be used so far, by dataset: what a limit on them counts. A resumed run is told what the run
  /// before it had found, so that the limit holds for the whole training. Both may be called while fill() runs.
  virtual std::map<std::string, std::vector<int64_t>> unusable() const { return {}; }
  virtual void noteUnusable(const std::map<std::string, std::vector<int64_t>> &) {}

  /// Writes every input of the micro function of `micro(step, micro)` that holds data: `<media>.pixels`, `<field>.ids`,
  /// `.length`, `.labels`, `.at`, `.targets`, `.starts` (of packed fields), `.supervised` (f32 scalar, total of the *whole step*: all micro-batches, all ranks),
  /// label and identity fields (`<field>` i32 [rows]), `batch.ids` and `batch.local_ids` (i32 [rows]: the record's number in the stage and in its dataset) and `batch.samples` (f32 scalar, samples of the whole step). `destination`
  /// holds exactly the inputs that the function has, so what is missing there is not needed; a name in it that the source
  /// does not know is a Failure(Exit::Internal). Row r of rank k of a micro-batch stands at place
  /// first + k * rows + r of the step. Blocks until everything is decoded. Called by one thread at a time, usually in order of
  /// (step, micro), which implementations should use to decode ahead; a jump is allowed (resume).
  virtual void fill(int64_t step, int micro, const HostTensors &destination,
                    BatchReport &report) = 0;
};

/// One row of an evaluation batch: a candidate answer of a record.
struct EvaluationRow {
  int64_t record = -1;  // index into records, -1: padding at the end, to be ignored
  int64_t candidate = 0;
};

/// One record of an evaluation set.
struct EvaluationRecord {
  std::string name;       // media file or record number
  std::string group;      // value of the group key, empty without one
  int64_t candidates = 0; // number of choices
  int64_t answer = 0;     // index of the right one
};

/// All records of one evaluation, once each, in file order; candidates of a record are consecutive rows.
class EvaluationSource {
public:
  virtual ~EvaluationSource() = default;
  virtual int64_t batches() const = 0;
  virtual int64_t records() const = 0;
  /// Valid for every index below records().
  virtual const EvaluationRecord &record(int64_t index) const = 0;
  /// Makes the texts of every record once and looks for its media, so that what fill() would fail on is found before hours of
  /// training; nothing is decoded.
  virtual void check() {}
  /// Writes the inputs of the evaluation function for one batch (as BatchSource::fill does) and says what its rows are.
  /// A record that cannot be read is a failure: nothing is replaced in an evaluation.
  virtual void fill(int64_t batch, const HostTensors &destination,
                    std::vector<EvaluationRow> &rows) = 0;
};

// Implemented in runtime/data.
std::unique_ptr<BatchSource> openBatchSource(const manifest::Manifest &manifest,
                                             const manifest::Stage &stage,
                                             const DataOptions &options, report::Log &log);
/// Batches of full rows made from the seed; reads no file.
std::unique_ptr<BatchSource> openSyntheticSource(const manifest::Manifest &manifest, const manifest::Stage &stage,
                                                 const DataOptions &options, report::Log &log);
std::unique_ptr<EvaluationSource> openEvaluationSource(const manifest::Manifest &manifest,
                                                       const manifest::Stage &stage,
                                                       const manifest::Evaluation &evaluation,
                                                       const DataOptions &options,
                                                       report::Log &log);

} // namespace vcc::runtime
#endif
