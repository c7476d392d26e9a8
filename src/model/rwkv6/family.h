// RWKV-6 ("x060", "x060a", "x060b"): https://github.com/BlinkDL/RWKV-LM, RWKV-v5/src/model.py.
#pragma once
#include "model/families.h"

namespace rk::rwkv6 {

bool matches(const std::vector<TensorInfo>& tensors);
ModelSpec spec_from_file(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path);
ModelSpec spec_for_new(const ModelSpec& given);
std::unique_ptr<Model> make(const ModelSpec& spec);

}  // namespace rk::rwkv6
