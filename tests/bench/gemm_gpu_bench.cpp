// TFLOP/s of a training step's matrix products on a GPU, beside the others of cuBLASLt's ranking.
//   gemm_gpu_bench [MODEL...]    0.19b 0.19b-short 1.5b 2.9b 7.2b; all without arguments
#include <cstdio>

#ifdef ROOKERY_CUDA
#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/gemm/op.h"
#include "kernels/gemm/plan_cuda.h"
#include "support/place.h"

namespace rk {
namespace {

struct Product {
  std::string name;
  int64_t M, N, K;
  bool trans_a = false, trans_b = false;
  bool add = false, base = false, bias = false, wide_c = false;
  double per_step = 1;
};

struct ModelSizes {
  const char* name;
  int64_t L, C, R, w, a, v, g;
};
constexpr ModelSizes kModels[] = {{"0.19b", 12, 768, 65536, 64, 64, 32, 128},
                                  {"0.19b-short", 12, 768, 8192, 64, 64, 32, 128},
                                  {"1.5b", 24, 2048, 32768, 128, 128, 64, 224},
                                  {"2.9b", 32, 2560, 32768, 128, 128, 96, 256},
                                  {"7.2b", 32, 4096, 8192, 160, 160, 96, 320}};

// Forward, input gradient and weight gradient of a layer whose weight lies as [out,in] or as a factor [in,out].
void add_layer(std::vector<Product>& all, const std::string& name, int64_t R, int64_t in, int64_t out, const Product& forward) {
  const bool factor = !forward.trans_b;
  Product f = forward;
  f.name = name;
  f.M = R, f.N = out, f.K = in;
  all.push_back(f);
  all.push_back({.name = name + " dx", .M = R, .N = in, .K = out, .trans_b = factor, .add = f.add, .per_step = f.per_step});
  all.push_back({.name = name + " dw",
                 .M = factor ? in : out,
                 .N = factor ? out : in,
                 .K = R,
                 .trans_a = true,
                 .add = true,
                 .wide_c = true,
                 .per_step = f.per_step});
}

std::vector<Product> products_of(const ModelSizes& m) {
  std::vector<Product> all;
  const auto L = static_cast<double>(m.L);
  add_layer(all, "r, k, v", m.R, m.C, m.C, {.trans_b = true, .per_step = 3 * L});
  add_layer(all, "output", m.R, m.C, m.C, {.trans_b = true, .base = true, .per_step = L});
  add_layer(all, "ffn key", m.R, m.C, 4 * m.C, {.trans_b = true, .per_step = L});
  add_layer(all, "ffn value", m.R, 4 * m.C, m.C, {.trans_b = true, .base = true, .per_step = L});
  const auto low_rank = [&](const char* name, int64_t width, bool bias, double times) {
    add_layer(all, cat(name, width, " down"), m.R, m.C, width, {.per_step = times});
    add_layer(all, cat(name, width, " up"), m.R, width, m.C, {.bias = bias, .per_step = times});
  };
  low_rank("w, a ", m.w, true, 2 * L);
  low_rank("v ", m.v, true, L - 1);
  low_rank("g ", m.g, false, L);
  for (int64_t rows : {4096, 8192, 16384}) {
    const double chunks = rows == 8192 ? static_cast<double>(m.R) / static_cast<double>(rows) : 0;  // one of the three counts
    add_layer(all, cat("head ", rows), rows, m.C, 65536, {.trans_b = true, .per_step = chunks});
    all.push_back({.name = cat("head ", rows, " f32"), .M = rows, .N = 65536, .K = m.C, .trans_b = true, .wide_c = true, .per_step = 0});
  }
  return all;
}

class Bench {
 public:
  Bench()
      : gpu_(Device::cuda, size_t{64} << 20),
        a_(Device::cuda, kBytes),
        b_(Device::cuda, kBytes),
        c_(Device::cuda, kBytes),
        base_(Device::cuda, kBytes) {
    std::vector<bf16> x(size_t{4} << 20);
    const Random random(1, 1);
    for (size_t i = 0; i < x.size(); ++i) x[i] = bf16(static_cast<float>(random.normal(i)));
    for (const Buffer* to : {&a_, &b_, &c_, &base_}) {
      for (size_t at = 0; at + x.size() * 2 <= kBytes; at += x.size() * 2) {
        Tensor from;
        from.data = x.data();
        from.dtype = DType::bf16;
        from.shape = {static_cast<int64_t>(x.size())};
        copy(gpu_.ex(), from, to->tensor(DType::bf16, from.shape, at));
      }
    }
    std::printf("%s, %d SMs, cuBLASLt %zu\n", test::test_gpu().name().c_str(), test::test_gpu().n_sm(), cublasLtGetVersion());
  }

  void model(const ModelSizes& m) {
    std::printf("\n%s: C = %ld, %ld rows. TFLOP/s of what a step takes, then the speeds of the whole ranking relative to it\n", m.name,
                long(m.C), long(m.R));
    std::printf("%-20s %6s %6s %6s  form                ms  TFLOP/s  ours  best  all\n", "", "M", "N", "K");
    double ours = 0, first = 0, best = 0, flops = 0;
    for (const Product& p : products_of(m)) {
      const Result r = measure(p);
      ours += r.ours * p.per_step;
      first += r.first * p.per_step;
      best += r.best * p.per_step;
      flops += r.flops * p.per_step;
    }
    std::printf("a step: %.1f ms (%.0f TFLOP/s), %.1f ms by the first of each ranking, %.1f ms by the best\n", ours, flops / ours * 1e-9,
                first, best);
  }

  void host_time() {
    const Gemm g = gemm_of({.M = 64, .N = 64, .K = 64});
    run(gpu_.ex(), g);
    test::test_gpu().synchronize();
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 500; ++i) run(gpu_.ex(), g);
    const double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began).count() / 500;
    test::test_gpu().synchronize();
    std::printf("host time of a call: %.2f us\n", us);
  }

 private:
  struct Result {
    double ours, first, best, flops;  // ms, ms, ms, count
  };

  Gemm gemm_of(const Product& p) const {
    const DType t = DType::bf16, c = p.wide_c ? DType::f32 : t;
    Gemm g{.a = a_.tensor(t, p.trans_a ? Shape{p.K, p.M} : Shape{p.M, p.K}),
           .b = b_.tensor(t, p.trans_b ? Shape{p.N, p.K} : Shape{p.K, p.N}),
           .c = c_.tensor(c, {p.M, p.N}),
           .trans_a = p.trans_a,
           .trans_b = p.trans_b,
           .add = p.add};
    if (p.base) g.base = base_.tensor(c, {p.M, p.N});
    if (p.bias) g.bias = base_.tensor(c, {p.N});
    return g;
  }

  // Medians of single calls' times by place in the ranking; the rivals take turns.
  Result measure(const Product& p) {
    const Gemm g = gemm_of(p);
    const double flops = 2.0 * static_cast<double>(p.M) * static_cast<double>(p.N) * static_cast<double>(p.K);
    const ArenaScope scope(*gpu_.ex().scratch);
    const Tensor workspace = gpu_.ex().scratch->take(DType::u8, {cuda::kGemmWorkspace});
    std::deque<cuda::GemmPlan> plans;
    for (int rank = 0; rank < cuda::GemmPlan::kRanks; ++rank) {
      plans.emplace_back(test::test_gpu(), cuda::GemmKey(gpu_.ex(), g), rank);
      if (!plans.back().found()) {
        plans.pop_back();
        break;
      }
    }
    constexpr size_t rounds = 7;
    for (auto& plan : plans) plan.run(gpu_.ex(), g, workspace);
    std::deque<GpuEvent> events(rounds * plans.size() + 1);
    events[0].record(test::test_gpu());
    for (size_t i = 0; i < rounds * plans.size(); ++i) {
      plans[i % plans.size()].run(gpu_.ex(), g, workspace);
      events[i + 1].record(test::test_gpu());
    }
    test::test_gpu().synchronize();
    std::vector<double> ms;
    for (size_t rank = 0; rank < plans.size(); ++rank) {
      std::vector<double> times;
      for (size_t i = rank; i < rounds * plans.size(); i += plans.size()) times.push_back(events[i + 1].ms_since(events[i]));
      std::sort(times.begin(), times.end());
      ms.push_back(times[rounds / 2]);
    }
    // Which of them a step takes.
    const cuda::GemmPlan preferred(test::test_gpu(), cuda::GemmKey(gpu_.ex(), g));
    size_t ours = 0;
    while (ours + 1 < plans.size() && !plans[ours].same_as(preferred)) ++ours;
    const auto best = std::min_element(ms.begin(), ms.end());
    std::printf("%-20s %6ld %6ld %6ld  %c%c%-5s%-5s%-4s %7.3f  %7.1f  %4zu  %4d ", p.name.c_str(), long(p.M), long(p.N), long(p.K),
                p.trans_a ? 'T' : 'N', p.trans_b ? 'T' : 'N', p.wide_c ? " f32" : "",
                p.add    ? " +="
                : p.base ? "+base"
                         : "",
                p.bias ? "bias" : "", ms[ours], flops / ms[ours] * 1e-9, ours, static_cast<int>(best - ms.begin()));
    for (double x : ms) std::printf(" %.2f", ms[ours] / x);
    std::printf("\n");
    return {ms[ours], ms[0], *best, flops};
  }

  static constexpr size_t kBytes = size_t{4400} << 20;
  test::PlaceExec gpu_;
  Buffer a_, b_, c_, base_;
};

}  // namespace
}  // namespace rk

int main(int n, char** arguments) {
  if (rk::n_gpus() == 0) {
    std::printf("no GPU: %s\n", rk::why_no_gpu().c_str());
    return 0;
  }
  rk::Bench bench;
  bench.host_time();
  for (const rk::ModelSizes& m : rk::kModels) {
    const auto asked = [&] {
      return std::any_of(arguments + 1, arguments + n, [&](const char* a) { return std::strcmp(a, m.name) == 0; });
    };
    if (n == 1 || asked()) bench.model(m);
  }
  return 0;
}

#else

int main() { std::printf("this build has no CUDA\n"); }

#endif
