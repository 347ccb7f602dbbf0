// SPDX-License-Identifier: Apache-2.0
//
// The safetensors format: eight bytes of header length, a JSON header, tensors. Files are mapped, never copied; every
// number of a header is checked against the file before it is believed.
#ifndef VCC_RUNTIME_WEIGHTS_SAFETENSORS_H
#define VCC_RUNTIME_WEIGHTS_SAFETENSORS_H

#include "runtime/program/DType.h"
#include "runtime/weights/Files.h"

#include <map>
#include <string>
#include <vector>

namespace vcc::runtime {

struct TensorView {
  DType dtype = DType::F32;
  Shape shape;
  const std::byte *data = nullptr;
  size_t bytes() const { return size_t(elementsOf(shape) * bytesOf(dtype)); }
};

class Safetensors {
public:
  /// Throws Failure(Exit::Data) that names the file and what is wrong with it.
  explicit Safetensors(const std::string &path);

  const std::string &path() const { return Path; }
  const std::map<std::string, TensorView> &tensors() const { return Tensors; }
  const TensorView *find(const std::string &name) const;
  const std::map<std::string, std::string> &metadata() const { return Metadata; }

  void release(const std::byte *begin, size_t bytes) const { File.release(begin, bytes); }

private:
  std::string Path;
  MappedFile File;
  std::map<std::string, TensorView> Tensors;
  std::map<std::string, std::string> Metadata;
};

struct NamedTensor {
  std::string name;
  TensorView view;
};

struct Written {
  int64_t bytes = 0;
  uint64_t hash = 0;
};

/// Writes the tensors in the order given and brings the file to the disk.
Written writeSafetensors(const std::string &path, const std::vector<NamedTensor> &tensors,
                         const std::map<std::string, std::string> &metadata);

} // namespace vcc::runtime
#endif
