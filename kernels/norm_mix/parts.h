// The operator as its two parts, layer_norm and token_shift, with z between them in scratch: on the CPU always, on a GPU for sizes that the
// fused kernels do not take.
#pragma once
#include "kernels/norm_mix/op.h"

namespace rk {

void run_in_parts(const Exec& ex, const NormMixForward& a);
void run_in_parts(const Exec& ex, const NormMixBackward& a);

}  // namespace rk
