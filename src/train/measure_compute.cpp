// Training steps of small models with the layers of large ones, each operator timed where it stands.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "comm/backends.h"
#include "device/moments.h"
#include "kernels/elementwise/op.h"
#include "kernels/step_control/op.h"
#include "train/build.h"
#include "train/measure_machine.h"
#include "train/run_plan.h"
#include "train/runner.h"
#include "train/step_numbers.h"
#include "train/step_record.h"

namespace rk {
namespace {

// One operator call, and how long it took.
struct TimedCall {
  OpCall call;
  double seconds;
};

class Profile : public OpWatch {
 public:
  explicit Profile(const Gpu* gpu) : moments_(gpu) {}
  void begin(const char* op, double bytes, double flops) override {
    if (depth_++ == 0) calls_.push_back({{op, bytes, flops, {}}, moments_.now(), 0});
  }
  void sizes(const OpSizes& sizes) override {
    if (depth_ == 1) calls_.back().call.sizes = sizes;
  }
  void end() override {
    if (--depth_ == 0) calls_.back().end = moments_.now();
  }
  void clear() {
    calls_.clear();
    moments_.clear();
  }
  // All work is done.
  std::vector<TimedCall> timed() const {
    std::vector<TimedCall> all;
    for (const Call& c : calls_) all.push_back({c.call, 1e-3 * moments_.ms(c.begin, c.end)});
    return all;
  }

 private:
  struct Call {
    OpCall call;
    size_t begin, end;
  };
  Moments moments_;
  std::vector<Call> calls_;
  int depth_ = 0;
};

RunConfig probe(bool on_gpu, int64_t channels, int64_t vocab, int64_t ctx, int64_t batch) {
  RunConfig c;
  c.n_layer = 2;
  c.n_embd = channels;
  c.vocab_size = vocab;
  c.ctx_len = ctx;
  c.micro_bsz = batch;
  c.precision = on_gpu ? "bf16" : "fp32";
  c.init = "normal";
  c.keep = "all";
  c.zero = 0;
  return c;
}

// Times the operators of one model's steps.
class StepProbe {
 public:
  StepProbe(const Machine& machine, ThreadPool& pool, const RunConfig& config)
      : machine_(machine), pool_(pool), config_(config), comm_(make_self_comm(machine.gpu)), profile_(machine.gpu) {
    model_ = build_model(config_, {}, nullptr);
    RunPlan run = plan_run(exec(), config_, *model_, {});
    plan_ = run.step;
    shape_ = run.shape;
    shards_.emplace(exec(), *comm_, std::move(run.layout), run.shards);
    batcher_.emplace(shape_, device());
    kept_ = Arena(Buffer(device(), run.memory.kept));
    scratch_ = Arena(Buffer(device(), run.memory.scratch));
    numbers_.emplace(device());
    ready_ = true;
    load_fresh(exec(), *model_, *shards_, config_);
    shards_->refresh_weights(exec());
    numbers_->set_state(exec(), 0, 1, 0);
    runner_.emplace(*model_, &*shards_);
  }

  std::vector<TimedCall> run(int n_warm, int n_timed) {
    const auto source = make_random_source(model_->n_vocab);
    for (int i = 0; i < n_warm + n_timed; ++i) {
      if (i == n_warm) profile_.clear();
      step(*source);
    }
    return profile_.timed();
  }

 private:
  Device device() const { return machine_.gpu ? Device::cuda : Device::cpu; }
  Exec exec() {
    Exec ex{.device = device(), .pool = &pool_, .gpu = machine_.gpu};
    if (!ready_) return ex;
    ex.kept = &kept_;
    ex.scratch = &scratch_;
    ex.watch = &profile_;
    return ex;
  }
  void step(const BatchSource& source) {
    const Exec ex = exec();
    ++step_;
    batcher_->fill(ex, source, [&](int64_t, int64_t j) { return step_ * shape_.B + j; });
    batcher_->scale({.scale = 1 / batcher_->n_targets(), .loss_sum = numbers_->loss()});
    numbers_->start_step(ex);
    shards_->start_step(ex);
    StepIo io;
    io.micro = batcher_->micro();
    runner_->run(ex, plan_, io);
    shards_->finish_grads(ex);
    shards_->add_grad_squares(ex, numbers_->squares());
    numbers_->keep_rank_loss(ex);
    rk::run(ex, StepControl{.squares = numbers_->squares(),
                            .loss = numbers_->loss(),
                            .state = numbers_->state(),
                            .decision = numbers_->decision(),
                            .grad_clip = 1});
    shards_->update(ex, {.lr = 1e-4, .decision = numbers_->decision()});
    numbers_->queue_copy(ex);
    numbers_->collect();
  }

  const Machine& machine_;
  ThreadPool& pool_;
  RunConfig config_;
  std::unique_ptr<Comm> comm_;
  std::unique_ptr<Model> model_;
  Plan plan_;
  BatchShape shape_;
  std::optional<Shards> shards_;
  std::optional<Batcher> batcher_;
  std::optional<StepNumbers> numbers_;
  Arena kept_, scratch_;
  std::optional<Runner> runner_;
  Profile profile_;
  bool ready_ = false;
  int64_t step_ = 0;
};

// Seconds of calls that are alike.
struct Sum {
  double seconds = 0, bytes = 0;
  int n = 0;
  void add(const TimedCall& c) {
    seconds += c.seconds;
    bytes += c.call.bytes;
    ++n;
  }
};

// Two shapes of the same number of tokens: what each token and each chunk takes.
struct WkvTimes {
  double tokens_heads = 0, few_chunks = 0, few_s = 0, many_chunks = 0, many_s = 0;
  WkvRate rate() const {
    const double chunk = std::max(0.0, (many_s - few_s) / (many_chunks - few_chunks));
    return {(few_s - few_chunks * chunk) / tokens_heads, chunk};
  }
};

class Collected {
 public:
  explicit Collected(double gap_s) : gap_s_(gap_s) {}
  void add(const std::vector<TimedCall>& calls) {
    for (const TimedCall& c : calls) {
      if (kind_of(c.call.op) == OpKind::product) {
        products_[c.call.sizes].add(c);
      } else if (kind_of(c.call.op) == OpKind::element_wise) {
        operators_[c.call.op].add(c);
      }
    }
  }
  // Mean seconds of one call of the recurrence.
  static double wkv(const std::vector<TimedCall>& calls, const char* op) {
    Sum sum;
    for (const TimedCall& c : calls)
      if (std::strcmp(c.call.op, op) == 0) sum.add(c);
    return sum.n ? sum.seconds / sum.n : 0;
  }
  void into(ComputeRates& rates) const {
    for (const auto& [sizes, sum] : products_) {
      const double flops = 2.0 * static_cast<double>(sizes[0]) * static_cast<double>(sizes[1]) * static_cast<double>(sizes[2]);
      const double rate = flops / net(sum);
      rates.gemm.push_back({sizes[0], sizes[1], sizes[2], rate});
      rates.gemm_flops = std::max(rates.gemm_flops, rate);
    }
    for (const auto& [op, sum] : operators_)
      if (sum.bytes > 1e6 * sum.n) rates.operators[op] = sum.bytes / (net(sum) * sum.n);
  }

 private:
  double net(const Sum& sum) const { return std::max(sum.seconds / sum.n - gap_s_, 1e-7); }
  double gap_s_;
  std::map<OpSizes, Sum> products_;
  std::map<std::string, Sum> operators_;
};

// Small operators in a row, and a large copy.
void measure_ends(const Exec& ex, ComputeRates& rates) {
  constexpr int kCalls = 2000;
  Moments moments(ex.gpu);
  const Buffer little(ex.device, 4096);
  const size_t large = ex.gpu ? size_t{1} << 30 : size_t{256} << 20;
  const Buffer from(ex.device, large), to(ex.device, large);
  const auto n = static_cast<int64_t>(large);
  const auto fills = [&] {
    for (int i = 0; i < kCalls; ++i) run(ex, Fill{.x = little.tensor(DType::f32, {1024}), .value = 0});
  };
  const auto copies = [&] {
    for (int i = 0; i < 10; ++i) copy(ex, from.tensor(DType::u8, {n}), to.tensor(DType::u8, {n}));
  };
  fills();
  copies();
  const size_t begin = moments.now();
  fills();
  const size_t middle = moments.now();
  copies();
  const size_t end = moments.now();
  synchronize(ex);
  rates.gap_s = 1e-3 * moments.ms(begin, middle) / kCalls;
  rates.copy = 10 * 2 * static_cast<double>(large) / (1e-3 * moments.ms(middle, end));
}

}  // namespace

void measure_compute(const Machine& machine, ComputeRates& rates) {
  ThreadPool pool(machine.threads);
  Arena unused{Buffer(Device::cpu, 64)};
  const bool on_gpu = machine.gpu != nullptr;
  measure_ends({.device = on_gpu ? Device::cuda : Device::cpu, .pool = &pool, .kept = &unused, .scratch = &unused, .gpu = machine.gpu},
               rates);
  Collected all(rates.gap_s);
  std::vector<TimedCall> few, many;
  double tokens_heads = 0, few_chunks = 0, many_chunks = 0;
  constexpr double kChunk = 32;
  if (on_gpu) {
    few = StepProbe(machine, pool, probe(true, 2048, 65536, 4096, 4)).run(15, 5);  // the first steps warm the chip
    many = StepProbe(machine, pool, probe(true, 2048, 65536, 16384, 1)).run(2, 3);
    all.add(StepProbe(machine, pool, probe(true, 768, 65536, 4096, 8)).run(3, 4));
    all.add(StepProbe(machine, pool, probe(true, 4096, 16384, 4096, 2)).run(3, 4));
    tokens_heads = 4 * 4096 * 32;
    few_chunks = 4096 / kChunk, many_chunks = 16384 / kChunk;
  } else {
    few = StepProbe(machine, pool, probe(false, 256, 1024, 128, 4)).run(1, 3);
    many = StepProbe(machine, pool, probe(false, 256, 1024, 512, 1)).run(1, 3);
    all.add(StepProbe(machine, pool, probe(false, 512, 1024, 128, 2)).run(1, 2));
    tokens_heads = 4 * 128 * 4;
    few_chunks = 128 / kChunk, many_chunks = 512 / kChunk;
  }
  all.add(few);
  all.into(rates);
  const auto wkv = [&](const char* op) {
    return WkvTimes{tokens_heads, few_chunks, Collected::wkv(few, op), many_chunks, Collected::wkv(many, op)}.rate();
  };
  rates.wkv_forward = wkv("wkv7");
  rates.wkv_backward = wkv("wkv7_backward");
  if (rates.peak_flops == 0) rates.peak_flops = rates.gemm_flops;
}

}  // namespace rk
