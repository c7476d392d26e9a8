// The pickle of a dictionary of tensors, as torch.save writes it (protocol 2).
#pragma once
#include <string>
#include <vector>

#include "io/tensor_file.h"

namespace rk::pth {

// {name: tensor}, a plain dict in the order of `infos`; tensor i is the whole of storage "i".
std::string pickle_of(const std::vector<TensorInfo>& infos);

}  // namespace rk::pth
