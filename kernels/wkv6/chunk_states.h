// The states between chunks: what every chunk adds, for all chunks at once, then a scan over chunks.
#pragma once
#include "kernels/wkv6/chunked_cuda.h"

namespace rk::cuda::wkv6 {

// states [B H][n_chunks + 1] pairs of tiles: S before every chunk, and after the last. From k, v, w.
struct ForwardStates {
  Tensor k, v, w, resets, state_in, state_out, states;
};
// The same of G, the gradient of S, after every chunk (states[c + 1] belongs to chunk c, states[0] to the start). From r, dy, w.
struct BackwardStates {
  Tensor r, dy, w, resets, dstate_out, dstate_in, states;
};
void make_states(const Exec& ex, const ForwardStates& a);
void make_states(const Exec& ex, const BackwardStates& a);

}  // namespace rk::cuda::wkv6
