#include "train/runner.h"

#include <algorithm>
#include <array>

#include "kernels/elementwise/op.h"

namespace rk {
namespace {

// A dry run sees the parameters' shapes without their values.
void bind_shapes(Model& model, Device device) {
  for (Param& p : model.params.all()) {
    p.w = {nullptr, p.shape, model.dtype, device};
    p.dw = p.trainable ? Tensor{nullptr, p.shape, acc_dtype(model.dtype), device} : Tensor{};
  }
}

// The next units after visit i that are not visit i's, in order, each once.
class Upcoming {
 public:
  Upcoming(const Plan& plan, size_t i, int depth) {
    const auto wanted = std::min(static_cast<size_t>(depth), units_.size());
    for (size_t j = i + 1; j < plan.size() && n_ < wanted; ++j)
      if (plan[j].unit != plan[i].unit && std::find(units_.begin(), units_.begin() + n_, plan[j].unit) == units_.begin() + n_)
        units_[n_++] = plan[j].unit;
  }
  std::span<const int> units() const { return {units_.data(), n_}; }

 private:
  std::array<int, 8> units_{};
  size_t n_ = 0;
};

const char* name_of(Phase p) {
  static const char* const names[] = {"forward", "recomputation", "backward"};
  return names[static_cast<int>(p)];
}

}  // namespace

bool Runner::run(const Exec& ex, const Plan& plan, const StepIo& io) {
  io_ = &io;
  if (ex.dry()) bind_shapes(model_, ex.device);
  const ArenaScope base(*ex.kept);
  lay_out(ex, plan, io);
  for (size_t i = 0; i < plan.size(); ++i) {
    const Visit& v = plan[i];
    const Segment& seg = io.micro[static_cast<size_t>(v.micro)][static_cast<size_t>(v.segment)];
    if (io.leave && (i == 0 || plan[i - 1].micro != v.micro) && io.leave()) return false;
    if (io.visit) *io.visit = i;
    if (io.watchdog) io.watchdog->progress(io.step, name_of(v.phase), unit(v).name.c_str());
    if (!ex.dry()) {
      shards_->acquire(v.unit);
      shards_->prefetch(Upcoming(plan, i, shards_->prefetch_depth()).units());
      if (v.writes_grads) shards_->bind_grads(ex, v.unit);
    }
    if (static_cast<size_t>(v.micro) < io.n_filled) compute(ex, v, seg);
    if (ex.dry()) continue;
    if (v.grads_ready) shards_->grads_ready(ex, v.unit, v.last);
    if (i + 1 == plan.size() || plan[i + 1].unit != v.unit) shards_->release(v.unit);
  }
  return true;
}

// Sizes the tables and takes what lives as long as the run: states, the flow's shared part, gradients of both. Micro-batches have
// equal shapes, so that each uses the same memory.
void Runner::lay_out(const Exec& ex, const Plan& plan, const StepIo& io) {
  const auto n_units = model_.units.size();
  const std::vector<Segment>& segments = io.micro[0];
  n_segments_ = segments.size();
  const bool trains = std::any_of(plan.begin(), plan.end(), [](const Visit& v) { return v.phase == Phase::backward; });
  const bool sweeps =
      std::any_of(plan.begin(), plan.end(), [](const Visit& v) { return v.keep == Keep::nothing && v.phase == Phase::forward; });
  const bool through_time = trains && n_segments_ > 1 && !io.truncated;
  // In layer order the first unit's second visit is its second segment.
  one_segment_at_a_time_ = n_segments_ == 1 || plan[1].unit != plan[0].unit;
  cells_.resize(n_units * n_segments_);
  if (specs_B_ != segments[0].B) {
    specs_.clear();
    for (const auto& unit : model_.units) specs_.push_back(unit->state_specs(segments[0].B));
    specs_B_ = segments[0].B;
  }
  state_begin_.assign(1, 0);
  dstate_.resize(2 * n_units);
  for (size_t u = 0; u < n_units; ++u) {
    const auto& specs = specs_[u];
    state_begin_.push_back(state_begin_.back() + specs.size());
    for (size_t s = 0; s < n_segments_; ++s) {
      auto& state = cells_[u * n_segments_ + s].state;
      state.resize(s > 0 ? specs.size() : 0);
      for (size_t k = 0; k < state.size(); ++k) state[k] = ex.kept->take(specs[k].dtype, specs[k].shape);
    }
    for (size_t parity = 0; parity < 2; ++parity) {
      auto& d = dstate_[2 * u + parity];
      d.resize(through_time ? specs.size() : 0);
      for (size_t k = 0; k < d.size(); ++k) d[k] = ex.kept->take(acc_dtype(model_.dtype), specs[k].shape);
    }
  }

  int64_t longest = 0;
  for (const Segment& s : segments) longest = std::max(longest, s.T);
  const size_t n = one_segment_at_a_time_ ? 1 : n_segments_;
  shared_.resize(model_.shares ? n : 0);
  dx_.resize(trains ? n : 0);
  dshared_.resize(trains && model_.shares ? n : 0);
  for (size_t s = 0; s < n; ++s) {
    const Shape shape{segments[s].B, one_segment_at_a_time_ ? longest : segments[s].T, model_.n_embd};
    if (!shared_.empty()) shared_[s] = ex.kept->take(model_.dtype, shape);
    if (!dx_.empty()) dx_[s] = ex.kept->take(model_.dtype, shape);
    if (!dshared_.empty()) dshared_[s] = ex.kept->take(acc_dtype(model_.dtype), shape);
  }
  flowing_ = sweeps ? ex.kept->take(model_.dtype, {segments[0].B, longest, model_.n_embd}) : Tensor{};
}

void Runner::compute(const Exec& ex, const Visit& v, const Segment& seg) {
  switch (v.phase) {
    case Phase::forward: return forward(ex, v, seg);
    case Phase::recompute: return recompute(ex, v, seg);
    case Phase::backward: return backward(ex, v, seg);
  }
}

// The first part of a buffer made for the longest segment.
static Tensor fit(const Tensor& t, const Segment& seg, int64_t C) { return t.slice(0, seg.B * seg.T * C).view({seg.B, seg.T, C}); }

Flow Runner::flow_in(const Visit& v, const Segment& seg) {
  return {cell(v.unit, v.segment).x, shared_.empty() ? Tensor{} : fit(shared_[slot(v.segment)], seg, model_.n_embd)};
}

FlowGrad Runner::flow_grad(const Visit& v, const Segment& seg) {
  const size_t s = slot(v.segment);
  return {fit(dx_[s], seg, model_.n_embd), dshared_.empty() ? Tensor{} : fit(dshared_[s], seg, model_.n_embd)};
}

std::span<const Tensor> Runner::of_unit(std::span<const Tensor> all, int unit) const {
  if (all.empty()) return {};
  const auto u = static_cast<size_t>(unit);
  return all.subspan(state_begin_[u], state_begin_[u + 1] - state_begin_[u]);
}

std::span<const Tensor> Runner::state_in(int unit, int segment) {
  if (segment == 0) return of_unit(io_->initial_state, unit);
  return cell(unit, segment).state;
}

std::span<const Tensor> Runner::state_out(int unit, int segment) {
  if (segment + 1 == static_cast<int>(n_segments_)) return of_unit(io_->final_state, unit);
  return cell(unit, segment + 1).state;
}

std::span<const Tensor> Runner::dstate(int unit, int segment) {
  if (segment == static_cast<int>(n_segments_)) return of_unit(io_->dfinal_state, unit);
  if (segment == 0) return of_unit(io_->dinitial_state, unit);
  if (io_->truncated) return {};
  return dstate_[static_cast<size_t>(2 * unit + segment % 2)];
}

void Runner::forward(const Exec& ex, const Visit& v, const Segment& seg) {
  Cell& c = cell(v.unit, v.segment);
  c.mark = ex.kept->mark();
  Flow out = flow_in(v, seg);
  if (v.unit == head()) {
    out = {};
  } else if (v.keep == Keep::nothing) {
    out.x = fit(flowing_, seg, model_.n_embd);
  } else {
    out.x = ex.kept->take(model_.dtype, {seg.B, seg.T, model_.n_embd});
  }
  if (v.unit != head()) cell(v.unit + 1, v.segment).x = out.x;
  unit(v).forward(ex, {.seg = seg,
                       .in = flow_in(v, seg),
                       .out = out,
                       .state_in = state_in(v.unit, v.segment),
                       .state_out = state_out(v.unit, v.segment),
                       .saved = v.keep == Keep::all ? &c.saved : nullptr});
}

// The same forward again, this time with a place for what backward needs; its outputs get the values that they already hold.
void Runner::recompute(const Exec& ex, const Visit& v, const Segment& seg) {
  Flow out = flow_in(v, seg);
  out.x = cell(v.unit + 1, v.segment).x;
  unit(v).forward(ex, {.seg = seg,
                       .in = flow_in(v, seg),
                       .out = out,
                       .state_in = state_in(v.unit, v.segment),
                       .state_out = {},
                       .saved = &cell(v.unit, v.segment).saved});
}

void Runner::backward(const Exec& ex, const Visit& v, const Segment& seg) {
  Cell& c = cell(v.unit, v.segment);
  const FlowGrad grad = flow_grad(v, seg);
  if (v.unit == head() && model_.shares) rk::run(ex, Fill{.x = grad.dshared, .value = 0});
  unit(v).backward(ex, {.seg = seg,
                        .in = flow_in(v, seg),
                        .grad = grad,
                        .state_in = state_in(v.unit, v.segment),
                        .dstate_out = dstate(v.unit, v.segment + 1),
                        .dstate_in = dstate(v.unit, v.segment),
                        .saved = c.saved});
  ex.kept->rewind(c.mark);
}

}  // namespace rk
