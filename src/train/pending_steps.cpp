#include "train/pending_steps.h"

#include <algorithm>
#include <cmath>

namespace rk {

StepReport PendingSteps::complete(const StepValues& v, const Scale& scale) {
  PendingStep step = std::move(steps_.front());
  steps_.pop_front();
  StepReport r = step.report;
  r.loss = step.targets > 0 ? v.loss / step.targets : 0;
  r.rank_loss = step.rank_targets > 0 ? v.rank_loss / step.rank_targets : 0;
  r.grad_norm = v.norm;
  r.clip = scale.grad_clip > 0 ? 1 / std::max(1.0, (r.grad_norm + 1e-6) / scale.grad_clip) : 1;
  r.skipped = !v.applied;
  r.applied_scale = v.applied_scale;
  offsets_ = std::move(step.offsets);
  r.offsets = &offsets_;
  // A step that was queued while the one before it was computed began when that one ended. Where the host is the slower one, the end of
  // that one is seen late, and queueing is what a step takes. An end that something waited for is seen at once, which makes that step too
  // long by this rule and the next one, whose end is seen late again: that one is told less.
  const auto now = std::chrono::steady_clock::now();
  const Seconds between = now - std::max(step.began, last_), queueing = step.queued - step.began;
  const Seconds seconds = std::max(between - too_much_, queueing);
  too_much_ = std::max(too_much_ + seconds - between, Seconds(0));
  r.seconds = seconds.count();
  last_ = now;
  r.tokens_per_s = static_cast<double>(scale.rows) / r.seconds;
  r.seconds_left = r.last_step > 0 ? static_cast<double>(r.last_step - r.step) * r.seconds : 0;
  return r;
}

}  // namespace rk
