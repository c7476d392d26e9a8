// RWKV-7's preparation and output and the cross entropy on a GPU: time of a call, and bytes that it must move over that time.
//   heads_bench [TEXT]      only lines that contain the text
#include <cstdio>
#include <list>
#include <string>

#include "base/rng.h"
#include "kernels/cross_entropy/op.h"
#include "kernels/rwkv7_output/op.h"
#include "kernels/rwkv7_prepare/op.h"
#include "support/gpu_exec.h"

namespace rk {
namespace {

// Bytes that the last operator said it moves.
class Bytes : public OpWatch {
 public:
  void begin(const char*, double bytes, double) override { bytes_ = bytes; }
  void end() override {}
  double bytes() const { return bytes_; }

 private:
  double bytes_ = 0;
};

class Bench {
 public:
  explicit Bench(std::string only) : only_(std::move(only)), exec_(size_t{256} << 20) {
    exec_.ex().watch = &bytes_;
    some_ = Buffer(Device::cpu, kSome * sizeof(float));
  }

  // A tensor of normal numbers that lives until clear().
  Tensor make(DType dtype, Shape shape) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    t = buffers_.emplace_back(Device::cuda, t.n_bytes()).tensor(dtype, shape);
    const Tensor some = some_.tensor(dtype, {kSome});
    const Random random(1, buffers_.size());
    for (int64_t i = 0; i < kSome; ++i) {
      const auto x = static_cast<float>(random.normal(static_cast<uint64_t>(i)));
      if (dtype == DType::f32) some.as<float>()[i] = x;
      if (dtype == DType::bf16) some.as<bf16>()[i] = bf16(x);
      if (dtype == DType::i32) some.as<int32_t>()[i] = static_cast<int32_t>(i * 7);
    }
    for (int64_t at = 0; at < t.numel(); at += kSome) {
      const int64_t n = std::min(kSome, t.numel() - at);
      copy(exec_.ex(), some.slice(0, n), t.slice(at, n));
    }
    return t;
  }
  Tensor zeros(DType dtype, Shape shape) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    return buffers_.emplace_back(Device::cuda, t.n_bytes()).tensor(dtype, shape);
  }
  void clear() { buffers_.clear(); }

  template <class Op>
  void time(const std::string& what, const Op& op) {
    if (what.find(only_) == std::string::npos) return;
    constexpr int warm = 3, times = 20;
    for (int i = 0; i < warm; ++i) run(exec_.ex(), op);
    GpuEvent begin, end;
    begin.record(exec_.gpu());
    for (int i = 0; i < times; ++i) run(exec_.ex(), op);
    end.record(exec_.gpu());
    end.wait();
    const double ms = end.ms_since(begin) / times;
    std::printf("%-52s %9.4f ms %8.1f GB/s\n", what.c_str(), ms, bytes_.bytes() / ms * 1e-6);
    std::fflush(stdout);
  }

 private:
  static constexpr int64_t kSome = 1 << 18;
  std::string only_;
  test::GpuExec exec_;
  Bytes bytes_;
  Buffer some_;
  std::list<Buffer> buffers_;
};

void heads(Bench& bench, int64_t R, int64_t C) {
  const auto x = [&] { return bench.make(DType::bf16, {R, C}); };
  const auto p = [&] { return bench.make(DType::bf16, {C}); };
  const auto sum = [&] { return bench.zeros(DType::f32, {C}); };
  const std::string size = " R=" + std::to_string(R) + " C=" + std::to_string(C);
  {
    Rwkv7PrepareForward f{.k0 = x(), .a_lora = x(), .a0 = p(), .k_k = p(), .k_a = p(), .k = x(), .a = x(), .b = x()};
    bench.time("prepare forward, first layer" + size, f);
    f.v0_in = x(), f.v_lora = x(), f.v_first = x(), f.v0 = p(), f.v = x();
    bench.time("prepare forward" + size, f);
    bench.clear();
  }
  {
    Rwkv7PrepareBackward b{.k0 = x(), .a_lora = x(), .a0 = p(), .k_k = p(), .k_a = p(), .dw = x(), .dk = x(), .da = x(), .db = x()};
    b.dw_lora = b.dw, b.da_lora = b.da, b.dk0 = b.dk;
    b.dw0 = sum(), b.da0 = sum(), b.dv0 = sum(), b.dk_k = sum(), b.dk_a = sum();
    bench.time("prepare backward, first layer" + size, b);
    b.v0_in = x(), b.v_lora = x(), b.v_first = x(), b.v0 = p(), b.dv = x(), b.dv0_in = b.dv, b.dv_lora = x();
    b.dv_first = bench.zeros(DType::f32, {R, C});
    bench.time("prepare backward" + size, b);
    bench.clear();
  }
  {
    const Rwkv7OutputForward f{.y = x(), .r = x(), .k = x(), .v = x(), .g = x(), .weight = p(), .bias = p(), .r_k = p(), .out = x()};
    bench.time("output forward" + size, f);
    Rwkv7OutputBackward b{.y = f.y, .r = f.r, .k = f.k, .v = f.v, .g = f.g, .weight = f.weight, .bias = f.bias, .r_k = f.r_k, .dout = x()};
    b.dy = x(), b.dr = x(), b.dk = x(), b.dv = x(), b.dg = x(), b.out = f.out;
    b.dweight = sum(), b.dbias = sum(), b.dr_k = sum();
    bench.time("output backward" + size, b);
    b.add = true;
    bench.time("output backward, adding" + size, b);
    bench.clear();
  }
}

void losses(Bench& bench, DType dtype, int64_t R, int64_t V) {
  CrossEntropy c{.logits = bench.make(dtype, {R, V}),
                 .targets = bench.make(DType::i32, {R}),
                 .scale = 1.0 / static_cast<double>(R),
                 .loss_sum = bench.zeros(DType::f64, {1})};
  const std::string what = std::string("cross entropy, ") + name_of(dtype) + " R=" + std::to_string(R) + " V=" + std::to_string(V);
  bench.time(what + ", loss only", c);
  c.want_gradient = true;
  bench.time(what, c);
  c.l2_scale = 1e-4 / static_cast<double>(R);
  bench.time(what + ", L2Wrap", c);
  bench.clear();
}

}  // namespace
}  // namespace rk

int main(int argc, char** argv) {
  if (!rk::why_no_gpu().empty()) {
    std::printf("%s\n", rk::why_no_gpu().c_str());
    return 0;
  }
  rk::Bench bench(argc > 1 ? argv[1] : "");
  for (auto [R, C] : {std::pair<int64_t, int64_t>{8192, 768}, {65536, 768}, {32768, 2048}, {32768, 2560}, {16384, 4096}})
    rk::heads(bench, R, C);
  for (int64_t R : {4096, 8192}) rk::losses(bench, rk::DType::bf16, R, 65536);
  rk::losses(bench, rk::DType::f32, 4096, 65536);
  rk::losses(bench, rk::DType::bf16, 4096, 50277);
}
