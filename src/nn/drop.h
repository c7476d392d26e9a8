// Dropout of the residual stream.
#pragma once
#include "base/rng.h"
#include "kernels/dropout/op.h"
#include "nn/unit.h"

namespace rk {

// A place where a model drops numbers: its stream of random numbers.
inline uint64_t drop_stream(const std::string& unit, uint64_t place) { return stream_of(unit.c_str()) + place; }

// x [B,T,C] of the segment, in place; forward and backward alike. Nothing where the segment has no dropout.
inline void drop(const Exec& ex, const Segment& seg, uint64_t stream, const Tensor& x) {
  const DropoutRule& rule = seg.dropout;
  if (rule.p == 0) return;
  const Tensor rows = x.view({seg.B, seg.T, x.numel() / (seg.B * seg.T)});
  run(ex, Dropout{.x = rows,
                  .y = rows,
                  .p = rule.p,
                  .seed = rule.seed,
                  .stream = stream,
                  .first_row = rule.first_row,
                  .first_token = rule.first_token,
                  .row_tokens = rule.row_tokens});
}

}  // namespace rk
