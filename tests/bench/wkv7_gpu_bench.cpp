// The WKV-7 operator on a GPU in bf16: times at the sizes of a training step, and errors against float64 (computed by the CPU's operator
// from the same inputs) in six regimes. Arguments: `times` or `errors` alone; default both.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <list>
#include <string>
#include <vector>

#include "base/rng.h"
#include "bench/gpu_times.h"
#include "kernels/wkv7/op.h"
#include "support/cpu_exec.h"
#include "support/gpu_exec.h"

namespace rk {
namespace {

using Numbers = std::vector<double>;

struct Inputs {
  Shape x, state;
  Numbers r, w, k, v, a, b, dy, state_in, dstate_out;
};

double rounded(double x) { return static_cast<double>(bf16(static_cast<float>(x))); }

// `raw` w, alpha and key of a token; keys are normalised to kappa = -a, b = kappa alpha, as a model does.
struct Regime {
  std::string name;
  int64_t T;
  double w_mean, w_spread, alpha_mean, alpha_spread, size;
  int token_types;  // > 0: tokens are of a few types whose keys are almost equal
};

const Regime kRegimes[] = {{"bench", 1024, -1.3, 0.5, 0, 1, 1, 0}, {"init", 1024, -4, 1.5, 0, 0.1, 0.5, 0},
                           {"slow", 1024, -8, 0.5, 0, 1, 1, 0},    {"fast", 1024, 4, 1, 0, 1, 1, 0},
                           {"repeat", 1024, -4, 1, 3, 0.3, 1, 6},  {"d=0.9999", 8192, -8.71, 0.0, 0, 1, 1, 0}};

Inputs inputs_of(const Regime& g, int64_t B, int64_t H) {
  const int64_t N = 64, n = B * g.T * H * N;
  Inputs in{.x = {B, g.T, H, N}, .state = {B, H, N, N}};
  const auto normal = [&](uint64_t stream, int64_t i) { return Random(11, stream).normal(static_cast<uint64_t>(i)); };
  const auto fill = [&](Numbers& x, uint64_t stream, int64_t count, double mean, double spread) {
    x.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) x[static_cast<size_t>(i)] = rounded(mean + spread * normal(stream, i));
  };
  fill(in.r, 1, n, 0, g.size);
  fill(in.w, 2, n, g.w_mean, g.w_spread);
  fill(in.v, 4, n, 0, g.size);
  fill(in.dy, 7, n, 0, 1);
  fill(in.state_in, 8, in.state.numel(), 0, 0.3);
  fill(in.dstate_out, 9, in.state.numel(), 0, 0.3);
  for (Numbers* x : {&in.k, &in.a, &in.b}) x->resize(static_cast<size_t>(n));
  for (int64_t row = 0; row < B * g.T * H; ++row) {
    Numbers key(static_cast<size_t>(N));
    double norm = 0;
    const int64_t type = g.token_types ? static_cast<int64_t>(std::fabs(normal(10, row / H)) * 1e4) % g.token_types : 0;
    for (int64_t j = 0; j < N; ++j) {
      double x = normal(3, row * N + j);
      if (g.token_types) x = normal(5, row % H * N + j) + 0.1 * normal(6, type * N + j) + 0.01 * x;
      key[static_cast<size_t>(j)] = x;
      norm += x * x;
    }
    for (int64_t j = 0; j < N; ++j) {
      const auto i = static_cast<size_t>(row * N + j);
      const double kappa = key[static_cast<size_t>(j)] / std::sqrt(norm);
      const double alpha = 1 / (1 + std::exp(-(g.alpha_mean + g.alpha_spread * normal(12, row * N + j))));
      in.k[i] = rounded(key[static_cast<size_t>(j)] * g.size);
      in.a[i] = rounded(-kappa);
      in.b[i] = rounded(kappa * alpha);
    }
  }
  return in;
}

// The tensors of both calls on one device.
class Call {
 public:
  Call(const Exec& ex, DType dtype, const Shape& x, const Shape& state) : ex_(ex) {
    const auto sequence = [&] { return make(dtype, x); };
    const auto square = [&] { return make(acc_dtype(dtype), state); };
    Arena counting(ex.device);
    const Tensor form = take_wkv7_saved(ex, counting, dtype, x);
    const Tensor saved = make(form.dtype, form.shape);
    forward = {.r = sequence(), .w = sequence(), .k = sequence(), .v = sequence(), .a = sequence(), .b = sequence(), .y = sequence()};
    forward.state_in = square(), forward.state_out = square(), forward.saved_states = saved;
    backward = {.r = forward.r, .w = forward.w, .k = forward.k, .v = forward.v, .a = forward.a, .b = forward.b, .saved_states = saved};
    backward.dy = sequence(), backward.dstate_out = square();
    backward.dr = sequence(), backward.dw = sequence(), backward.dk = sequence();
    backward.dv = sequence(), backward.da = sequence(), backward.db = sequence(), backward.dstate_in = square();
  }
  void fill(const Inputs& in) const {
    const std::pair<const Tensor*, const Numbers*> pairs[] = {{&forward.r, &in.r},
                                                              {&forward.w, &in.w},
                                                              {&forward.k, &in.k},
                                                              {&forward.v, &in.v},
                                                              {&forward.a, &in.a},
                                                              {&forward.b, &in.b},
                                                              {&backward.dy, &in.dy},
                                                              {&forward.state_in, &in.state_in},
                                                              {&backward.dstate_out, &in.dstate_out}};
    for (const auto& [t, x] : pairs) put(*t, *x);
  }
  // Numbers again and again until the tensor is full.
  void put(const Tensor& t, const Numbers& x) const {
    const auto n = static_cast<int64_t>(x.size());
    const Buffer host(Device::cpu, x.size() * size_of(t.dtype));
    const Tensor from = host.tensor(t.dtype, {n});
    for (int64_t i = 0; i < n; ++i) {
      const double value = x[static_cast<size_t>(i)];
      if (t.dtype == DType::f64) from.as<double>()[i] = value;
      if (t.dtype == DType::f32) from.as<float>()[i] = static_cast<float>(value);
      if (t.dtype == DType::bf16) from.as<bf16>()[i] = bf16(static_cast<float>(value));
    }
    for (int64_t at = 0; at < t.numel(); at += n)
      copy(ex_, from.slice(0, std::min(n, t.numel() - at)), t.slice(at, std::min(n, t.numel() - at)));
  }
  Numbers get(const Tensor& t) const {
    const Buffer host(Device::cpu, t.n_bytes());
    const Tensor to = host.tensor(t.dtype, t.shape);
    copy(ex_, t, to);
    Numbers x(static_cast<size_t>(t.numel()));
    for (int64_t i = 0; i < t.numel(); ++i) {
      const auto at = static_cast<size_t>(i);
      if (t.dtype == DType::f64) x[at] = to.as<double>()[i];
      if (t.dtype == DType::f32) x[at] = static_cast<double>(to.as<float>()[i]);
      if (t.dtype == DType::bf16) x[at] = static_cast<double>(to.as<bf16>()[i]);
    }
    return x;
  }
  std::vector<Numbers> outputs() const {
    std::vector<Numbers> all;
    for (const Tensor* t : {&forward.y, &forward.state_out, &backward.dr, &backward.dw, &backward.dk, &backward.dv, &backward.da,
                            &backward.db, &backward.dstate_in})
      all.push_back(get(*t));
    return all;
  }

  Wkv7Forward forward;
  Wkv7Backward backward;

 private:
  Tensor make(DType dtype, const Shape& shape) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    return buffers_.emplace_back(ex_.device, t.n_bytes()).tensor(dtype, shape);
  }
  const Exec& ex_;
  std::list<Buffer> buffers_;
};

double difference(const Numbers& x, const Numbers& reference) {
  double sum = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += (x[i] - reference[i]) * (x[i] - reference[i]);
    norm += reference[i] * reference[i];
  }
  return std::sqrt(sum / norm);
}

void errors(const Exec& gpu) {
  std::printf("errors, bf16 against float64, |difference| / |reference|\n%-10s", "");
  for (const char* name : {"y", "state", "dr", "dw", "dk", "dv", "da", "db", "dstate"}) std::printf(" %9s", name);
  std::printf("\n");
  for (const Regime& g : kRegimes) {
    const Inputs in = inputs_of(g, 1, 2);
    const test::CpuExec cpu(2);
    const Call reference(cpu.ex(), DType::f64, in.x, in.state), call(gpu, DType::bf16, in.x, in.state);
    for (const Call* c : {&reference, &call}) {
      const Exec& ex = c == &call ? gpu : cpu.ex();
      c->fill(in);
      run(ex, c->forward);
      run(ex, c->backward);
      synchronize(ex);
    }
    const std::vector<Numbers> expected = reference.outputs(), got = call.outputs();
    std::printf("%-10s", g.name.c_str());
    for (size_t i = 0; i < got.size(); ++i) std::printf(" %9.2e", difference(got[i], expected[i]));
    std::printf("\n");
  }
}

void times(const Exec& ex) {
  std::printf("%-16s %10s %10s %10s\n", "B, H, T", "forward", "backward", "sum, ms");
  const int64_t shapes[][3] = {{16, 12, 512}, {16, 12, 4096}, {8, 32, 4096}, {8, 64, 4096}, {1, 64, 32768}};
  const Inputs in = inputs_of({"bench", 2048, -1.3, 0.5, 0, 1, 1, 0}, 1, 4);
  for (const auto& [B, H, T] : shapes) {
    const Call call(ex, DType::bf16, {B, T, H, 64}, {B, H, 64, 64});
    call.fill(in);
    const double forward = bench::median_ms(*ex.gpu, [&] { run(ex, call.forward); });
    const double backward = bench::median_ms(*ex.gpu, [&] { run(ex, call.backward); });
    std::printf("%2d, %2d, %-8d %10.3f %10.3f %10.3f\n", static_cast<int>(B), static_cast<int>(H), static_cast<int>(T), forward, backward,
                forward + backward);
  }
}

void once(const Exec& ex, int64_t B, int64_t H, int64_t T) {
  const Inputs in = inputs_of({"bench", 512, -1.3, 0.5, 0, 1, 1, 0}, 1, 4);
  const Call call(ex, DType::bf16, {B, T, H, 64}, {B, H, 64, 64});
  call.fill(in);
  run(ex, call.forward);
  run(ex, call.backward);
  synchronize(ex);
}

}  // namespace
}  // namespace rk

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (rk::n_gpus() == 0) {
    std::printf("no GPU: %s\n", rk::why_no_gpu().c_str());
    return 0;
  }
  const rk::test::GpuExec gpu(size_t{4} << 30);
  if (what == "once" && argc == 5) {
    rk::once(gpu.ex(), std::stol(argv[2]), std::stol(argv[3]), std::stol(argv[4]));
    return 0;
  }
  if (what != "times") rk::errors(gpu.ex());
  if (what != "errors") rk::times(gpu.ex());
  return 0;
}
