#include "train/step_numbers.h"

#include "kernels/step_control/op.h"

namespace rk {
namespace {

// Places of the numbers.
constexpr int64_t kLossSum = 1, kSums = 2, kRankLoss = 2, kState = 3, kDecision = kState + kStepStates,
                  kNumbers = kDecision + kStepDecisions;
constexpr size_t kBytes = kNumbers * sizeof(double);

constexpr int64_t kLossScaleGrowth = 2000;  // finite steps after which it doubles

}  // namespace

StepNumbers::StepNumbers(Device device) : memory_(device, kBytes) {
  const Device host = device == Device::cuda ? Device::pinned : Device::cpu;
  zeros_ = Buffer(host, kSums * sizeof(double));
  for (Slot& s : slots_) {
    s.memory = Buffer(host, kBytes);
    if (device == Device::cuda) s.arrived.emplace_back();
  }
}

Tensor StepNumbers::at(int64_t first, int64_t n) const {
  return memory_.tensor(DType::f64, {n}, static_cast<size_t>(first) * sizeof(double));
}
Tensor StepNumbers::state() const { return at(kState, kStepStates); }
Tensor StepNumbers::loss_scale() const { return at(kState + kLossScale, 1); }
Tensor StepNumbers::decision() const { return at(kDecision, kStepDecisions); }

void StepNumbers::set_state(const Exec& ex, int64_t adam_t, double loss_scale, int64_t good_steps) {
  std::array<double, kStepStates> values{};
  values[kAdamT] = static_cast<double>(adam_t);
  values[kLossScale] = loss_scale;
  values[kGoodSteps] = static_cast<double>(good_steps);
  copy(ex, {values.data(), {kStepStates}, DType::f64, Device::cpu}, state());
}

void StepNumbers::start_step(const Exec& ex) { copy(ex, zeros_.tensor(DType::f64, {kSums}), sums()); }

void StepNumbers::decide(const Exec& ex, const RunConfig& config, bool scaled) {
  run(ex, StepControl{.squares = squares(),
                      .loss = loss(),
                      .state = state(),
                      .decision = decision(),
                      .grad_clip = config.grad_clip,
                      .beta1 = config.beta1,
                      .beta2 = config.beta2,
                      .growth_interval = scaled ? kLossScaleGrowth : 0});
}

void StepNumbers::keep_rank_loss(const Exec& ex) { copy(ex, loss(), at(kRankLoss, 1)); }

void StepNumbers::queue_copy(const Exec& ex) {
  require(queued_ - collected_ < static_cast<int64_t>(slots_.size()), "a step's numbers are collected before their place is needed again");
  Slot& s = slots_[static_cast<size_t>(queued_++) % slots_.size()];
  copy(ex, at(0, kNumbers), s.memory.tensor(DType::f64, {kNumbers}));
  for (GpuEvent& e : s.arrived) e.record(*ex.gpu);
}

StepValues StepNumbers::collect() {
  require(collected_ < queued_, "a step is queued before it is collected");
  Slot& s = slots_[static_cast<size_t>(collected_++) % slots_.size()];
  for (GpuEvent& e : s.arrived) e.wait();
  const double* x = s.memory.tensor(DType::f64, {kNumbers}).as<double>();
  const double *state = x + kState, *decision = x + kDecision;
  StepValues v;
  v.loss = x[kLossSum];
  v.rank_loss = x[kRankLoss];
  v.norm = decision[kNorm];
  v.applied = decision[kApply] != 0;
  v.applied_scale = decision[kAppliedScale];
  v.adam_t = static_cast<int64_t>(state[kAdamT]);
  v.loss_scale = state[kLossScale];
  v.good_steps = static_cast<int64_t>(state[kGoodSteps]);
  return v;
}

}  // namespace rk
