// The layout in which Ai00 and web-rwkv want weights (github.com/cryscan/web-rwkv, assets/scripts/convert_safetensors.py).
#pragma once
#include <string>

#include "io/tensor_file.h"

namespace rk {

// Half precision and names in lower case; time_faaaa becomes time_first and time_maa becomes time_mix.
std::string ai00_name(const std::string& name);

// Whether the last two dimensions change places: factors of low-rank products (w1 w2 a1 a2 g1 g2 v1 v2 of RWKV-7, *_w1 and *_w2 of RWKV-6)
// and trained initial states. `t` under its upstream name.
bool transposed_for_ai00(const TensorInfo& t);

}  // namespace rk
