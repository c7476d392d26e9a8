#include "train/plan.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace rk {
namespace {

std::vector<PlanRequest> requests() {
  std::vector<PlanRequest> all;
  for (int segments : {1, 2, 5})
    for (int micro : {1, 3})
      for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment})
        for (bool grad_cp : {false, true})
          for (bool truncated : {false, true})
            for (bool early : {false, true}) all.push_back({4, micro, segments, order, grad_cp, truncated, early});
  return all;
}

// Every unit runs backward once on each segment of each micro-batch, after its forward, in an order that gradients can follow.
TEST(Plan, visits_every_cell_once_backward_after_its_forward) {
  for (const PlanRequest& r : requests()) {
    std::set<std::tuple<int, int, int>> forward, backward;
    for (const Visit& v : plan_step(r)) {
      const auto cell = std::make_tuple(v.micro, v.unit, v.segment);
      if (v.phase == Phase::forward && v.keep != Keep::nothing) {
        EXPECT_TRUE(forward.insert(cell).second);
        if (v.unit > 0) {
          EXPECT_TRUE(forward.contains({v.micro, v.unit - 1, v.segment}));
        }
      }
      if (v.phase != Phase::backward) continue;
      EXPECT_TRUE(forward.contains(cell));
      EXPECT_TRUE(backward.insert(cell).second);
      if (v.unit + 1 < r.n_units) {
        EXPECT_TRUE(backward.contains({v.micro, v.unit + 1, v.segment}));
      }
      // The gradient of a state comes from the segment after.
      if (!r.truncated && v.unit + 1 < r.n_units && v.segment + 1 < r.n_segments) {
        EXPECT_TRUE(backward.contains({v.micro, v.unit, v.segment + 1}));
      }
    }
    EXPECT_EQ(backward.size(), static_cast<size_t>(r.n_units * r.n_micro * r.n_segments));
  }
}

TEST(Plan, gradients_leave_after_the_last_visit_and_are_last_once_per_unit) {
  for (const PlanRequest& r : requests()) {
    const Plan plan = plan_step(r);
    std::map<int, int> last;
    std::map<int, bool> pending;
    for (const Visit& v : plan) {
      if (v.writes_grads) pending[v.unit] = true;
      if (v.grads_ready) pending[v.unit] = false;
      if (v.last) {
        EXPECT_TRUE(v.grads_ready);
        ++last[v.unit];
      }
      if (last[v.unit] && !v.last) {
        EXPECT_FALSE(v.writes_grads);
      }
      // With early reduction at most one unit has gradients that have not left.
      if (r.reduce_each_micro) {
        int waiting = 0;
        for (auto [unit, waits] : pending) waiting += waits;
        EXPECT_LE(waiting, 1);
      }
    }
    for (int u = 0; u < r.n_units; ++u) EXPECT_EQ(last[u], 1);
  }
}

TEST(Plan, layer_order_gathers_each_unit_at_most_twice) {
  PlanRequest r{.n_units = 34, .n_micro = 1, .n_segments = 128};
  const auto gathers = [](const Plan& plan) {
    int n = 0, unit = -1;
    for (const Visit& v : plan) n += std::exchange(unit, v.unit) != v.unit;
    return n;
  };
  EXPECT_EQ(gathers(plan_step(r)), 2 * 34 - 1);
  r.order = PlanOrder::segment;
  EXPECT_GT(gathers(plan_step(r)), 128 * 34);
}

TEST(Plan, checkpointing_recomputes_right_before_backward) {
  PlanRequest r{.n_units = 4, .n_micro = 2, .n_segments = 3};
  r.grad_cp = true;
  const Plan plan = plan_step(r);
  for (size_t i = 0; i < plan.size(); ++i) {
    if (plan[i].phase != Phase::backward || plan[i].unit == 3) continue;
    EXPECT_EQ(plan[i - 1].phase, Phase::recompute);
    EXPECT_EQ(plan[i - 1].unit, plan[i].unit);
    EXPECT_EQ(plan[i - 1].segment, plan[i].segment);
  }
}

TEST(Plan, text_has_a_line_a_visit) {
  const Plan plan = plan_step({.n_units = 2, .n_micro = 1, .n_segments = 1});
  EXPECT_EQ(to_text(plan),
            "forward unit 0 micro 0 segment 0 keep all\n"
            "forward unit 1 micro 0 segment 0 keep all grads\n"
            "backward unit 1 micro 0 segment 0 grads ready last\n"
            "backward unit 0 micro 0 segment 0 grads ready last\n");
}

}  // namespace
}  // namespace rk
