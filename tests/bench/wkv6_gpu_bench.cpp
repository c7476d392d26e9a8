// The operator of WKV-6 and WKV-5 on a GPU in bf16 at the sizes of training steps, with and without resets. GB/s count the least that must
// travel: inputs and outputs once, and saved states.
#include <cstdio>

#include "bench/gpu_tensors.h"
#include "bench/gpu_times.h"
#include "kernels/wkv6/op.h"
#include "support/gpu_exec.h"

namespace rk {
namespace {

void times(const Exec& ex, bool w_of_tokens, int64_t B, int64_t H, int64_t T) {
  const DType dtype = DType::bf16, sum = DType::f32;
  const Shape x{B, T, H, 64}, parameter{H, 64}, state{B, H, 64, 64};
  bench::GpuTensors all(ex);
  Arena counting(Device::cuda);
  const Tensor form = take_wkv6_saved(ex, counting, dtype, x);
  Wkv6Forward forward{.r = all.normal(dtype, x), .k = all.normal(dtype, x), .v = all.normal(dtype, x)};
  forward.w = all.normal(dtype, w_of_tokens ? x : parameter, 1.5, -3), forward.u = all.normal(dtype, parameter);
  forward.y = all.zeros(dtype, x), forward.saved_states = all.zeros(form.dtype, form.shape);
  forward.state_out = all.zeros(sum, state);
  Wkv6Backward backward{.r = forward.r, .k = forward.k, .v = forward.v, .w = forward.w, .u = forward.u};
  backward.saved_states = forward.saved_states, backward.dy = all.normal(dtype, x);
  backward.dr = all.zeros(dtype, x), backward.dk = all.zeros(dtype, x), backward.dv = all.zeros(dtype, x);
  backward.dw = w_of_tokens ? all.zeros(dtype, x) : all.zeros(sum, parameter), backward.du = all.zeros(sum, parameter);
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
    const double bytes = static_cast<double>(forward.r.n_bytes()), saved = static_cast<double>(form.n_bytes());
    const double w = w_of_tokens ? 1 : 0;
    std::printf("%s %d, %2d, %6d %s %9.3f %10.3f %10.0f %10.0f %10.1f %10.1f\n", w_of_tokens ? "wkv6" : "wkv5", static_cast<int>(B),
                static_cast<int>(H), static_cast<int>(T), flags ? "resets" : "      ", ms, both, ((4 + w) * bytes + saved) / ms * 1e-6,
                ((11 + 3 * w) * bytes + 2 * saved) / both * 1e-6, bench::mib(form.n_bytes()), bench::mib(scratch.peak()));
  }
}

}  // namespace
}  // namespace rk

int main() {
  if (rk::n_gpus() == 0) {
    std::printf("no GPU: %s\n", rk::why_no_gpu().c_str());
    return 0;
  }
  const rk::test::GpuExec gpu(size_t{3} << 30);
  std::printf("bf16, ms\n%-25s %9s %10s %10s %10s %10s %10s\n", "B, H, T", "forward", "with back", "GB/s", "GB/s", "saved MiB", "scratch");
  for (bool w_of_tokens : {true, false}) {
    rk::times(gpu.ex(), w_of_tokens, 8, 32, 4096);
    rk::times(gpu.ex(), w_of_tokens, 8, 64, 4096);
    rk::times(gpu.ex(), w_of_tokens, 1, 32, 4096);
    rk::times(gpu.ex(), w_of_tokens, 1, 64, 32768);
  }
  return 0;
}
