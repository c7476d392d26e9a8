// One sample of a layout or a source, with room of its own.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/batch_source.h"
#include "data/samples/layout.h"
#include "golden/data_support.h"

namespace rk::golden {

struct FilledRow {
  explicit FilledRow(int64_t ctx_len)
      : tokens(static_cast<size_t>(ctx_len)), targets(tokens.size()), weights(tokens.size()), resets(tokens.size()) {}
  SampleRow row() { return {.tokens = tokens, .targets = targets, .weights = weights, .resets = resets}; }
  FilledRow& fill(const Layout& layout, int64_t index) {
    offset = layout.fill(index, row());
    return *this;
  }
  FilledRow& draw(const BatchSource& source, int64_t number) {
    offset = source.sample(number, row());
    return *this;
  }
  std::vector<int> mask() const {
    std::vector<int> ones;
    for (float w : weights) ones.push_back(w != 0);
    return ones;
  }

  int64_t offset = 0;
  std::vector<int32_t> tokens, targets;
  std::vector<float> weights;
  std::vector<uint8_t> resets;
};

// x and y of one window as a case has them.
inline void compare_window(const nlohmann::json& query, FilledRow& row, const std::string& what, Check& check) {
  check.exact(what + " x", query.at("x") == row.tokens);
  check.exact(what + " y", query.at("y") == row.targets);
}

// The error of an action; "" without one.
template <class Action>
std::string refusal(Action&& action) {
  try {
    action();
  } catch (const std::exception& e) {
    return e.what();
  }
  return {};
}

// The prefix of the token files NAME.bin and NAME.idx of a case.
inline std::string case_prefix(const Case& c, const std::string& name = "data") { return c.path(name); }

}  // namespace rk::golden
