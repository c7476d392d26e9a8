// The fused kernels: where there are some, and what they need.
#pragma once
#include "kernels/norm_mix/op.h"

namespace rk::cuda {

// What the weights of mixes weigh; those of tokens are the sum of one for all tokens and one for each.
enum class Weights { of_prev, of_self, of_token };

// Calls f.operator()<n, weights>() where a family's blocks have such mixes, otherwise nothing.
template <class F>
void with_mixes(int n, Weights weights, const F& f) {
  const auto is = [&](int mixes, Weights w) { return n == mixes && weights == w; };
  if (is(1, Weights::of_prev)) return f.template operator()<1, Weights::of_prev>();
  if (is(2, Weights::of_prev)) return f.template operator()<2, Weights::of_prev>();
  if (is(6, Weights::of_prev)) return f.template operator()<6, Weights::of_prev>();
  if (is(2, Weights::of_self)) return f.template operator()<2, Weights::of_self>();
  if (is(3, Weights::of_self)) return f.template operator()<3, Weights::of_self>();
  if (is(4, Weights::of_self)) return f.template operator()<4, Weights::of_self>();
  if (is(5, Weights::of_token)) return f.template operator()<5, Weights::of_token>();
}

// A block is as wide as a row: `threads` of them. state_out is where last rows go, not state_in's memory.
void run_fused(const Exec& ex, const NormMixForward& a, Weights weights, const Tensor& state_out, int threads);
// partial [strips, n + 2, C], edges [strips, C] (for weights of tokens only) in f32.
void run_fused(const Exec& ex, const NormMixBackward& a, Weights weights, const Tensor& partial, const Tensor& edges, int threads);
// How many strips R rows are cut into: about as many blocks as an H200 holds at once, but at least 16 rows each.
int64_t n_backward_strips(int64_t R, int threads, int n);

}  // namespace rk::cuda
