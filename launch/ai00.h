// The layout in which Ai00 and web-rwkv want RWKV-7 weights (github.com/Ai00-X/ai00_server, assets/scripts/convert_safetensors.py).
#pragma once
#include "io/tensor_file.h"

namespace rk {

// Half precision, and the low-rank matrices w1 w2 a1 a2 g1 g2 v1 v2 of each block transposed; all names of RWKV-7 stay.
bool transposed_for_ai00(const TensorInfo& t);

}  // namespace rk
