// SPDX-License-Identifier: Apache-2.0
//
// The profile's tables. A path's row includes what lies below it; a path with a single continuation is shown by that one.
#include "runtime/report/Profile.h"

#include "runtime/program/Json.h"

#include <fmt/format.h>

#include <algorithm>

namespace vcc::runtime::report {

void Work::add(const Work &other) {
  launches += other.launches;
  seconds += other.seconds, least += other.least, floor += other.floor;
  flops += other.flops, bytes += other.bytes;
}

std::string mergedPath(const std::string &path) {
  std::string merged;
  for (size_t i = 0; i < path.size(); ++i) {
    merged += path[i];
    size_t end = path.find_first_not_of("0123456789", i + 1);
    if (path[i] != '[' || end == i + 1 || end == std::string::npos || path[end] != ']')
      continue;
    merged += '*';
    i = end - 1;
  }
  return merged;
}

namespace {

constexpr double ShownShare = 0.01;
/// A step whose launches reach less of their mean than this at their fastest was not alone.
constexpr double Disturbed = 0.7;
constexpr size_t ShownKernels = 24, MostText = 56;

class Table {
public:
  explicit Table(const Profile &profile) : P(profile) {}

  std::string text() {
    header();
    phases();
    paths();
    kernels();
    return Text;
  }

private:
  double perStep(double seconds) const { return 1e3 * seconds / double(std::max<int64_t>(P.steps, 1)); }
  double share(double seconds) const { return P.seconds > 0 ? 100 * seconds / P.seconds : 0; }

  /// A name and, if there is room for it, the end of what is said about it.
  static std::string shortened(const std::string &name, const std::string &about = {}) {
    if (name.size() + 8 > MostText)
      return name.substr(0, MostText);
    if (about.empty())
      return name;
    size_t room = MostText - name.size() - 2;
    return name + "  " + (about.size() <= room ? about : "..." + about.substr(about.size() - room + 3));
  }

  void header() {
    Text += fmt::format("profile of stage {}: steps {} to {} (after {} that are not measured), {} thread{}, {:.3f} ms a step\n", P.stage,
                        P.firstStep, P.firstStep + P.steps - 1, P.warm, P.threads, P.threads == 1 ? "" : "s", perStep(P.seconds));
    if (!P.rateSource.empty())
      Text += P.rateSource + (P.flopRate > 0 ? fmt::format(": matrix products {:.1f} TFLOP/s, memory {:.2f} TB/s\n", P.flopRate / 1e12, P.byteRate / 1e12) : "\n");
    else
      Text += fmt::format("measured just before: matrix products {:.1f} GFLOP/s, memory {:.1f} GB/s, starting the threads {:.1f} us\n",
                          P.flopRate / 1e9, P.byteRate / 1e9, P.forkSeconds * 1e6);
    Text += "ms: a step's mean; least: each launch at its fastest, which other processes disturbed least; rates, floor and order go by it\n";
    Text += fmt::format("floor: what the work takes at {} rates, as a share of the least; above 100 % where data comes from a cache\n",
                        P.rateSource.empty() ? "the measured" : "these");
    Work all;
    for (const auto &[name, work] : P.phases)
      if (work.launches)
        all.add(work);
    if (all.least < Disturbed * all.seconds)
      Text += fmt::format("launches took {:.1f} times their least in the mean: other processes ran, read the least{}\n",
                          all.seconds / all.least, P.rateSource.empty() ? " and doubt the rates measured" : "");
  }

  void columns(const char *what) {
    Text += fmt::format("\n{:<{}} {:>8} {:>9} {:>7} {:>9} {:>9} {:>8} {:>9} {:>7} {:>7}\n", what, MostText, "launches", "ms", "time", "least ms",
                        "GFLOP", "GFLOP/s", "MB", "GB/s", "floor");
  }

  /// One row, all but the shares per step.
  void row(const std::string &name, const Work &work, const std::string &about = {}) {
    double steps = double(std::max<int64_t>(P.steps, 1));
    Text += fmt::format("{:<{}} ", shortened(name, about), MostText);
    Text += work.launches ? fmt::format("{:>8.4g} ", double(work.launches) / steps) : fmt::format("{:>8} ", "");
    Text += fmt::format("{:>9.3f} {:>6.1f}%", perStep(work.seconds), share(work.seconds));
    if (double fastest = work.least > 0 ? work.least : work.seconds; work.launches && fastest > 0)
      Text += fmt::format(" {:>9.3f} {:>9.3f} {:>8.1f} {:>9.2f} {:>7.1f} {:>6.1f}%", perStep(work.least), work.flops / steps / 1e9, work.flops / fastest / 1e9,
                          work.bytes / steps / 1e6, work.bytes / fastest / 1e9, 100 * work.floor / fastest);
    Text += "\n";
  }

  void phases() {
    columns("phase (a step)");
    Work all;
    for (const auto &[name, work] : P.phases) {
      row(name, work);
      all.add(work);
    }
    row("all", all);
  }

  struct Node {
    Work work;
    std::map<std::string, Node> below;
  };

  void paths() {
    Node root;
    for (const auto &[path, work] : P.paths) {
      Node *node = &root;
      for (size_t begin = 0; begin <= path.size();) {
        // File names of what belongs to no part have a dot, but one segment.
        size_t end = path.find(':') == std::string::npos ? std::min(path.find('.', begin), path.size()) : path.size();
        node = &node->below[path.substr(begin, end - begin)];
        node->work.add(work);
        begin = end + 1;
      }
    }
    columns("path (with what lies below it)");
    show(root, "");
  }

  void show(const Node &node, const std::string &indent) {
    std::vector<std::pair<std::string, const Node *>> order;
    Work rest;
    int hidden = 0;
    for (const auto &[name, below] : node.below) {
      std::string path = name;
      const Node *shown = &below;
      while (shown->below.size() == 1 && shown->below.begin()->second.work.launches == shown->work.launches) {
        path += "." + shown->below.begin()->first;
        shown = &shown->below.begin()->second;
      }
      if (shown->work.seconds >= ShownShare * P.seconds) {
        order.emplace_back(path, shown);
      } else {
        rest.add(shown->work);
        ++hidden;
      }
    }
    std::stable_sort(order.begin(), order.end(),
                     [](const auto &a, const auto &b) { return a.second->work.least > b.second->work.least; });
    for (const auto &[path, shown] : order) {
      row(indent + path, shown->work);
      show(*shown, indent + "  ");
    }
    if (hidden)
      row(fmt::format("{}{} other{}", indent, hidden, hidden == 1 ? "" : "s"), rest);
  }

  void kernels() {
    columns("kernel (and where most of its time is)");
    std::vector<std::pair<std::string, Work>> order(P.kernels.begin(), P.kernels.end());
    std::stable_sort(order.begin(), order.end(), [](const auto &a, const auto &b) { return a.second.least > b.second.least; });
    Work rest;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i >= ShownKernels) {
        rest.add(order[i].second);
        continue;
      }
      row(order[i].first, order[i].second, P.kernelPath.at(order[i].first));
    }
    if (order.size() > ShownKernels)
      row(fmt::format("{} others", order.size() - ShownKernels), rest);
  }

  const Profile &P;
  std::string Text;
};

void writeWork(JsonWriter &writer, const Work &work) {
  writer.member("launches", work.launches).member("seconds", work.seconds);
  writer.member("least_seconds", work.least).member("floor_seconds", work.floor);
  writer.member("flops", work.flops).member("bytes", work.bytes);
}

} // namespace

std::string textOf(const Profile &profile) { return Table(profile).text(); }

void writeJson(JsonWriter &writer, const Profile &profile) {
  writer.beginObject().member("stage", std::string_view(profile.stage)).member("first_step", profile.firstStep);
  writer.member("steps", profile.steps).member("threads", profile.threads).member("seconds", profile.seconds);
  writer.member("matrix_product_flops_per_second", profile.flopRate).member("memory_bytes_per_second", profile.byteRate);
  writer.member("thread_start_seconds", profile.forkSeconds);
  if (!profile.rateSource.empty())
    writer.member("rates_from", std::string_view(profile.rateSource));
  writer.key("phases").beginObject();
  for (const auto &[name, work] : profile.phases) {
    writer.key(name).beginObject();
    writeWork(writer, work);
    writer.endObject();
  }
  writer.endObject().key("paths").beginObject();
  for (const auto &[name, work] : profile.paths) {
    writer.key(name).beginObject();
    writeWork(writer, work);
    for (const auto &[phase, part] : profile.byPhase.at(name)) {
      writer.key(phase).beginObject();
      writeWork(writer, part);
      writer.endObject();
    }
    writer.endObject();
  }
  writer.endObject().key("kernels").beginObject();
  for (const auto &[name, work] : profile.kernels) {
    writer.key(name).beginObject();
    writeWork(writer, work);
    writer.member("path", std::string_view(profile.kernelPath.at(name))).endObject();
  }
  writer.endObject().endObject();
}

} // namespace vcc::runtime::report
