// What a model's parameters are: names, shapes, initial values, optimizer groups, owning units. Pure data but for the two
// bound views, which the sharding code sets just before a unit runs.
#pragma once
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>

#include "device/tensor.h"

namespace rk {

enum class InitKind : uint8_t { constant, uniform, orthogonal, formula };

// How a fresh value is drawn (golden rwkv7 §9).
struct InitRule {
  InitKind kind = InitKind::constant;
  double value = 0;                                // constant; half width of a uniform; gain of an orthogonal matrix
  std::function<double(int64_t channel)> formula;  // formula: value of flat element `channel`
};

struct Param {
  std::string name;  // the file name of the tensor, e.g. "blocks.0.att.x_r"
  Shape shape;       // as in files: [1,1,C] stays rank 3
  int unit = -1;     // index of the owning unit
  bool trainable = true;
  bool used = true;             // false: kept and written, never computed with (layer 0's v0, v1, v2); gets no gradient
  double lr_scale = 1;          // group multiplier (2 for att.w0)
  bool decay = false;           // takes part in weight decay
  bool may_be_missing = false;  // files without it are files of this model, too: it is fresh then
  InitRule init;

  Tensor w;   // bound while the unit runs: the model's dtype
  Tensor dw;  // bound while the unit's backward runs: accumulation dtype; gradients are added
  int64_t numel() const { return shape.numel(); }
};

// Owner of all Params of a model, in file order. References stay valid.
class ParamTable {
 public:
  Param& add(Param p);
  Param& at(const std::string& name);
  const Param* find(const std::string& name) const;
  std::deque<Param>& all() { return params_; }
  const std::deque<Param>& all() const { return params_; }
  int64_t numel() const;

 private:
  std::deque<Param> params_;
  std::unordered_map<std::string, size_t> index_;  // name -> position
};

}  // namespace rk
