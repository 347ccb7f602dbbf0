// SPDX-License-Identifier: Apache-2.0
//
// The instantiated model: parts (instances of layers) and weights, each knowing the part that owns
// it and its name there. A path is read off by walking up, so that a part may be made before it is
// known where it will live.
#ifndef VCC_COMPILER_ELABORATE_PARTS_H
#define VCC_COMPILER_ELABORATE_PARTS_H

#include "compiler/elaborate/Values.h"
#include "llvm/ADT/MapVector.h"

#include <deque>
#include <optional>

namespace vcc::elaborate {

/// A `param` field of a part.
struct Weight {
  Part *owner = nullptr;
  std::string name;
  llvm::SmallVector<int64_t, 4> shape;
  llvm::SmallVector<DimOrigin, 4> origins;
  Value init;
  std::optional<std::pair<double, double>> bounds;
  mlir::Location loc;

  explicit Weight(mlir::Location loc) : loc(loc) {}
  std::string path() const;
  int64_t elements() const;
  std::string key; // the path, frozen once the model stands
};

/// A field of a part; evaluated when it is first asked for.
struct Field {
  enum class State { Pending, Running, Done, Failed };
  mlir::Operation *op = nullptr;
  State state = State::Pending;
  Value value;
};

/// An instance of a layer.
struct Part {
  mlir::Operation *layer;
  mlir::Location created;
  Part *parent = nullptr;
  std::string name;    // "blocks[0]" inside the parent, or the component's name
  bool placed = false; // has a parent or is a component
  llvm::MapVector<mlir::StringAttr, Value> arguments;
  std::vector<Origin> origins; // of the arguments, in order
  llvm::MapVector<mlir::StringAttr, Field> fields;
  /// The low-rank adapter that stands before this part in stages that use it.
  Part *adapter = nullptr;

  Part(mlir::Operation *layer, mlir::Location created) : layer(layer), created(created) {}
  std::string path() const;
  std::string layerName() const;
  /// The component that this part belongs to.
  const Part *root() const;
  /// Whether the layer declares `name` under an `if`: an instance may lack it.
  bool mayLack(llvm::StringRef name) const;
};

/// The weights and parts of one model by path segment: what selectors are matched against.
struct PartNode {
  std::string name;             // "blocks"; empty for an element of a list
  std::optional<int64_t> index; // the place in the list
  Part *part = nullptr;         // set when the node is a part
  Weight *weight = nullptr;     // set when the node is a weight
  PartNode *parent = nullptr;
  bool mayBeEmpty = false; // an adapter under a condition that does not hold
  std::vector<std::unique_ptr<PartNode>> children;

  PartNode *child(llvm::StringRef name) const;
  PartNode *element(int64_t index) const;
  bool isList() const { return !children.empty() && children.front()->index.has_value(); }
  std::string path() const;
  /// Appends every weight under this node, in order of declaration.
  void collect(llvm::SmallVectorImpl<Weight *> &into) const;
  /// Hangs `value` (part, weight or list of these) under this node. What another part owns is left
  /// out: it has its place there.
  void add(llvm::StringRef name, const Value &value, const Part *owner);
};

/// Parts and weights live as long as the model.
struct PartArena {
  std::deque<Part> parts;
  std::deque<Weight> weights;
};

} // namespace vcc::elaborate

#endif
