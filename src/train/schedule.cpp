#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>

namespace rk {

double Schedule::token_progress(int64_t step) const {
  const auto tokens = [&](int64_t steps) { return static_cast<double>(steps * ctx_len * real_bsz); };
  const double warm = tokens(warmup_steps);
  const double p = (tokens(real_step(step)) - warm) / (static_cast<double>(std::llabs(my_exit_tokens)) - warm);
  return std::clamp(p, 0.0, 1.0);
}

double Schedule::cosine(int64_t step) const {
  if (lr_init == 0) return 0;
  const double f = lr_final / lr_init;
  return lr_init * ((0.5 + f / 2) + (0.5 - f / 2) * std::cos(std::numbers::pi * token_progress(step)));
}

double Schedule::epoch_progress(int64_t step) const {
  const auto begin = static_cast<double>(my_pile_edecay * epoch_steps + warmup_steps);
  return std::clamp((static_cast<double>(real_step(step)) - begin + 1) / (static_cast<double>(n_steps()) - begin), 0.0, 1.0);
}

double Schedule::by_epochs(int64_t step) const {
  if (lr_final == lr_init || n_steps() == 0) return lr_init;
  const double p = epoch_progress(step);
  if (lr_final == 0 || lr_init == 0) return lr_init + (lr_final - lr_init) * p;
  return lr_init * std::exp(std::log(lr_final / lr_init) * p);
}

double Schedule::lr(int64_t step) const {
  double lr = my_exit_tokens > 0 ? cosine(step) : by_epochs(step);
  if (my_exit_tokens < 0) lr = (lr + cosine(step)) / 2;
  if (step < warmup_steps) lr *= warmup_floor + (1 - warmup_floor) * static_cast<double>(step) / static_cast<double>(warmup_steps);
  return lr;
}

double Schedule::decay(int64_t step) const {
  if (weight_decay_final <= 0 || weight_decay <= 0) return weight_decay;
  const double p = my_exit_tokens != 0 ? token_progress(step) : n_steps() == 0 ? 0 : epoch_progress(step);
  return weight_decay * std::exp(std::log(weight_decay_final / weight_decay) * p);
}

bool Schedule::past_horizon(int64_t step) const { return my_exit_tokens != 0 && token_progress(step) >= 1; }

}  // namespace rk
