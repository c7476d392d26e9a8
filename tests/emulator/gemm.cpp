// Matrix products of the emulated GPU: the CPU's, on factors widened to f32.
#include "kernels/gemm/op.h"

#include <vector>

#include "emulator/memory.h"

namespace rk::cuda {
namespace {

float get(const Tensor& t, int64_t i) {
  switch (t.dtype) {
    case DType::f32: return t.as<float>()[i];
    case DType::bf16: return static_cast<float>(t.as<bf16>()[i]);
    case DType::f16: return to_float(static_cast<const f16*>(t.data)[i]);
    default: broken_promise("matrices on a GPU hold f32, bf16 or f16", Where::here());
  }
}

void put(const Tensor& t, int64_t i, float x) {
  switch (t.dtype) {
    case DType::f32: t.as<float>()[i] = x; return;
    case DType::bf16: t.as<bf16>()[i] = bf16(x); return;
    case DType::f16: static_cast<f16*>(t.data)[i] = to_f16(x); return;
    default: broken_promise("matrices on a GPU hold f32, bf16 or f16", Where::here());
  }
}

class Widened {
 public:
  explicit Widened(const Tensor& from) : values_(static_cast<size_t>(from.numel())) {
    for (int64_t i = 0; i < from.numel(); ++i) values_[static_cast<size_t>(i)] = get(from, i);
    tensor_ = from;
    tensor_.dtype = DType::f32;
    tensor_.device = Device::cpu;
    tensor_.data = values_.data();
  }
  const Tensor& tensor() const { return tensor_; }

 private:
  std::vector<float> values_;
  Tensor tensor_;
};

}  // namespace

void run(const Exec& ex, const Gemm& g);
void run(const Exec& ex, const Gemm& g) {
  if (ex.dry()) return;
  const emulator::DeviceMemoryOpen open;
  const Widened a(g.a), b(g.b);
  Buffer product(Device::cpu, static_cast<size_t>(g.c.numel()) * sizeof(float));
  const Gemm plain{
      .a = a.tensor(), .b = b.tensor(), .c = product.tensor(DType::f32, g.c.shape), .trans_a = g.trans_a, .trans_b = g.trans_b};
  Arena measured;
  rk::run(Exec{.scratch = &measured}, plain);
  Arena scratch(Buffer(Device::cpu, measured.peak()));
  rk::run(Exec{.scratch = &scratch}, plain);
  const Tensor& base = g.add ? g.c : g.base;
  const int64_t N = g.c.shape[1];
  for (int64_t i = 0; i < g.c.numel(); ++i)
    put(g.c, i, plain.c.as<float>()[i] + (base ? get(base, i) : 0.0f) + (g.bias ? get(g.bias, i % N) : 0.0f));
}

}  // namespace rk::cuda
