// RWKV-4 ("x040"): https://github.com/BlinkDL/RWKV-LM, RWKV-v4neo/src/model.py; its mathematics are golden rwkv456 §1, §2.
#pragma once
#include "model/families.h"

namespace rk::rwkv4 {

bool matches(const std::vector<TensorInfo>& tensors);
ModelSpec spec_from_file(const ModelSpec& given, const std::vector<TensorInfo>& tensors, const std::string& path);
ModelSpec spec_for_new(const ModelSpec& given);
std::unique_ptr<Model> make(const ModelSpec& spec);

}  // namespace rk::rwkv4
