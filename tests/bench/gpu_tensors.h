// Tensors of a bench's calls on a GPU.
#pragma once
#include <list>
#include <vector>

#include "base/rng.h"
#include "support/on_device.h"

namespace rk::bench {

class GpuTensors {
 public:
  explicit GpuTensors(const Exec& ex) : ex_(ex) {}
  Tensor zeros(DType dtype, Shape shape) {
    Tensor t;
    t.dtype = dtype;
    t.shape = shape;
    return buffers_.emplace_back(ex_.device, t.n_bytes()).tensor(dtype, shape);
  }
  // Some numbers of next() again and again.
  template <class F>
  Tensor filled(DType dtype, Shape shape, const F& next) {
    const Tensor t = zeros(dtype, shape);
    std::vector<double> x(static_cast<size_t>(std::min<int64_t>(t.numel(), 1 << 20)));
    for (double& v : x) v = next();
    const auto n = static_cast<int64_t>(x.size());
    test::put_doubles(ex_, x, t.slice(0, n));
    for (int64_t at = n; at < t.numel(); at += n) {
      const int64_t count = std::min(n, t.numel() - at);
      copy(ex_, t.slice(0, count), t.slice(at, count));
    }
    return t;
  }
  Tensor normal(DType dtype, Shape shape, double spread = 1, double mean = 0) {
    const Random random(11, ++n_filled_);
    uint64_t i = 0;
    return filled(dtype, shape, [&] { return mean + spread * random.normal(i++); });
  }

 private:
  const Exec& ex_;
  std::list<Buffer> buffers_;
  uint64_t n_filled_ = 0;
};

inline double mib(size_t n_bytes) { return static_cast<double>(n_bytes) / (1 << 20); }

}  // namespace rk::bench
