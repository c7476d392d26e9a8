// What the host does for --offload optimizer, at the speed of its memory: bytes and parameters a second of AdamW, of sums of gradients and
// of casts, by each instruction set, beside a plain copy.
//   host_bench [millions of parameters] [threads]
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>

#include "kernels/adamw/op_cpu.h"
#include "kernels/elementwise/op_cpu.h"
#include "kernels/step_control/op.h"

namespace rk::test {
namespace {

constexpr int kRounds = 5;

// n f32 in huge pages, as pinned memory is.
class Array {
 public:
  Array(int64_t n, ThreadPool& pool) : n_bytes_(static_cast<size_t>(n) * sizeof(float)) {
    p_ = ::mmap(nullptr, n_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p_ == MAP_FAILED) fail("not enough memory; give fewer parameters");
    ::madvise(p_, n_bytes_, MADV_HUGEPAGE);
    float* f = data();
    pool.parallel_for(n, 1, [&](int64_t first, int64_t last) { std::fill(f + first, f + last, 1e-3f); });
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { ::munmap(p_, n_bytes_); }
  float* data() const { return static_cast<float*>(p_); }

 private:
  size_t n_bytes_;
  void* p_;
};

class HostBench {
 public:
  HostBench(int64_t n, int threads) : n_(n), pool_(threads), p_(n, pool_), g_(n, pool_), m_(n, pool_), v_(n, pool_), w_(n, pool_) {
    std::printf("%.0f M parameters, %d threads\n", static_cast<double>(n) / 1e6, threads);
  }

  void run() {
    copy();
    for (Isa isa : cpu::kIsas) {
      if (!cpu::has(isa)) continue;
      for (DType w : {DType::bf16, DType::f16}) adamw(isa, w);
      add_squares(isa, DType::f32, true);
      add_squares(isa, DType::f32, false);
      add_squares(isa, DType::bf16, true);
      squares(isa);
      for (DType narrow : {DType::bf16, DType::f16}) {
        cast(isa, DType::f32, narrow);
        cast(isa, narrow, DType::f32);
      }
    }
  }

 private:
  using Isa = cpu::Isa;

  Tensor of(const Array& a, DType dtype = DType::f32) const { return {a.data(), {n_}, dtype}; }

  // The fastest of some rounds.
  void time(const char* what, const char* how, double bytes, const std::function<void()>& body) {
    double best = 1e30;
    for (int i = 0; i < kRounds; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      body();
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    const auto n = static_cast<double>(n_);
    std::printf("%-32s %-8s %8.1f GB/s %8.3f G parameters/s\n", what, how, n * bytes / best * 1e-9, n / best * 1e-9);
    std::fflush(stdout);
  }

  void copy() {
    time("copy, f32", "memcpy", 8, [&] {
      pool_.parallel_for(n_, 1, [&](int64_t first, int64_t last) {
        std::memcpy(p_.data() + first, g_.data() + first, static_cast<size_t>(last - first) * sizeof(float));
      });
    });
  }
  void adamw(Isa isa, DType weights) {
    int64_t ends[] = {n_};
    double lr_scale[] = {1}, decay[] = {0.1}, decision[kStepDecisions] = {};
    decision[kGradScale] = decision[kApply] = 1;
    decision[kBias1] = 10;
    decision[kBias2] = 100;
    const AdamW call{.p = of(p_),
                     .g = of(g_),
                     .m = of(m_),
                     .v = of(v_),
                     .w = of(w_, weights),
                     .ends = {ends, {1}, DType::i64},
                     .lr_scale = {lr_scale, {1}, DType::f64},
                     .weight_decay = {decay, {1}, DType::f64},
                     .decision = {decision, {kStepDecisions}, DType::f64},
                     .lr = 1e-4};
    time(cat("adamw, weights in ", name_of(weights)).c_str(), name_of(isa), 30, [&] { cpu::run(ex(), call, isa); });
  }
  void add_squares(Isa isa, DType added, bool summed) {
    double sum = 0;
    const Buffer block_sums(Device::cpu, static_cast<size_t>(cpu::n_square_blocks(n_)) * sizeof(double));
    const AddSquares call{.x = of(g_, added), .y = of(w_), .out = summed ? Tensor{&sum, {1}, DType::f64} : Tensor{}};
    time(cat("add ", name_of(added), summed ? ", sum of squares" : "").c_str(), name_of(isa), 8.0 + static_cast<double>(size_of(added)),
         [&] { cpu::run(ex(), call, block_sums.tensor(DType::f64, {cpu::n_square_blocks(n_)}), isa); });
  }
  void squares(Isa isa) {
    double sum = 0;
    const Buffer block_sums(Device::cpu, static_cast<size_t>(cpu::n_square_blocks(n_)) * sizeof(double));
    const AddSquares call{.y = of(g_), .out = {&sum, {1}, DType::f64}};
    time("sum of squares", name_of(isa), 4, [&] { cpu::run(ex(), call, block_sums.tensor(DType::f64, {cpu::n_square_blocks(n_)}), isa); });
  }
  void cast(Isa isa, DType from, DType to) {
    const Cast call{.x = of(from == DType::f32 ? g_ : w_, from), .y = of(from == DType::f32 ? w_ : g_, to)};
    time(cat("cast ", name_of(from), " to ", name_of(to)).c_str(), name_of(isa), static_cast<double>(size_of(from) + size_of(to)),
         [&] { cpu::run(ex(), call, isa); });
  }
  Exec ex() { return {.pool = &pool_}; }

  int64_t n_;
  ThreadPool pool_;
  Array p_, g_, m_, v_, w_;
};

}  // namespace
}  // namespace rk::test

int main(int argc, char** argv) try {
  const int64_t millions = argc > 1 ? std::atoll(argv[1]) : 256;
  const int threads = argc > 2 ? std::atoi(argv[2]) : static_cast<int>(std::thread::hardware_concurrency());
  rk::test::HostBench(millions * 1'000'000, threads).run();
} catch (const rk::Error& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 2;
}
