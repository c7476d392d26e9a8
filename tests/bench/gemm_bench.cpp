// GFLOP/s of matrix products at the shapes of a small model (C = 512, 2048 rows) and of generation.
// Arguments: M, N, K, transpose A, transpose B, threads.
#include "kernels/gemm/op.h"

#include <benchmark/benchmark.h>

#include "support/cpu_exec.h"

namespace rk {
namespace {

void gemm_of(benchmark::State& state, DType dtype) {
  const int64_t M = state.range(0), N = state.range(1), K = state.range(2);
  const bool trans_a = state.range(3) != 0, trans_b = state.range(4) != 0;
  test::CpuExec cpu(static_cast<int>(state.range(5)));
  const Buffer a(Device::cpu, static_cast<size_t>(M * K) * 8), b(Device::cpu, static_cast<size_t>(K * N) * 8),
      c(Device::cpu, static_cast<size_t>(M * N) * 8);
  const Gemm g{.a = a.tensor(dtype, trans_a ? Shape{K, M} : Shape{M, K}),
               .b = b.tensor(dtype, trans_b ? Shape{N, K} : Shape{K, N}),
               .c = c.tensor(acc_dtype(dtype), {M, N}),
               .trans_a = trans_a,
               .trans_b = trans_b};
  for (auto _ : state) run(cpu.ex(), g);
  state.counters["GFLOP/s"] =
      benchmark::Counter(2e-9 * static_cast<double>(M * N * K) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->UseRealTime();
  for (int threads : {1, 2}) {
    b->Args({2048, 512, 512, 0, 1, threads});   // projection
    b->Args({2048, 512, 512, 0, 0, threads});   // its input gradient
    b->Args({512, 512, 2048, 1, 0, threads});   // its weight gradient
    b->Args({2048, 2048, 512, 0, 1, threads});  // channel mix, key
    b->Args({2048, 512, 2048, 0, 1, threads});  // channel mix, value
    b->Args({512, 2048, 2048, 1, 0, threads});  // their weight gradient
    b->Args({2048, 32, 512, 0, 0, threads});    // low rank, down
    b->Args({2048, 512, 32, 0, 0, threads});    // low rank, up
    b->Args({512, 32, 2048, 1, 0, threads});    // low rank, weight gradient
    b->Args({256, 16384, 512, 0, 1, threads});  // head, a chunk of rows
    b->Args({256, 512, 16384, 0, 0, threads});  // its input gradient
    b->Args({16384, 512, 256, 1, 0, threads});  // its weight gradient
    b->Args({1, 2048, 512, 0, 1, threads});     // generation
    b->Args({4, 2048, 512, 0, 1, threads});
    b->Args({1, 64, 512, 0, 0, threads});
  }
}

void gemm_f32(benchmark::State& state) { gemm_of(state, DType::f32); }
void gemm_f64(benchmark::State& state) { gemm_of(state, DType::f64); }
void gemm_bf16(benchmark::State& state) { gemm_of(state, DType::bf16); }
BENCHMARK(gemm_f32)->Apply(shapes);
BENCHMARK(gemm_f64)->Args({2048, 512, 512, 0, 1, 1})->UseRealTime();
BENCHMARK(gemm_bf16)->Apply(shapes);

}  // namespace
}  // namespace rk

BENCHMARK_MAIN();
