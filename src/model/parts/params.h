// Parameters that units of several families have, by role, and how families add theirs to a table.
#pragma once
#include <string>
#include <utility>

#include "model/parts/init_rules.h"
#include "params/param_table.h"

namespace rk {

struct NormParams {
  Param *weight, *bias;
};
struct EmbeddingParams {
  Param* table;  // [V,C]
  NormParams ln0;
  Param *pos_x = nullptr, *pos_y = nullptr;  // [1,P,C], [P,1,C]; null: no learned positions
};
struct HeadParams {
  NormParams ln_out;
  Param* weight;                     // [V,C]
  Param *q = nullptr, *k = nullptr;  // [Q,C]; null: no copying from earlier tokens
};

// Adds parameters of one unit whose names share a prefix.
class ParamAdder {
 public:
  ParamAdder(ParamTable& table, int unit, std::string prefix) : table_(table), unit_(unit), prefix_(std::move(prefix)) {}

  Param* add(const std::string& name, Shape shape, InitRule init) const {
    Param p;
    p.name = prefix_ + name;
    p.shape = shape;
    p.unit = unit_;
    p.init = std::move(init);
    return &table_.add(std::move(p));
  }
  NormParams add_norm(const std::string& name, int64_t C, InitRule weight = constant_init(1)) const {
    NormParams norm;
    norm.weight = add(name + ".weight", {C}, std::move(weight));
    norm.bias = add(name + ".bias", {C}, constant_init(0));
    return norm;
  }

 private:
  ParamTable& table_;
  int unit_;
  std::string prefix_;
};

}  // namespace rk
