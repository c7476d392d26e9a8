// The chunk maps E, D, Q, Y0 of cuda_layout.h, made for all chunks at once: forward makes all four, backward E and Q again.
#pragma once
#include "kernels/common/resets.h"
#include "kernels/wkv7/chunk.cuh"

namespace rk::cuda::wkv7 {

// Sequences of the six inputs, of one type.
struct ChunkInputs {
  Tensor r, w, k, v, a, b;  // k, v only for D and Y0
  Tensor resets;            // null: none
};
// Scratch for the maps of `chunks` chunks; D and Y0 only with `outputs`.
Maps take_maps(Arena& arena, int64_t chunks, bool outputs);
// Makes what `maps` has places for.
void make_maps(const Exec& ex, const ChunkInputs& in, const Maps& maps);
// The number of chunks of all heads of sequences [B,T,H,64].
inline int64_t count_chunks(const Shape& s) { return s[0] * s[2] * n_chunks(s[1]); }
inline Sequences sequences(const Shape& s, const Tensor& resets) {
  return {s[1], static_cast<int>(s[2]), static_cast<int>(n_chunks(s[1])), reset_flags(resets)};
}

}  // namespace rk::cuda::wkv7
