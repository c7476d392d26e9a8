// AdamW in host memory, by a chosen instruction set; kernels/adamw/op.h takes the best one. In f32 all give the same bits.
#pragma once
#include "kernels/adamw/op.h"
#include "kernels/common/isa_cpu.h"

namespace rk::cpu {

void run(const Exec& ex, const AdamW& a, Isa isa = best_isa());

}  // namespace rk::cpu
