// Operators on rows and flat arrays on a GPU: microseconds, and least bytes of traffic a second. Arguments: nothing for all sizes, or a
// number of columns and one of rows.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/activation/op.h"
#include "kernels/columns/op.h"
#include "kernels/dropout/op.h"
#include "kernels/elementwise/op.h"
#include "kernels/embedding/op.h"
#include "kernels/group_norm_gate/op.h"
#include "kernels/layer_norm/op.h"
#include "kernels/norm_mix/op.h"
#include "kernels/sigmoid_gate/op.h"
#include "kernels/token_shift/op.h"
#include "support/gpu_exec.h"

namespace rk {
namespace {

// What the operator itself says that it moves at least.
class Bytes : public OpWatch {
 public:
  void begin(const char*, double bytes, double) override { bytes_ = std::max(bytes_, bytes); }
  void end() override {}
  double take() { return std::exchange(bytes_, 0.0); }

 private:
  double bytes_ = 0;
};

class Bench {
 public:
  Bench() : gpu_(size_t{2} << 30) { gpu_.ex().watch = &bytes_; }

  Tensor make(DType dtype, Shape shape, double scale = 0) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    t = buffers_.emplace_back(Device::cuda, t.n_bytes()).tensor(dtype, shape);
    if (scale != 0) copy(gpu_.ex(), noise(dtype, shape, scale), t);
    return t;
  }
  // Token ids: most of them spread evenly over the table, every sixteenth the same.
  Tensor make_ids(int64_t R, int64_t V) {
    const Tensor host = host_.emplace_back(Device::cpu, static_cast<size_t>(R) * 4).tensor(DType::i32, {R});
    const Random random(2, 7);
    for (int64_t i = 0; i < R; ++i) {
      host.as<int32_t>()[i] = i % 16 == 0 ? 11 : static_cast<int32_t>(random.uniform(static_cast<uint64_t>(i)) * static_cast<double>(V));
    }
    const Tensor t = make(DType::i32, {R});
    copy(gpu_.ex(), host, t);
    return t;
  }
  void free_tensors() {
    gpu_.gpu().synchronize();
    buffers_.clear();
    host_.clear();
  }

  void time(const std::string& name, const std::function<void(const Exec&)>& call) {
    const int repeats = 10;
    bytes_.take();
    call(gpu_.ex());
    const double bytes = bytes_.take();
    std::vector<double> us;
    for (int sample = 0; sample < 7; ++sample) {
      GpuEvent begin, end;
      begin.record(gpu_.gpu());
      for (int i = 0; i < repeats; ++i) call(gpu_.ex());
      end.record(gpu_.gpu());
      end.wait();
      us.push_back(end.ms_since(begin) * 1e3 / repeats);
    }
    std::sort(us.begin(), us.end());
    std::printf("%-34s %9.1f us %7.0f GB/s\n", name.c_str(), us[us.size() / 2], bytes / us[us.size() / 2] * 1e-3);
    std::fflush(stdout);
  }

 private:
  // A million numbers, again and again.
  Tensor noise(DType dtype, Shape shape, double scale) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    t = host_.emplace_back(Device::cpu, t.n_bytes()).tensor(dtype, shape);
    const Random random(1, buffers_.size());
    const int64_t n = std::min<int64_t>(t.numel(), 1 << 20);
    for (int64_t i = 0; i < n; ++i) {
      const auto x = static_cast<float>(scale * random.normal(static_cast<uint64_t>(i)));
      if (dtype == DType::f32) t.as<float>()[i] = x;
      if (dtype == DType::bf16) t.as<bf16>()[i] = bf16(x);
    }
    const size_t block = static_cast<size_t>(n) * size_of(dtype);
    for (size_t at = block; at < t.n_bytes(); at += block) {
      std::memcpy(static_cast<std::byte*>(t.data) + at, t.data, std::min(block, t.n_bytes() - at));
    }
    return t;
  }

  test::GpuExec gpu_;
  Bytes bytes_;
  std::list<Buffer> buffers_, host_;
};

constexpr DType kModel = DType::bf16;

void norm_mix(Bench& bench, int64_t R, int64_t C) {
  const Shape x{R / 512, 512, C};
  NormMixForward f{.x = bench.make(kModel, x, 1), .weight = bench.make(kModel, {C}, 1), .bias = bench.make(kModel, {C}, 1), .n = 6};
  NormMixBackward b{.x = f.x,
                    .weight = f.weight,
                    .bias = f.bias,
                    .dx = bench.make(kModel, x, 1e-3),
                    .n = 6,
                    .dweight = bench.make(DType::f32, {C}),
                    .dbias = bench.make(DType::f32, {C})};
  for (size_t m = 0; m < 6; ++m) {
    b.mu[m] = f.mu[m] = bench.make(kModel, {C}, 0.5);
    f.y[m] = bench.make(kModel, x);
    b.dy[m] = bench.make(kModel, x, 1e-3);
    b.dmu[m] = bench.make(DType::f32, {C});
  }
  const auto time_both = [&](int n, bool of_self, const std::string& of) {
    f.n = b.n = n;
    f.mu_of_self = b.mu_of_self = of_self;
    bench.time(cat("norm_mix ", n, of), [&](const Exec& ex) { run(ex, f); });
    bench.time(cat("norm_mix backward ", n, of), [&](const Exec& ex) { run(ex, b); });
  };
  for (int n : {6, 2, 1}) time_both(n, false, "");
  for (int n : {4, 3, 2}) time_both(n, true, " of itself");
  for (size_t m = 0; m < 5; ++m) {
    f.more[m] = b.more[m] = bench.make(kModel, x, 0.1);
    b.dmore[m] = f.y[m];
  }
  time_both(5, false, " of tokens");
}

void parts(Bench& bench, int64_t R, int64_t C) {
  const Shape x{R, C};
  LayerNormForward f{.x = bench.make(kModel, x, 1),
                     .weight = bench.make(kModel, {C}, 1),
                     .bias = bench.make(kModel, {C}, 1),
                     .y = bench.make(kModel, x),
                     .mean = bench.make(DType::f32, {R}),
                     .rstd = bench.make(DType::f32, {R})};
  const LayerNormBackward b{.x = f.x,
                            .weight = f.weight,
                            .mean = f.mean,
                            .rstd = f.rstd,
                            .dy = bench.make(kModel, x, 1),
                            .dx = bench.make(kModel, x),
                            .dweight = bench.make(DType::f32, {C}),
                            .dbias = bench.make(DType::f32, {C})};
  bench.time("layer_norm", [&](const Exec& ex) { run(ex, f); });
  bench.time("layer_norm backward", [&](const Exec& ex) { run(ex, b); });
  bench.time("activation relu2", [&](const Exec& ex) { run(ex, ActivationForward{.f = Activation::relu2, .x = f.x, .y = f.y}); });
  bench.time("activation backward relu2",
             [&](const Exec& ex) { run(ex, ActivationBackward{.f = Activation::relu2, .y = f.y, .dy = b.dy, .dx = b.dx}); });
  bench.time("add bf16", [&](const Exec& ex) { run(ex, Add{.x = b.dy, .y = f.y}); });
  const Tensor ids = bench.make_ids(R, 65536), table = bench.make(kModel, {65536, C}, 1), dtable = bench.make(DType::f32, {65536, C});
  bench.time("embedding", [&](const Exec& ex) { run(ex, EmbeddingForward{.ids = ids, .table = table, .x = f.y}); });
  bench.time("embedding backward", [&](const Exec& ex) { run(ex, EmbeddingBackward{.ids = ids, .dx = b.dy, .dtable = dtable}); });
}

void gates(Bench& bench, int64_t R, int64_t C) {
  const Shape x{R, C};
  const auto row = [&] { return bench.make(kModel, x, 1); };
  const Tensor y = row(), g = row(), dout = row(), out = row(), dy = row(), dg = row(), parameter = bench.make(kModel, {C}, 1);
  const Tensor dparameter = bench.make(DType::f32, {C});
  const GroupNormGateForward f{.y = y, .g = g, .weight = parameter, .bias = parameter, .out = out};
  const GroupNormGateBackward b{.y = y,
                                .g = g,
                                .weight = parameter,
                                .bias = parameter,
                                .dout = dout,
                                .out = out,
                                .dy = dy,
                                .dg = dg,
                                .dweight = dparameter,
                                .dbias = dparameter};
  bench.time("group_norm_gate", [&](const Exec& ex) { run(ex, f); });
  bench.time("group_norm_gate backward", [&](const Exec& ex) { run(ex, b); });
  bench.time("sigmoid_gate", [&](const Exec& ex) { run(ex, SigmoidGateForward{.r = g, .v = y, .residual = out, .y = out}); });
  bench.time("sigmoid_gate backward",
             [&](const Exec& ex) { run(ex, SigmoidGateBackward{.r = g, .v = y, .dy = dout, .dr = dg, .dv = dy, .gated = out}); });
  const Tensor tokens = y.view({1, R, C});
  bench.time("dropout", [&](const Exec& ex) { run(ex, Dropout{.x = tokens, .y = dy.view(tokens.shape), .p = 0.1, .row_tokens = R}); });
  const Tensor whole = bench.make(kModel, {R, 160}), blocks = bench.make(kModel, {5, R, 32});
  bench.time("split_columns 5 x 32", [&](const Exec& ex) { run(ex, SplitColumns{.whole = whole, .parts = blocks}); });
  bench.time("join_columns 5 x 32", [&](const Exec& ex) { run(ex, JoinColumns{.parts = blocks, .whole = whole}); });
}

void shift(Bench& bench, int64_t R, int64_t C) {
  const Shape x{R / 512, 512, C};
  TokenShiftForward f{.x = bench.make(kModel, x, 1), .n = 1, .mu = {bench.make(kModel, {C}, 0.5)}, .y = {bench.make(kModel, x)}};
  const TokenShiftBackward b{
      .x = f.x, .dx = bench.make(kModel, x), .n = 1, .mu = f.mu, .dmu = {bench.make(DType::f32, {C})}, .dy = {bench.make(kModel, x, 1)}};
  bench.time("token_shift 1", [&](const Exec& ex) { run(ex, f); });
  bench.time("token_shift backward 1", [&](const Exec& ex) { run(ex, b); });
}

void flat(Bench& bench) {
  const int64_t n = int64_t{1} << 29;
  const Tensor wide = bench.make(DType::f32, {n}, 1), narrow = bench.make(kModel, {n}), sum = bench.make(DType::f64, {1});
  bench.time("cast f32 -> bf16", [&](const Exec& ex) { run(ex, Cast{.x = wide, .y = narrow}); });
  bench.time("cast bf16 -> f32", [&](const Exec& ex) { run(ex, Cast{.x = narrow, .y = wide}); });
  bench.time("cast bf16 -> bf16", [&](const Exec& ex) { run(ex, Cast{.x = narrow.slice(0, n / 2), .y = narrow.slice(n / 2, n / 2)}); });
  bench.time("add bf16 to f32", [&](const Exec& ex) { run(ex, Add{.x = narrow, .y = wide}); });
  bench.time("sum_of_squares f32", [&](const Exec& ex) { run(ex, SumOfSquares{.x = wide, .out = sum}); });
  bench.time("sum_of_squares bf16", [&](const Exec& ex) { run(ex, SumOfSquares{.x = narrow, .out = sum}); });
  bench.time("sum_of_squares f32, a million", [&](const Exec& ex) { run(ex, SumOfSquares{.x = wide.slice(0, 1 << 20), .out = sum}); });
  bench.time("fill f32", [&](const Exec& ex) { run(ex, Fill{.x = wide, .value = 0}); });
}

int main_of(int argc, char** argv) {
  if (n_gpus() == 0) {
    std::printf("no GPU: %s\n", why_no_gpu().c_str());
    return 0;
  }
  Bench bench;
  std::vector<std::pair<int64_t, int64_t>> sizes{{768, 65536}, {768, 8192}, {2048, 32768}, {2560, 32768}, {4096, 32768}};
  if (argc == 3) sizes = {{std::atoll(argv[1]), std::atoll(argv[2])}};
  for (const auto& [C, R] : sizes) {
    std::printf("C = %d, R = %d\n", static_cast<int>(C), static_cast<int>(R));
    for (auto* part : {norm_mix, parts, gates, shift}) {
      part(bench, R, C);
      bench.free_tensors();
    }
  }
  if (argc != 3) flat(bench);
  return 0;
}

}  // namespace
}  // namespace rk

int main(int argc, char** argv) { return rk::main_of(argc, argv); }
