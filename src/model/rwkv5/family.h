// RWKV-5.2 ("x052"): https://github.com/BlinkDL/RWKV-LM, RWKV-v5/src/model.py.
#pragma once
#include "model/families.h"

namespace rk::rwkv5 {

bool matches(const std::vector<TensorInfo>& tensors);
ModelSpec spec_from_file(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path);
ModelSpec spec_for_new(const ModelSpec& given);
std::unique_ptr<Model> make(const ModelSpec& spec);

}  // namespace rk::rwkv5
