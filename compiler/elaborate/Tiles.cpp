// SPDX-License-Identifier: Apache-2.0
//
// `tiles` of a clause of rows: clips that are cut into as many tiles as suit their shape. How many clips a micro-batch has
// is known when its files are; a step is compiled for each number, or for those of `buckets`.
#include "compiler/elaborate/Batches.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

static constexpr int64_t kMostTiles = 64;

int64_t BatchSpec::clipsOfRow() const {
  if (!media || !media->tiles)
    return 1;
  return std::min(media->tiles->mostOfRow(), media->clips - (rows - 1) * media->tiles->leastOfRow());
}

static LogicalResult refuseCuts(Evaluator &evaluator, const Options &options, const MediaSpec &media) {
  const char *cut = media.flip                ? "flip"
                    : !media.crop.empty()     ? "crop"
                    : media.resize != "exact" ? "resize"
                    : options.find("antialias") ? "antialias"
                                              : nullptr;
  if (cut)
    return evaluator.fault(FaultKind::BadValue, options.loc(cut), "clips in tiles have no `" + std::string(cut) + "`")
        .help("tiles are of the whole frame, resized to a grid without antialiasing and not mirrored");
  if (media.height != media.width)
    return evaluator.fault(FaultKind::BadValue, options.loc("size"),
                           "tiles are squares, but `size` is " + std::to_string(media.height) + " by " +
                               std::to_string(media.width));
  return success();
}

/// The numbers of clips that `buckets` says, completed by the most there can be; without it all that there can be.
static FailureOr<std::vector<int64_t>> totalsOf(Evaluator &evaluator, const Options &options, int64_t least, int64_t most) {
  std::vector<int64_t> totals;
  const Value *given = options.find("buckets");
  if (!given) {
    for (int64_t total = least; total <= most; ++total)
      totals.push_back(total);
    return totals;
  }
  auto numbers = evaluator.integers(*given, "`buckets`", options.loc("buckets"));
  if (failed(numbers))
    return failure();
  for (int64_t total : *numbers) {
    if (total < least || total > most || (!totals.empty() && total <= totals.back()))
      return evaluator.fault(FaultKind::BadValue, options.loc("buckets"),
                             "`buckets` are numbers of clips in a micro-batch in ascending order, from " +
                                 std::to_string(least) + " to " + std::to_string(most) + " here");
    totals.push_back(total);
  }
  if (totals.empty() || totals.back() < most)
    totals.push_back(most);
  return totals;
}

LogicalResult readTiles(Evaluator &evaluator, const Options &options, int64_t rows, MediaSpec &media) {
  if (!options.find("tiles")) {
    for (const char *name : {"global", "buckets"})
      if (options.find(name))
        return evaluator
            .fault(FaultKind::BadValue, options.loc(name), "`" + std::string(name) + "` is of clips in tiles")
            .help("write `tiles: 6`, or leave it out");
    return success();
  }
  TileSpec tiles;
  auto most = options.integer("tiles", 1);
  auto global = options.flag("global", false);
  if (failed(most) || failed(global) || failed(refuseCuts(evaluator, options, media)))
    return failure();
  if (*most < 1 || *most > kMostTiles)
    return evaluator.fault(FaultKind::BadValue, options.loc("tiles"),
                           "`tiles` must be in 1.." + std::to_string(kMostTiles) + " but is " + std::to_string(*most));
  tiles.most = *most;
  tiles.global = *global;
  auto totals = totalsOf(evaluator, options, rows * tiles.leastOfRow(), rows * tiles.mostOfRow());
  if (failed(totals))
    return failure();
  tiles.totals = std::move(*totals);
  media.clips = tiles.totals.back();
  media.antialias = false;
  media.tiles = std::move(tiles);
  return success();
}

} // namespace vcc::elaborate
