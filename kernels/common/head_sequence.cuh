// Where a head's sequence lies in [B,T,H,N], for recurrences that go through it in chunks of tokens.
#pragma once
#include <cstdint>

#include "kernels/common/launch.cuh"

namespace rk::cuda {

template <int CHUNK>
struct HeadSequence {
  int64_t T;
  int H, N;
  explicit HeadSequence(const Shape& s) : T(s[1]), H(static_cast<int>(s[2])), N(static_cast<int>(s[3])) {}
  __host__ __device__ int n_chunks() const { return static_cast<int>((T + CHUNK - 1) / CHUNK); }
  __host__ __device__ int64_t stride() const { return static_cast<int64_t>(H) * N; }
  __host__ __device__ int64_t first(int64_t head, int chunk) const { return token(head, chunk, 0) * stride() + head % H * N; }
  // Place of a chunk's token in [B,T].
  __host__ __device__ int64_t token(int64_t head, int chunk, int t) const { return head / H * T + static_cast<int64_t>(chunk) * CHUNK + t; }
  __host__ __device__ int tokens(int chunk) const {
    const int64_t rest = T - static_cast<int64_t>(chunk) * CHUNK;
    return rest < CHUNK ? static_cast<int>(rest) : CHUNK;
  }
};

}  // namespace rk::cuda
