// SPDX-License-Identifier: Apache-2.0
//
// What torch.save wrote, tensors only: the zip layout (since PyTorch 1.6) and the one before it. Nothing of the file is
// executed (Pickle.h); tensors stay in the mapped file until they are read.
#ifndef VCC_RUNTIME_WEIGHTS_TORCHFILE_H
#define VCC_RUNTIME_WEIGHTS_TORCHFILE_H

#include "runtime/weights/Files.h"
#include "runtime/weights/Pickle.h"
#include "runtime/weights/StoredTensor.h"
#include "runtime/weights/ZipFile.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace vcc::runtime {

class TorchFile {
public:
  /// Reads the dictionary called `inside` (dots descend), or, where that is empty, the one at the top; a top without
  /// tensors that has one of `model`, `state_dict`, `module`, `model_state_dict` is descended. Throws Failure(Exit::Data).
  TorchFile(const std::string &path, const std::string &inside);

  /// Whether the bytes begin as torch.save begins them.
  static bool recognises(std::string_view content);

  const std::map<std::string, StoredTensor> &tensors() const { return Tensors; }
  /// The dictionary that was taken, empty for the top.
  const std::string &inside() const { return Inside; }
  /// Throws where the bytes of the tensor are not those that were written.
  void check(const StoredTensor &tensor);
  void release(const StoredTensor &tensor) { File.release(tensor.data, tensor.extent()); }

private:
  [[noreturn]] void fail(const std::string &what, const std::string &help = {}) const;
  void readZipLayout();
  void readLegacyLayout();
  std::string_view checked(const ZipEntry &entry, const std::string &name);
  std::string_view contentOf(const pickle::Storage &storage);
  void choose(const pickle::Pickle &pickle);
  void descend(const pickle::Pickle &pickle, const pickle::Value *&at, const std::string &key);
  void collect(const pickle::Pickle &pickle, const pickle::Value &dictionary, const std::string &prefix, int depth);
  void add(const pickle::Pickle &pickle, const std::string &name, const pickle::Tensor &tensor);
  bool holdsTensors(const pickle::Pickle &pickle, pickle::Id id);

  std::string Path, Inside, Wanted;
  MappedFile File;
  bool Swapped = false;
  std::string Folder;                       // of the zip's entries
  std::map<std::string, ZipEntry> Entries;  // zip layout
  std::map<const char *, std::string> EntryAt; // by where their content begins
  std::map<std::string, std::string_view, std::less<>> Storages; // legacy layout, by key
  std::set<const char *> Checked;
  std::map<std::string, StoredTensor> Tensors;
  size_t Visited = 0;
  std::set<pickle::Id> WithoutTensors; // values known to hold none
};

} // namespace vcc::runtime
#endif
