#include "train/step_record.h"

#include <algorithm>

namespace rk {
namespace {

// Keeps the outermost calls: one operator may be made of others.
class Recorder : public OpWatch {
 public:
  Recorder(std::vector<std::vector<OpCall>>& visits, const size_t& visit) : visits_(visits), visit_(visit) {}
  void begin(const char* op, double bytes, double flops) override {
    if (depth_++ == 0) visits_[visit_].push_back({op, bytes, flops, {}});
  }
  void sizes(const OpSizes& sizes) override {
    if (depth_ == 1) visits_[visit_].back().sizes = sizes;
  }
  void end() override { --depth_; }

 private:
  std::vector<std::vector<OpCall>>& visits_;
  const size_t& visit_;
  int depth_ = 0;
};

}  // namespace

StepRecord record_step(const Exec& bare, Model& model, const RunPlan& run) {
  StepRecord record;
  for (const Visit& v : run.step)
    if (v.micro == 0) record.plan.push_back(v);
  record.visits.resize(record.plan.size());
  BatchShape shape = run.shape;
  shape.micro = 1;
  size_t visit = 0;
  Recorder recorder(record.visits, visit);
  Exec ex = bare;
  ex.keep_less = run.keep_less;
  ex.watch = &recorder;
  MemoryPlan unused;
  measure(ex, model, {record.plan, shape, run.truncated, run.scales_loss, &visit}, unused);
  return record;
}

}  // namespace rk
