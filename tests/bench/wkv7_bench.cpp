// The WKV-7 operator, forward and backward, also with a document every 50 tokens; an item is one token of one head. Arguments: B, T, H, N,
// threads.
#include "kernels/wkv7/op.h"

#include <benchmark/benchmark.h>

#include <list>
#include <vector>

#include "base/rng.h"
#include "support/cpu_exec.h"

namespace rk {
namespace {

// The operator's tensors, filled with normal numbers times `scale`.
class Tensors {
 public:
  Tensor make(DType dtype, Shape shape, double scale = 1) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    t = buffers_.emplace_back(Device::cpu, t.n_bytes()).tensor(dtype, shape);
    const Random random(1, buffers_.size());
    for (int64_t i = 0; i < t.numel(); ++i) {
      const auto x = static_cast<float>(scale * random.normal(static_cast<uint64_t>(i)));
      if (dtype == DType::f32) t.as<float>()[i] = x;
      if (dtype == DType::bf16) t.as<bf16>()[i] = bf16(x);
    }
    return t;
  }

 private:
  std::list<Buffer> buffers_;
};

struct Call {
  Tensors tensors;
  Wkv7Forward forward;
  Wkv7Backward backward;
  std::vector<uint8_t> flags;

  Call(DType dtype, Shape s, bool resets) {
    const Shape state{s[0], s[2], s[3], s[3]};
    forward = {.r = tensors.make(dtype, s),
               .w = tensors.make(dtype, s),
               .k = tensors.make(dtype, s),
               .v = tensors.make(dtype, s),
               .a = tensors.make(dtype, s, 0.1),
               .b = tensors.make(dtype, s, 0.1),
               .y = tensors.make(dtype, s),
               .state_in = tensors.make(DType::f32, state),
               .state_out = tensors.make(DType::f32, state),
               .saved_states = tensors.make(DType::f32, {s[0] * s[2], (s[1] + kWkv7Chunk - 1) / kWkv7Chunk, s[3], s[3]})};
    backward = {.r = forward.r,
                .w = forward.w,
                .k = forward.k,
                .v = forward.v,
                .a = forward.a,
                .b = forward.b,
                .saved_states = forward.saved_states,
                .dy = tensors.make(dtype, s),
                .dstate_out = tensors.make(DType::f32, state),
                .dr = tensors.make(dtype, s),
                .dw = tensors.make(dtype, s),
                .dk = tensors.make(dtype, s),
                .dv = tensors.make(dtype, s),
                .da = tensors.make(dtype, s),
                .db = tensors.make(dtype, s),
                .dstate_in = tensors.make(DType::f32, state)};
    if (!resets) return;
    flags.resize(static_cast<size_t>(s[0] * s[1]));
    for (size_t t = 0; t < flags.size(); t += 50) flags[t] = 1;
    forward.resets = backward.resets = {flags.data(), {s[0], s[1]}, DType::u8, Device::cpu};
  }
};

template <class Run>
void measure(benchmark::State& state, DType dtype, const Run& run_once, bool resets = false) {
  const Shape shape{state.range(0), state.range(1), state.range(2), state.range(3)};
  const Call call(dtype, shape, resets);
  test::CpuExec cpu(static_cast<int>(state.range(4)));
  run(cpu.ex(), call.forward);
  for (auto _ : state) run_once(cpu.ex(), call);
  state.SetItemsProcessed(state.iterations() * shape[0] * shape[1] * shape[2]);
}

void forward_f32(benchmark::State& state) {
  measure(state, DType::f32, [](const Exec& ex, const Call& c) { run(ex, c.forward); });
}
void backward_f32(benchmark::State& state) {
  measure(state, DType::f32, [](const Exec& ex, const Call& c) { run(ex, c.backward); });
}
void forward_bf16(benchmark::State& state) {
  measure(state, DType::bf16, [](const Exec& ex, const Call& c) { run(ex, c.forward); });
}
void backward_bf16(benchmark::State& state) {
  measure(state, DType::bf16, [](const Exec& ex, const Call& c) { run(ex, c.backward); });
}
void forward_bf16_documents(benchmark::State& state) {
  measure(
      state, DType::bf16, [](const Exec& ex, const Call& c) { run(ex, c.forward); }, true);
}
void backward_bf16_documents(benchmark::State& state) {
  measure(
      state, DType::bf16, [](const Exec& ex, const Call& c) { run(ex, c.backward); }, true);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->UseRealTime();
  for (int threads : {1, 2}) {
    b->Args({4, 512, 8, 64, threads});  // 6 layers of 512 columns, batch 4
    b->Args({1, 64, 2, 64, threads});
    b->Args({1, 64, 2, 32, threads});
    b->Args({1, 64, 2, 128, threads});
    b->Args({4, 1, 8, 64, threads});  // generation
  }
}

BENCHMARK(forward_f32)->Apply(shapes);
BENCHMARK(backward_f32)->Apply(shapes);
BENCHMARK(forward_bf16)->Apply(shapes);
BENCHMARK(backward_bf16)->Apply(shapes);
BENCHMARK(forward_bf16_documents)->Apply(shapes);
BENCHMARK(backward_bf16_documents)->Apply(shapes);

}  // namespace
}  // namespace rk

BENCHMARK_MAIN();
