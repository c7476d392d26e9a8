// The WKV-4 operator on a GPU in bf16 at the sizes of training steps, with and without resets, and the products of head_qk on their way to
// the logits. Bytes are the least that must travel: inputs and outputs once, and saved states.
#include <cmath>
#include <cstdio>

#include "base/rng.h"
#include "bench/gpu_tensors.h"
#include "bench/gpu_times.h"
#include "kernels/copy_logits/op.h"
#include "kernels/wkv4/op.h"
#include "support/gpu_exec.h"

namespace rk {
namespace {

void wkv4_times(const Exec& ex, int64_t B, int64_t A, int64_t T) {
  const DType dtype = DType::bf16, sum = DType::f32;
  bench::GpuTensors all(ex);
  const auto sequence = [&] { return all.normal(dtype, {B, T, A}, 1.5); };
  Arena counting(Device::cuda);
  const Tensor form = take_wkv4_saved(ex, counting, dtype, {B, T, A});
  Wkv4Forward forward{.k = sequence(), .v = sequence(), .w = all.normal(dtype, {A}, 1.5, -1), .u = all.normal(dtype, {A}), .y = sequence()};
  forward.saved_states = all.zeros(form.dtype, form.shape);
  forward.state_out = all.zeros(sum, {B, A, 3});
  Wkv4Backward backward{.k = forward.k, .v = forward.v, .w = forward.w, .u = forward.u, .saved_states = forward.saved_states};
  backward.dy = sequence(), backward.dk = all.zeros(dtype, {B, T, A}), backward.dv = all.zeros(dtype, {B, T, A});
  backward.dw = all.zeros(sum, {A}), backward.du = all.zeros(sum, {A});
  const Random random(7, 7);
  uint64_t i = 0;
  const Tensor resets = all.filled(DType::u8, {B, T}, [&] { return random.uniform(i++) < 1.0 / 512 ? 1.0 : 0.0; });
  Arena scratch(Device::cuda);
  Exec dry = ex;
  dry.scratch = &scratch;
  run(dry, backward);
  for (const Tensor& flags : {Tensor{}, resets}) {
    forward.resets = backward.resets = flags;
    const double ms = bench::median_ms(*ex.gpu, [&] { run(ex, forward); });
    const double both = bench::median_ms(*ex.gpu, [&] {
      run(ex, forward);
      run(ex, backward);
    });
    const double bytes = static_cast<double>(forward.k.n_bytes()), saved = static_cast<double>(form.n_bytes());
    std::printf("%d, %5d, %6d %s %9.3f %10.3f %10.0f %10.0f %10.1f %10.1f\n", static_cast<int>(B), static_cast<int>(A), static_cast<int>(T),
                flags ? "resets" : "      ", ms, both, (3 * bytes + saved) / ms * 1e-6, (8 * bytes + 2 * saved) / both * 1e-6,
                bench::mib(form.n_bytes()), bench::mib(scratch.peak()));
  }
}

void copy_times(const Exec& ex, const char* what, double n_kinds) {
  const int64_t T = 4096, V = 65536;
  bench::GpuTensors all(ex);
  const Random random(7, 8);
  uint64_t i = 0;
  const Tensor c = all.normal(DType::bf16, {T, T}), dc = all.zeros(DType::bf16, {T, T}), logits = all.normal(DType::f32, {T, V});
  const Tensor ids = all.filled(DType::i32, {T}, [&] { return std::floor(random.uniform(i++) * n_kinds); });
  std::printf("%-24s %10.3f %10.3f %10.3f\n", what, bench::median_ms(*ex.gpu, [&] { run(ex, CausalScale{.c = c, .t0 = 0, .scale = 1}); }),
              bench::median_ms(*ex.gpu, [&] { run(ex, CopyLogits{.c = c, .ids = ids, .logits = logits}); }),
              bench::median_ms(*ex.gpu, [&] { run(ex, CopyLogitsBackward{.dlogits = logits, .ids = ids, .dc = dc}); }));
}

}  // namespace
}  // namespace rk

int main() {
  if (rk::n_gpus() == 0) {
    std::printf("no GPU: %s\n", rk::why_no_gpu().c_str());
    return 0;
  }
  const rk::test::GpuExec gpu;
  std::printf("wkv4, bf16\n%-23s %9s %10s %10s %10s %10s %10s\n", "B, A, T", "forward", "with back", "GB/s", "GB/s", "saved MiB",
              "scratch");
  rk::wkv4_times(gpu.ex(), 8, 2048, 4096);
  rk::wkv4_times(gpu.ex(), 8, 4096, 4096);
  rk::wkv4_times(gpu.ex(), 1, 2048, 4096);
  rk::wkv4_times(gpu.ex(), 1, 4096, 32768);
  std::printf("4096 tokens, 65536 logits %9s %10s %10s\n", "scale, ms", "copy", "gradient");
  rk::copy_times(gpu.ex(), "all tokens differ", 65536);
  rk::copy_times(gpu.ex(), "12 kinds of tokens", 12);
  rk::copy_times(gpu.ex(), "one kind of token", 1);
  return 0;
}
