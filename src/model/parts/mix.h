// What a block hands to its mixes, time mix and channel mix alike: a mix reads the residual stream, norms it, and writes it back with its
// own part added.
#pragma once
#include "device/exec.h"

namespace rk {

struct MixForward {
  int64_t B, T;
  Tensor x, out;               // [R,C], R = B*T: the residual stream before and after; out may be x where nothing is saved
  Tensor shared;               // [R,C] Flow::shared; null where a family has none
  Tensor shift_in, shift_out;  // [B,C] of the token shift; null = zero; null = not wanted
  Tensor wkv_in, wkv_out;      // of the operator, where a mix has one; null = zero; null = not wanted
  Tensor resets;               // of the segment
};
struct MixBackward {
  int64_t B, T;
  Tensor x, shared;             // as in forward
  Tensor dx;                    // gradient of out on entry, of x on return
  Tensor dshared;               // accumulation dtype; added to
  Tensor shift_in;              // as in forward
  Tensor dshift_out, dwkv_out;  // null = zero
  Tensor dshift_in, dwkv_in;    // null = not wanted
  Tensor resets;                // as in forward
};

// What a mix's forward had, as far as it is formed again in backward.
inline MixForward formed_again(const MixBackward& a) {
  MixForward f{};
  f.B = a.B;
  f.T = a.T;
  f.x = a.x;
  f.shared = a.shared;
  f.shift_in = a.shift_in;
  f.resets = a.resets;
  return f;
}

}  // namespace rk
