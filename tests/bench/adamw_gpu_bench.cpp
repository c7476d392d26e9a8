// AdamW on a GPU: bytes per second at the sizes of buckets.
#include <cstdio>

#include "kernels/adamw/op.h"
#include "kernels/step_control/op.h"
#include "support/gpu_exec.h"

namespace rk::test {
namespace {

void measure(GpuExec& gpu, int64_t n, DType weights) {
  const Exec& ex = gpu.ex();
  const auto bytes = static_cast<size_t>(n) * sizeof(float);
  const Buffer p(Device::cuda, bytes), g(Device::cuda, bytes), m(Device::cuda, bytes), v(Device::cuda, bytes);
  const Buffer w(Device::cuda, static_cast<size_t>(n) * size_of(weights)), table(Device::cuda, 1024);
  int64_t ends[] = {n / 16 * 4, n};
  double scales[] = {1, 2}, decay[] = {0.1, 0}, decision[kStepDecisions] = {1, 1, 1, 10, 100, 1};
  const auto upload = [&](void* from, DType dtype, int64_t count, size_t at) {
    const Tensor t = table.tensor(dtype, {count}, at);
    copy(ex, {from, {count}, dtype, Device::cpu}, t);
    return t;
  };
  const auto flat = [&](const Buffer& b) { return b.tensor(DType::f32, {n}); };
  const AdamW call{.p = flat(p),
                   .g = flat(g),
                   .m = flat(m),
                   .v = flat(v),
                   .w = w.tensor(weights, {n}),
                   .ends = upload(ends, DType::i64, 2, 0),
                   .lr_scale = upload(scales, DType::f64, 2, 64),
                   .weight_decay = upload(decay, DType::f64, 2, 128),
                   .decision = upload(decision, DType::f64, kStepDecisions, 192),
                   .lr = 1e-3};
  constexpr int calls = 20;
  run(ex, call);
  GpuEvent begin, end;
  begin.record(gpu.gpu());
  for (int i = 0; i < calls; ++i) run(ex, call);
  end.record(gpu.gpu());
  end.wait();
  const double ms = end.ms_since(begin) / calls, moved = static_cast<double>(n) * (28.0 + static_cast<double>(size_of(weights)));
  std::printf("adamw n = %11lld, weights %-4s  %8.3f ms  %6.2f TB/s\n", static_cast<long long>(n), name_of(weights), ms, moved / ms / 1e9);
}

}  // namespace
}  // namespace rk::test

int main() {
  rk::test::GpuExec gpu;
  for (int64_t n : {int64_t{7} << 20, int64_t{50} << 20, int64_t{134} << 20, int64_t{1531} << 20})
    rk::test::measure(gpu, n, rk::DType::bf16);
  rk::test::measure(gpu, int64_t{50} << 20, rk::DType::f32);
}
