#include "train/plan.h"

#include <algorithm>
#include <map>

#include "base/error.h"

namespace rk {
namespace {

// Adds visits of one micro-batch.
class Planner {
 public:
  Planner(const PlanRequest& r, int micro, Plan& plan) : r_(r), micro_(micro), plan_(plan) {}

  void layer_order() {
    for (int u = 0; u < head(); ++u)
      for (int s = 0; s < r_.n_segments; ++s) forward(u, s);
    for (int s = 0; s < r_.n_segments; ++s) run_head(s);
    for (int u = head() - 1; u >= 0; --u)
      for (int s = r_.n_segments - 1; s >= 0; --s) backward(u, s);
  }

  void segment_order() {
    if (!r_.truncated)
      for (int s = 0; s + 1 < r_.n_segments; ++s)
        for (int u = 0; u < head(); ++u) add(Phase::forward, Keep::nothing, u, s);
    for (int i = 0; i < r_.n_segments; ++i) {
      const int s = r_.truncated ? i : r_.n_segments - 1 - i;
      for (int u = 0; u < head(); ++u) forward(u, s);
      run_head(s);
      for (int u = head() - 1; u >= 0; --u) backward(u, s);
    }
  }

 private:
  int head() const { return r_.n_units - 1; }
  void add(Phase phase, Keep keep, int unit, int segment) {
    Visit v;
    v.phase = phase;
    v.keep = keep;
    v.unit = unit;
    v.micro = micro_;
    v.segment = segment;
    plan_.push_back(v);
  }
  void forward(int u, int s) { add(Phase::forward, r_.grad_cp ? Keep::input : Keep::all, u, s); }
  void backward(int u, int s) {
    if (r_.grad_cp) add(Phase::recompute, Keep::all, u, s);
    add(Phase::backward, Keep::nothing, u, s);
  }
  void run_head(int s) {
    add(Phase::forward, Keep::all, head(), s);
    add(Phase::backward, Keep::nothing, head(), s);
  }

  const PlanRequest& r_;
  int micro_;
  Plan& plan_;
};

// Marks where each unit's gradients are complete: after its last visit, or, where they must leave early, after every run of
// visits to the unit (recomputing between its segments included).
void mark_grads(Plan& plan, const PlanRequest& r) {
  const int head = r.n_units - 1;
  std::map<int, size_t> last;  // by unit
  for (size_t i = 0; i < plan.size(); ++i) {
    Visit& v = plan[i];
    v.writes_grads = v.phase == Phase::backward || (v.unit == head && v.keep == Keep::all);
    if (v.writes_grads) last[v.unit] = i;
  }
  const auto goes_on = [&](size_t i) {
    return i + 1 < plan.size() && plan[i + 1].unit == plan[i].unit && plan[i + 1].micro == plan[i].micro &&
           (plan[i + 1].writes_grads || plan[i + 1].phase == Phase::recompute);
  };
  if (r.reduce_each_micro)
    for (size_t i = 0; i < plan.size(); ++i) plan[i].grads_ready = plan[i].writes_grads && !goes_on(i);
  for (auto [unit, i] : last) plan[i].grads_ready = plan[i].last = true;
}

}  // namespace

Plan plan_step(const PlanRequest& r) {
  require(r.n_units >= 2 && r.n_micro >= 1 && r.n_segments >= 1, "a plan has units, micro-batches and segments");
  Plan plan;
  for (int m = 0; m < r.n_micro; ++m) {
    Planner planner(r, m, plan);
    r.order == PlanOrder::layer ? planner.layer_order() : planner.segment_order();
  }
  mark_grads(plan, r);
  return plan;
}

Plan plan_forward(int n_units, int n_segments) {
  Plan plan;
  for (int s = 0; s < n_segments; ++s)
    for (int u = 0; u < n_units; ++u) {
      Visit v;
      v.unit = u;
      v.segment = s;
      plan.push_back(v);
    }
  return plan;
}

std::string to_text(const Plan& plan) {
  static const char* const phases[] = {"forward", "recompute", "backward"};
  static const char* const keeps[] = {"", " keep input", " keep all"};
  std::string text;
  for (const Visit& v : plan)
    text +=
        cat(phases[static_cast<int>(v.phase)], " unit ", v.unit, " micro ", v.micro, " segment ", v.segment,
            keeps[static_cast<int>(v.keep)], v.writes_grads ? " grads" : "", v.grads_ready ? " ready" : "", v.last ? " last" : "", "\n");
  return text;
}

}  // namespace rk
