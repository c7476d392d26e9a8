// A hash of numbers that neither the order of the visits nor who holds which of them changes: a sum of one mixed word per element.
//   out [1] i64 += sum over i of word(key, first + i, bits of x[i])  (mod 2^64)
// word(key, index, bits) = mix(mix(key + index * odd) xor bits), mix being the finaliser of SplitMix64.
// x: f32 or f64, flat; f32's bits are those of the float, not of its value as a double. first: the place of x[0] in its tensor. out lies on
// the device of x.
#pragma once
#include "device/exec.h"

namespace rk {

struct StateHash {
  Tensor x, out;
  uint64_t key = 0;
  int64_t first = 0;
};
void run(const Exec& ex, const StateHash& a);

}  // namespace rk
