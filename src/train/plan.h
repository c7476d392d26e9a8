// The training step as data: which unit runs when, on which segment of which micro-batch, and what it keeps.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rk {

enum class Phase : uint8_t { forward, recompute, backward };
// What a forward leaves behind: nothing, only the input of the unit (its output flows on), or all that backward needs.
enum class Keep : uint8_t { nothing, input, all };

struct Visit {
  Phase phase = Phase::forward;
  Keep keep = Keep::nothing;
  int32_t unit = 0, micro = 0, segment = 0;
  bool writes_grads = false;  // adds to the gradients of the unit's parameters
  bool grads_ready = false;   // they are complete after this visit and may leave
  bool last = false;          // ... for the whole step
  bool operator==(const Visit&) const = default;
};
using Plan = std::vector<Visit>;

// layer: all segments of a unit before the next unit (ZeRO-3, offload). segment: all units of a segment before the next (long T).
enum class PlanOrder : uint8_t { layer, segment };

struct PlanRequest {
  int n_units = 0, n_micro = 1, n_segments = 1;
  PlanOrder order = PlanOrder::layer;
  bool grad_cp = false;            // keep only inputs, recompute before backward
  bool truncated = false;          // no gradient through the state between segments
  bool reduce_each_micro = false;  // gradients leave after every micro-batch (ZeRO-2 and 3) instead of after the last
};

// The last unit is the head: its backward follows its forward at once.
// Segment order with gradients through time first runs forward over all segments but the last for their states, then
// forward and backward segment by segment from the end: one segment's activations live at a time.
Plan plan_step(const PlanRequest& request);
// Forward only, segment by segment, nothing kept.
Plan plan_forward(int n_units, int n_segments);

// One visit a line, for tests and people.
std::string to_text(const Plan& plan);

}  // namespace rk
