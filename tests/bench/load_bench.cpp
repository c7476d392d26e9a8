// Seconds and anonymous memory of bringing a weights file into the shards of one rank, or of each rank under mpirun:
//   rookery init --n_layer 32 --n_embd 4096 --vocab_size 65536 --init normal --precision bf16 big.pth
//   mpirun -n 4 load_bench --file big.pth --device cuda --zero 3
// Without a file, fresh values of --init reference or normal are made. Times are those of the slowest rank; from the second repetition on a
// file surely lies in the page cache.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "comm/backends.h"
#include "comm/places.h"
#include "support/anonymous_memory.h"
#include "train/build.h"
#include "train/weights_export.h"

namespace rk {
namespace {

struct Options {
  RunConfig run;
  std::string device = "cpu", file, write;
  int64_t threads = 0;
  int zero = 0, repeat = 3;
  bool trained = true, offload = false;
};

// This rank's number and the largest of all ranks.
double largest(Comm& comm, double x) {
  Buffer memory(Device::cpu, static_cast<size_t>(comm.size()) * sizeof(double));
  const Tensor all = memory.tensor(DType::f64, {comm.size()});
  all.as<double>()[comm.rank()] = x;
  comm.all_reduce(all, Reduce::sum).wait();
  return *std::max_element(all.as<double>(), all.as<double>() + comm.size());
}

class LoadBench {
 public:
  explicit LoadBench(const Options& o) : options_(o), comm_(under_mpi() ? make_mpi_comm() : make_self_comm()) {
    const int ranks_here = local_size(*comm_);
    pool_.emplace(o.threads > 0 ? static_cast<int>(o.threads)
                                : std::max(1, static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)) / ranks_here));
    if (o.device == "cuda") gpu_.emplace(GpuOptions{.index = choose_gpu(local_rank(*comm_), ranks_here, n_gpus())});
    if (gpu_) comm_ = comm_->size() > 1 ? make_gpu_comm(std::move(comm_), *gpu_) : make_self_comm(&*gpu_);
    if (!o.file.empty()) {
      start_.kind = Start::Kind::weights;
      start_.path = o.file;
    }
    model_ = build_model(o.run, start_, nullptr);
    shards_.emplace(exec(), *comm_, flat_layout(*model_, comm_->size(), int64_t{200} << 19),
                    ShardsOptions{.dtype = model_->dtype,
                                  .sharding = Sharding::stage(o.zero),
                                  .training = o.trained,
                                  .offload_state = o.offload,
                                  .offload_params = o.offload && o.zero == 3});
    if (comm_->rank() == 0)
      std::printf("%.3f G parameters (%s), %d ranks, %d threads each, stage %d, on %s\n",
                  static_cast<double>(model_->params.numel()) * 1e-9, name_of(model_->dtype), comm_->size(), pool_->size(), o.zero,
                  gpu_ ? gpu_->name().c_str() : "the CPU");
  }

  void run() {
    for (int i = 0; i < options_.repeat; ++i) {
      measure("values into the pieces that a rank owns", [&] { fill(); });
      measure("weights on all ranks", [&] { shards_->refresh_weights(exec()); });
    }
    if (!options_.write.empty()) measure("all weights into a file", [&] { export_weights(exec(), *model_, *shards_, options_.write); });
  }

 private:
  Exec exec() { return {.device = gpu_ ? Device::cuda : Device::cpu, .pool = &*pool_, .gpu = gpu_ ? &*gpu_ : nullptr}; }

  void fill() {
    if (options_.file.empty()) return load_fresh(exec(), *model_, *shards_, options_.run);
    load_from_file(exec(), *model_, *shards_, options_.file, options_.run);
  }

  template <class Body>
  void measure(const char* what, const Body& body) {
    comm_->barrier();
    const test::AnonymousGrowth growth;
    const auto began = std::chrono::steady_clock::now();
    body();
    synchronize(exec());
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const double slowest = largest(*comm_, seconds), most = largest(*comm_, static_cast<double>(growth.bytes()));
    if (comm_->rank() == 0)
      std::printf("%-42s %8.2f s, at most %5.0f MiB of anonymous memory beside the shards on a rank\n", what, slowest, most / (1 << 20));
    std::fflush(stdout);
  }

  const Options& options_;
  std::optional<ThreadPool> pool_;
  std::optional<Gpu> gpu_;
  std::unique_ptr<Comm> comm_;
  Start start_;
  std::unique_ptr<Model> model_;
  std::optional<Shards> shards_;
};

int bench_main(int argc, char** argv) {
  Options o;
  o.run.precision = "bf16";
  CLI::App app("Times the way of weights into memory.");
  app.add_option("--file", o.file, "weights file; without it: fresh values");
  app.add_option("--write", o.write, "then export the weights to this file");
  app.add_option("--init", o.run.init, "of fresh values: reference or normal");
  app.add_option("--n_layer", o.run.n_layer);
  app.add_option("--n_embd", o.run.n_embd);
  app.add_option("--vocab_size", o.run.vocab_size);
  app.add_option("--precision", o.run.precision);
  app.add_option("--device", o.device, "cpu or cuda");
  app.add_option("--zero", o.zero, "ZeRO stage");
  app.add_option("--offload", o.offload, "state, and under stage 3 weights, in host memory");
  app.add_option("--trained", o.trained, "0: weights only, without gradients and optimizer state");
  app.add_option("--threads", o.threads, "of each rank; 0: its share of the cores");
  app.add_option("--repeat", o.repeat);
  CLI11_PARSE(app, argc, argv);
  LoadBench(o).run();
  return 0;
}

}  // namespace
}  // namespace rk

int main(int argc, char** argv) {
  int code = 1;
  try {
    code = rk::bench_main(argc, argv);
  } catch (const rk::Error& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
  }
  rk::finalize_mpi();
  return code;
}
