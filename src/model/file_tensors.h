// What a file of a model's weights holds, in its order.
#pragma once
#include <vector>

#include "io/tensor_file.h"
#include "nn/unit.h"

namespace rk {

// A parameter, or what follows from the model's sizes; the other is null.
struct FileTensor {
  const Param* param = nullptr;
  const DerivedTensor* derived = nullptr;
  TensorInfo info(DType dtype) const;
};
std::vector<FileTensor> file_tensors(const Model& model);

// Elements [first, first + to.numel()) of a derived tensor, in to's type and host memory.
void put_derived(const DerivedTensor& t, int64_t first, const Tensor& to);

}  // namespace rk
