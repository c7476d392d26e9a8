// Executes a plan: a loop over visits that makes no decisions.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "comm/watchdog.h"
#include "nn/unit.h"
#include "shard/shards.h"
#include "train/plan.h"

namespace rk {

// Inputs and optional outputs of one run of a plan.
struct StepIo {
  std::span<const std::vector<Segment>> micro;  // [micro-batch][segment]
  // Micro-batches from this one on are empty: their visits exchange weights and gradients, which are zero, and compute nothing.
  size_t n_filled = SIZE_MAX;
  bool truncated = false;  // no gradient through the state between segments
  // States of all units in order, each unit's in the order of its state_specs; empty = zero / not wanted. Gradients are in the
  // accumulation dtype. They belong to a plan of one micro-batch.
  std::span<const Tensor> initial_state, final_state, dfinal_state, dinitial_state;
  Watchdog* watchdog = nullptr;
  int64_t step = 0;
  // Asked before each micro-batch, with the same answer on every rank; true: the rest of the plan is left out.
  std::function<bool()> leave;
  size_t* visit = nullptr;  // set to the place in the plan before each visit, for whoever watches the operators
};

// Holds the views that live between visits. With measuring arenas it is a dry run: shards may then be null, nothing is computed,
// and the arenas' peaks are what a real run takes. After the first run of a shape it does not allocate.
class Runner {
 public:
  Runner(Model& model, Shards* shards) : model_(model), shards_(shards) {}
  // False: it was left; reductions of gradients that it has started may be under way, and their sums mean nothing.
  bool run(const Exec& ex, const Plan& plan, const StepIo& io);

 private:
  // One unit on one segment.
  struct Cell {
    Tensor x;          // input of the unit
    Arena::Mark mark;  // where its kept memory begins
    Saved saved;
    std::vector<Tensor> state;  // entering the segment
  };
  Cell& cell(int unit, int segment) { return cells_[static_cast<size_t>(unit) * n_segments_ + static_cast<size_t>(segment)]; }

  void lay_out(const Exec& ex, const Plan& plan, const StepIo& io);
  void compute(const Exec& ex, const Visit& v, const Segment& seg);
  void forward(const Exec& ex, const Visit& v, const Segment& seg);
  void recompute(const Exec& ex, const Visit& v, const Segment& seg);
  void backward(const Exec& ex, const Visit& v, const Segment& seg);
  Flow flow_in(const Visit& v, const Segment& seg);
  FlowGrad flow_grad(const Visit& v, const Segment& seg);
  // Where a segment's flow lives: of its own in layer order, the only one in segment order.
  size_t slot(int segment) const { return one_segment_at_a_time_ ? 0 : static_cast<size_t>(segment); }
  std::span<const Tensor> state_in(int unit, int segment);
  std::span<const Tensor> state_out(int unit, int segment);
  std::span<const Tensor> dstate(int unit, int segment);  // gradient of the state entering `segment`
  std::span<const Tensor> of_unit(std::span<const Tensor> all, int unit) const;

  const Unit& unit(const Visit& v) const { return *model_.units[static_cast<size_t>(v.unit)]; }
  int head() const { return static_cast<int>(model_.units.size()) - 1; }

  Model& model_;
  Shards* shards_;
  const StepIo* io_ = nullptr;
  size_t n_segments_ = 0;
  bool one_segment_at_a_time_ = false;
  std::vector<Cell> cells_;
  int64_t specs_B_ = -1;                       // the batch that specs_ were asked for
  std::vector<std::vector<StateSpec>> specs_;  // by unit
  std::vector<size_t> state_begin_;            // by unit, into the spans of StepIo; one more than units
  std::vector<Tensor> shared_, dx_, dshared_;
  Tensor flowing_;                           // x of a sweep that keeps nothing
  std::vector<std::vector<Tensor>> dstate_;  // [unit * 2 + parity of segment]
};

}  // namespace rk
