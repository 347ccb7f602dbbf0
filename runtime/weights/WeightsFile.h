// SPDX-License-Identifier: Apache-2.0
//
// Weights of any origin by one name each: a safetensors file, what torch.save wrote, an index with its shards, or a
// folder as Hugging Face keeps them. The content says what a file is, not its name.
#ifndef VCC_RUNTIME_WEIGHTS_WEIGHTSFILE_H
#define VCC_RUNTIME_WEIGHTS_WEIGHTSFILE_H

#include "runtime/weights/Safetensors.h"
#include "runtime/weights/StoredTensor.h"
#include "runtime/weights/TorchFile.h"

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace vcc::runtime {

class WeightsFile {
public:
  /// `inside` names the dictionary of torch.save's files that is meant (TorchFile.h). Throws Failure(Exit::Data).
  explicit WeightsFile(const std::string &path, const std::string &inside = {});

  const std::string &path() const { return Path; }
  const std::map<std::string, StoredTensor> &tensors() const { return Tensors; }
  const StoredTensor *find(const std::string &name) const;
  const std::map<std::string, std::string> &metadata() const;
  /// Checks a tensor's bytes, writes them to `to` as `dtype` and gives the file's memory back; see readTensor.
  std::optional<int64_t> read(const std::string &name, DType dtype, std::byte *to);
  /// The file that holds a tensor, and the dictionary in it where it is not the top one: `a.pth (model)`.
  std::string placeOf(const std::string &name) const;

private:
  struct Shard {
    std::string path;
    std::unique_ptr<Safetensors> safetensors;
    std::unique_ptr<TorchFile> torch;
  };
  void addFolder();
  void addIndex(const std::string &path);
  void addFile(const std::string &path);

  std::string Path, Inside;
  std::vector<Shard> Shards;
  std::map<std::string, StoredTensor> Tensors;
  std::map<std::string, size_t> ShardOf;
};

} // namespace vcc::runtime
#endif
