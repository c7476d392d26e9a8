#include "train/best_steps.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

namespace rk {

void BestSteps::set(const std::string& text) {
  steps_.clear();
  std::istringstream in(text);
  Step s{};
  for (char colon = 0; in >> s.step >> colon >> s.loss;) add(s.step, s.loss);
}

std::string BestSteps::text() const {
  std::string text;
  for (const Step& s : steps_) {
    char one[64];
    std::snprintf(one, sizeof one, "%s%lld:%.17g", text.empty() ? "" : " ", static_cast<long long>(s.step), s.loss);
    text += one;
  }
  return text;
}

bool BestSteps::add(int64_t step, double loss) {
  if (!std::isfinite(loss) || most_ <= 0) return false;
  drop(step);
  const auto place = std::find_if(steps_.begin(), steps_.end(), [&](const Step& s) { return loss < s.loss; });
  if (place == steps_.end() && static_cast<int64_t>(steps_.size()) >= most_) return false;
  steps_.insert(place, {step, loss});
  if (static_cast<int64_t>(steps_.size()) > most_) steps_.pop_back();
  return true;
}

void BestSteps::drop(int64_t step) {
  std::erase_if(steps_, [&](const Step& s) { return s.step == step; });
}

std::set<int64_t> BestSteps::steps() const {
  std::set<int64_t> all;
  for (const Step& s : steps_) all.insert(s.step);
  return all;
}

}  // namespace rk
