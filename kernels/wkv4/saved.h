// What saved states are: [B, steps, 3, A] numbers, the state before every so many tokens; its exponents are natural ones on the CPU, of two
// on a GPU.
#pragma once
#include "device/tensor.h"

namespace rk {

namespace cpu {
inline constexpr int64_t kWkv4Step = 32;  // tokens
}
namespace cuda::wkv4 {

// A block's threads hold kTokens tokens each: its warps lie side by side in time, their lanes are `width` neighbouring channels each.
inline constexpr int kTokens = 8;
struct Layout {
  int width, warps;
  Layout(DType dtype, int64_t B, int64_t A);
  int64_t channels() const { return int64_t{32} * width; }
  int64_t step() const { return int64_t{kTokens} * warps; }
};

// Wide lanes where that leaves enough blocks; where there are few blocks, they are taller. Thresholds are multiprocessors of an H100 or
// H200.
inline Layout::Layout(DType dtype, int64_t B, int64_t A) {
  const auto blocks = [&](int64_t per_block) { return B * ((A + per_block - 1) / per_block); };
  width = size_of(dtype) == 2 && A % 2 == 0 && blocks(64) >= 132 ? 2 : 1;
  warps = blocks(channels()) >= 200 ? 8 : 16;
}

}  // namespace cuda::wkv4

inline Shape wkv4_saved_shape(Device device, DType dtype, const Shape& s) {
  const int64_t step = device == Device::cuda ? cuda::wkv4::Layout(dtype, s[0], s[2]).step() : cpu::kWkv4Step;
  return {s[0], (s[1] + step - 1) / step, 3, s[2]};
}

}  // namespace rk
