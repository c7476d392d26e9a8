#include "model/file_tensors.h"

#include <algorithm>

#include "io/convert.h"

namespace rk {

TensorInfo FileTensor::info(DType dtype) const {
  const Shape& shape = param ? param->shape : derived->shape;
  return {param ? param->name : derived->name, dtype, {shape.size.begin(), shape.size.begin() + shape.rank}};
}

std::vector<FileTensor> file_tensors(const Model& model) {
  std::vector<FileTensor> all;
  for (const Param& p : model.params.all()) {
    for (const DerivedTensor& d : model.derived)
      if (d.before == p.name) all.push_back({.derived = &d});
    all.push_back({.param = &p});
  }
  require(all.size() == model.params.all().size() + model.derived.size(), "a derived tensor stands in front of a parameter");
  return all;
}

void put_derived(const DerivedTensor& t, int64_t first, const Tensor& to) {
  require(to.device != Device::cuda, "derived tensors are made in host memory");
  std::vector<double> values(static_cast<size_t>(std::min<int64_t>(to.numel(), 1 << 16)));
  for (int64_t at = 0; at < to.numel(); at += static_cast<int64_t>(values.size())) {
    const Tensor part = to.slice(at, std::min(to.numel() - at, static_cast<int64_t>(values.size())));
    for (int64_t i = 0; i < part.numel(); ++i) values[static_cast<size_t>(i)] = t.formula(first + at + i);
    convert_elements(DType::f64, values.data(), part.dtype, part.data, part.numel());
  }
}

}  // namespace rk
