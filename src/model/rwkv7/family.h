// RWKV-7 ("x070"): https://github.com/BlinkDL/RWKV-LM, RWKV-v7/train_temp/src/model.py.
#pragma once
#include "model/families.h"

namespace rk::rwkv7 {

bool matches(const std::vector<TensorInfo>& tensors);
ModelSpec spec_from_file(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path);
ModelSpec spec_for_new(const ModelSpec& given);
std::unique_ptr<Model> make(const ModelSpec& spec);

}  // namespace rk::rwkv7
