#include "params/param_table.h"

#include <utility>

namespace rk {

Param& ParamTable::add(Param p) {
  require(!find(p.name), "a parameter's name is its own");
  index_.emplace(p.name, params_.size());
  return params_.emplace_back(std::move(p));
}

const Param* ParamTable::find(const std::string& name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &params_[it->second];
}

Param& ParamTable::at(const std::string& name) {
  const auto it = index_.find(name);
  require(it != index_.end(), "a parameter is asked for by a name in the table");
  return params_[it->second];
}

int64_t ParamTable::numel() const {
  int64_t n = 0;
  for (const Param& p : params_) n += p.numel();
  return n;
}

}  // namespace rk
