// Dropout:  y = x * keep / (1 - p),  keep = 1 with probability 1 - p, as a pure function of (seed, stream, row number, column), so that ranks,
// micro-batches, segments of time and recomputations see the same mask (base/rng.h; a Philox block of four 32-bit words serves four
// neighbouring columns). x, y [B,T,C], one dtype; y may be x. The gradient goes through the same call. The number of row (b, t) is
// (first_row + b) * row_tokens + first_token + t. 0 <= p < 1.
#pragma once
#include "device/exec.h"

namespace rk {

struct Dropout {
  Tensor x, y;
  double p = 0;
  uint64_t seed = 0, stream = 0;
  int64_t first_row = 0, first_token = 0, row_tokens = 0;
};
void run(const Exec& ex, const Dropout& a);

}  // namespace rk
