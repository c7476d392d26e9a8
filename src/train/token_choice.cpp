#include "train/token_choice.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace rk {

int32_t choose_token(std::span<const double> logits, const TokenChoice& rule, double uniform) {
  const auto likeliest = std::max_element(logits.begin(), logits.end());
  if (rule.temperature == 0 || rule.top_k == 1) return static_cast<int32_t>(likeliest - logits.begin());

  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto logit = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; });
  if (rule.top_k > 0 && rule.top_k < static_cast<int64_t>(order.size())) order.resize(static_cast<size_t>(rule.top_k));

  std::vector<double> p;
  for (int32_t id : order) p.push_back(std::exp(logit(id) - *likeliest));
  const double all = std::accumulate(p.begin(), p.end(), 0.0);
  double reached = 0;
  size_t n = 0;
  while (n < p.size() && (n == 0 || reached < rule.top_p * all)) reached += p[n++];
  p.resize(n);

  for (double& x : p) x = std::pow(x, 1 / rule.temperature);
  double rest = uniform * std::accumulate(p.begin(), p.end(), 0.0);
  for (size_t i = 0; i < n; ++i)
    if ((rest -= p[i]) < 0) return order[i];
  return order[n - 1];  // rounding
}

}  // namespace rk
