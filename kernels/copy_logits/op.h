// Pieces of quadratic attention without softmax, as upstream's head_qk and tiny_att have it (golden rwkv456 §8), for rows t0 .. t0+n-1 of
// one sequence of T tokens; c [n,T] holds products of queries and keys.
//   CausalScale: c[t][s] = c[t][s] * scale for s <= t0 + t, else 0, in place
//   CopyLogits:  logits[t][ids[s]] += c[t][s] for s <= t0 + t: repeated tokens add up, in the order of s
//   CopyLogitsBackward: dc[t][s] = dlogits[t][ids[s]] for s <= t0 + t, else 0
// c, dc in the model's or the accumulation dtype; logits, dlogits [n,V] likewise; ids [T] i32, each inside [0,V).
#pragma once
#include "device/exec.h"

namespace rk {

struct CausalScale {
  Tensor c;
  int64_t t0 = 0;
  double scale = 1;
};
struct CopyLogits {
  Tensor c, ids, logits;
  int64_t t0 = 0;
};
struct CopyLogitsBackward {
  Tensor dlogits, ids, dc;
  int64_t t0 = 0;
};
void run(const Exec& ex, const CausalScale& a);
void run(const Exec& ex, const CopyLogits& a);
void run(const Exec& ex, const CopyLogitsBackward& a);

}  // namespace rk
