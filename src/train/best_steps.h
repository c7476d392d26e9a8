// The steps with the lowest validation losses so far.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace rk {

class BestSteps {
 public:
  explicit BestSteps(int64_t most) : most_(most) {}
  // As text() gave it, in a run that may have kept another number.
  void set(const std::string& text);
  std::string text() const;  // "1200:2.31 800:2.4"

  // Whether the step is among the best now; the worst gives way. A loss that is not finite never is.
  bool add(int64_t step, double loss);
  void drop(int64_t step);
  int64_t best() const { return steps_.empty() ? -1 : steps_.front().step; }
  std::set<int64_t> steps() const;

 private:
  struct Step {
    int64_t step;
    double loss;
  };
  int64_t most_;
  std::vector<Step> steps_;  // the best first
};

}  // namespace rk
