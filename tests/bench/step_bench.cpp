// Tokens a second of training steps of an RWKV-7 model on random tokens, as `rookery train` runs them but for data and files; alone or
// under mpirun, one rank a GPU. Takes the options of `rookery train` beside its own.
//   step_bench --n_layer 12 --n_embd 768 --ctx_len 4096 --micro_bsz 16 --precision bf16 --device cuda --table
//   mpirun -n 4 step_bench --n_layer 24 --n_embd 2048 --micro_bsz 8 --zero 3 --table
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>

#include <CLI/CLI.hpp>

#include "bench/op_table.h"
#include "comm/agree.h"
#include "comm/backends.h"
#include "comm/places.h"
#include "kernels/step_control/op.h"
#include "train/build.h"
#include "train/config.h"
#include "train/run_plan.h"
#include "train/runner.h"
#include "train/step_numbers.h"

namespace rk {
namespace {

constexpr double kPeak = 989e12;  // dense bf16 FLOP/s of an H100 or H200

struct Options {
  std::vector<std::string> words = {"--n_layer",   "12", "--n_embd",    "768",  "--vocab_size", "65536",  "--ctx_len",      "4096",
                                    "--micro_bsz", "16", "--precision", "bf16", "--init",       "normal", "--weight_decay", "0.1"};
  std::string device = "cuda";
  int steps = 10, warmup = 3;
  bool table = false;
};

// Parameters that matrix products use, each twice forward and four times backward for every token.
double multiplied(const Model& model) {
  double n = 0;
  for (const Param& p : model.params.all()) {
    if (p.shape.rank == 2 && p.name != "emb.weight" && p.used) n += static_cast<double>(p.numel());
  }
  return n;
}

class StepBench {
 public:
  StepBench(const Options& o, std::unique_ptr<Comm> comm)
      : options_(o),
        comm_(std::move(comm)),
        leads_(comm_->rank() == 0),
        pool_(std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / local_size(*comm_))) {
    agree(*comm_, [&] {
      config_ = parse_config(o.words);
      validate(config_, comm_->size(), {.plan = true});
      if (config_.accelerator == "cuda") gpu_.emplace(GpuOptions{.index = choose_gpu(local_rank(*comm_), local_size(*comm_), n_gpus())});
    });
    if (gpu_) {
      check_gpus_differ(*comm_, gpu_->uuid());
      gpu_memory_ = {gpu_->total_bytes(), gpu_->free_bytes()};
      comm_ = comm_->size() > 1 ? make_gpu_comm(std::move(comm_), *gpu_) : make_self_comm(&*gpu_);
    }
    model_ = build_model(config_, {}, nullptr);
    source_ = make_random_source(model_->n_vocab);
    allocate();
    load_fresh(exec(), *model_, *shards_, config_);
    shards_->refresh_weights(exec());
    numbers_->set_state(exec(), 0, model_->dtype == DType::f16 ? 65536 : 1, 0);
    runner_.emplace(*model_, &*shards_);
  }

  void run() {
    std::vector<double> seconds;
    auto last = std::chrono::steady_clock::now();
    for (int i = 0; i <= options_.warmup + options_.steps; ++i) {
      queue_step();
      if (i == 0) continue;  // one step ahead of the GPU, as in training
      collect();
      const auto now = std::chrono::steady_clock::now();
      if (i > options_.warmup) seconds.push_back(std::chrono::duration<double>(now - last).count());
      last = now;
    }
    collect();
    synchronize(exec());
    std::sort(seconds.begin(), seconds.end());
    if (leads_) report(seconds);
    if (options_.table) print_table();
  }

 private:
  Device device() const { return gpu_ ? Device::cuda : Device::cpu; }
  Exec exec() {
    return {.device = device(),
            .pool = &pool_,
            .kept = &kept_,
            .scratch = &scratch_,
            .gpu = gpu_ ? &*gpu_ : nullptr,
            .tf32 = config_.precision == "tf32",
            .keep_less = keep_less_,
            .watch = watch_};
  }

  void allocate() {
    const NodePlace node = place_of_node(*comm_);
    RunPlace place{.n_ranks = comm_->size(), .n_nodes = node.n_nodes, .node = node.index, .n_open = comm_->size() > 1 ? 1 : 0};
    if (gpu_) {
      double least = -static_cast<double>(gpu_memory_.free);
      comm_->all_reduce({&least, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
      place.gpu = GpuMemory{gpu_memory_.total, static_cast<size_t>(-least)};
    }
    RunPlan run = plan_run({.device = device(), .pool = &pool_, .gpu = gpu_ ? &*gpu_ : nullptr}, config_, *model_, place);
    shape_ = run.shape;
    plan_ = run.step;
    memory_ = run.memory;
    keep_less_ = run.keep_less;
    if (leads_) std::printf("%s\n", memory_table(memory_, comm_->size(), run.zero, run.gpu).c_str());
    agree(*comm_, [&] {
      if (run.gpu) require_room(memory_, *run.gpu);
      shards_.emplace(exec(), *comm_, std::move(run.layout), run.shards);
      batcher_.emplace(shape_, device());
      kept_ = Arena(Buffer(device(), memory_.kept));
      scratch_ = Arena(Buffer(device(), memory_.scratch));
      numbers_.emplace(device());
    });
  }

  // The trainer's step.
  void queue_step() {
    const Exec ex = exec();
    const int64_t world = comm_->size(), first = ++step_ * samples() + comm_->rank();
    batcher_->fill(ex, *source_, [&](int64_t m, int64_t j) { return first + (m * shape_.B + j) * world; });
    double targets = batcher_->n_targets();
    comm_->all_reduce({&targets, {1}, DType::f64, Device::cpu}, Reduce::sum).wait();
    batcher_->scale({.scale = 1 / targets,
                     .l2_scale = config_.l2wrap / targets,
                     .loss_scale = model_->dtype == DType::f16 ? numbers_->loss_scale() : Tensor{},
                     .loss_sum = numbers_->loss()});
    numbers_->start_step(ex);
    shards_->start_step(ex);
    StepIo io;
    io.micro = batcher_->micro();
    runner_->run(ex, plan_, io);
    shards_->finish_grads(ex);
    shards_->add_grad_squares(ex, numbers_->squares());
    numbers_->keep_rank_loss(ex);
    {
      const OpScope scope(ex, "wait sums", 0);
      comm_->all_reduce(numbers_->sums(), Reduce::sum).wait();
    }
    rk::run(ex, StepControl{.squares = numbers_->squares(),
                            .loss = numbers_->loss(),
                            .state = numbers_->state(),
                            .decision = numbers_->decision(),
                            .grad_clip = config_.grad_clip,
                            .beta1 = config_.beta1,
                            .beta2 = config_.beta2,
                            .growth_interval = model_->dtype == DType::f16 ? 2000 : 0});
    shards_->update(
        ex,
        {.lr = config_.lr_init, .beta1 = config_.beta1, .beta2 = config_.beta2, .eps = config_.adam_eps, .decision = numbers_->decision()});
    numbers_->queue_copy(ex);
  }

  void collect() {
    const StepValues v = numbers_->collect();
    last_loss_ = v.loss / static_cast<double>(samples() * shape_.T);
    if (!v.applied && leads_) std::printf("a step was not finite: loss %g, norm %g\n", v.loss, v.norm);
  }

  void report(const std::vector<double>& seconds) {
    const double median = seconds[seconds.size() / 2], tokens = static_cast<double>(samples() * shape_.T) / median;
    const auto n = static_cast<double>(model_->params.numel());
    const double peak = kPeak * comm_->size();
    std::printf("L%ld-D%ld, %.4f G parameters, ctx %ld x %ld, accumulated %ld, %s on %d x %s: loss %.4f after %ld steps\n",
                long(model_->n_layer), long(model_->n_embd), n * 1e-9, long(shape_.T), long(shape_.B), long(shape_.micro),
                config_.precision.c_str(), comm_->size(), gpu_ ? gpu_->name().c_str() : "the CPU", last_loss_, long(step_));
    std::printf(
        "step %.2f ms (fastest %.2f, slowest %.2f), %.0f tokens/s; of %.0f TFLOP/s: %.1f %% by 6 FLOP a parameter, %.1f %% by products "
        "alone\n",
        median * 1e3, seconds.front() * 1e3, seconds.back() * 1e3, tokens, peak * 1e-12, 600 * n * tokens / peak,
        600 * multiplied(*model_) * tokens / peak);
    if (gpu_)
      std::printf("memory: predicted %s, in use by the driver %s, of which before the run %s\n", mebibytes(memory_.on_gpu()).c_str(),
                  mebibytes(gpu_->total_bytes() - gpu_->free_bytes()).c_str(), mebibytes(gpu_memory_.used()).c_str());
    else
      std::printf("memory: predicted %s\n", mebibytes(memory_.total()).c_str());
  }

  void print_table() {
    bench::OpTable table(gpu_ ? &*gpu_ : nullptr);
    constexpr int n = 3;
    watch_ = &table;
    queue_step();  // makes the table's events
    collect();
    synchronize(exec());
    table.start();
    for (int i = 0; i < n; ++i) {
      queue_step();
      if (i > 0) collect();
    }
    collect();
    synchronize(exec());
    watch_ = nullptr;
    if (leads_) table.print(n);
    if (comm_->size() > 1) print_exposed(table);
  }

  // What the computing stream waits for the other ranks, of the whole step. Ranks that are slower wait less.
  void print_exposed(const bench::OpTable& table) {
    double most = table.share({"wait weights", "wait gradients", "wait sums"}), least = -most;
    comm_->all_reduce({&most, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
    comm_->all_reduce({&least, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
    if (leads_)
      std::printf("exposed communication %.2f %% of the step on the rank that waits most, %.2f %% on the one that waits least\n",
                  100 * most, -100 * least);
  }

  int64_t samples() const { return shape_.micro * shape_.B * comm_->size(); }

  const Options& options_;
  RunConfig config_;
  std::optional<Gpu> gpu_;
  GpuMemory gpu_memory_{};
  std::unique_ptr<Comm> comm_;
  bool leads_;
  ThreadPool pool_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<BatchSource> source_;
  BatchShape shape_;
  Plan plan_;
  MemoryPlan memory_;
  bool keep_less_ = false;
  std::optional<Shards> shards_;
  std::optional<Batcher> batcher_;
  std::optional<StepNumbers> numbers_;
  Arena kept_, scratch_;
  std::optional<Runner> runner_;
  OpWatch* watch_ = nullptr;
  int64_t step_ = 0;
  double last_loss_ = 0;
};

}  // namespace
}  // namespace rk

int main(int n, char** arguments) {
  rk::Options o;
  CLI::App app("times training steps");
  app.add_option("--device", o.device)->check(CLI::IsMember({"cuda", "cpu"}));
  app.add_option("--steps", o.steps)->check(CLI::PositiveNumber);
  app.add_option("--warmup", o.warmup)->check(CLI::PositiveNumber);
  app.add_flag("--table", o.table, "time of every operator");
  app.allow_extras();
  CLI11_PARSE(app, n, arguments);
  for (const std::string& word : app.remaining()) o.words.push_back(word);
  o.words.insert(o.words.end(), {"--accelerator", o.device});
  try {
    rk::StepBench(o, rk::under_mpi() ? rk::make_mpi_comm() : rk::make_self_comm()).run();
    rk::finalize_mpi();
  } catch (const rk::Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return static_cast<int>(e.code());
  }
  return 0;
}
