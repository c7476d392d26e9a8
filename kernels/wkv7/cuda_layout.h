// What the GPU's chunked WKV-7 keeps in memory, for head size 64 and chunks of 32 tokens. A head's sequence [T,N] is cut into chunks; chunk
// number c of head bh has index bh * n_chunks + c. With S before the chunk, its outputs and the state after it are
//   Y = Q S^T + Y0,   S' = S diag(decay) + S E + D.
// Tiles of 16-bit numbers have 64 columns and lie in blocks of 8 x 8, each 64 consecutive numbers: what ldmatrix reads without bank
// conflicts and what a warp's accumulators write in whole lines. Every tile, or 16-row slab of it, has a power of two: value = number *
// scale.
#pragma once
#include <cstdint>

namespace rk::cuda::wkv7 {

inline constexpr int kTokens = 32;              // of a chunk
inline constexpr int kHead = 64;                // channels of a head
inline constexpr int kThreads = 128;            // of a block that works on one chunk
inline constexpr int kSquare = kHead * kHead;   // numbers of E, D, S, G
inline constexpr int kStrip = kTokens * kHead;  // numbers of Q, Y0

// Place of (row, column) in a tile in memory.
constexpr int blocked(int row, int column) { return (row / 8 * (kHead / 8) + column / 8) * 64 + row % 8 * 8 + column % 8; }

// Scales of a chunk's maps, floats: E has one, the others one for every slab of 16 rows.
inline constexpr int kScales = 16;
inline constexpr int kScaleE = 0, kScaleQ = 1, kScaleY0 = 3, kScaleD = 5;

constexpr int64_t n_chunks(int64_t T) { return (T + kTokens - 1) / kTokens; }

// Saved states: for `chunks` chunks S before each as tiles [64,64] with one float of scale per row; in 16-bit numbers.
constexpr int64_t saved_numbers(int64_t chunks) { return chunks * (kSquare + 2 * kHead); }

}  // namespace rk::cuda::wkv7
