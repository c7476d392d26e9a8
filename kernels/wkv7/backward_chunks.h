// WKV-7's backward for head size 64 in 16-bit types, all chunks at once but for one scan:
// chunk maps E, Q again (chunk_maps.h) -> G after every chunk, from the end -> the gradients of every chunk.
#pragma once
#include "kernels/wkv7/chunk.cuh"
#include "kernels/wkv7/op.h"

namespace rk::cuda::wkv7 {

// Takes its scratch from ex.scratch; does no more in a dry run. saved_states holds saved_numbers() of the forward's chunks.
void chunk_backward(const Exec& ex, const Wkv7Backward& a);

// Its parts. after: G after every chunk.
void reverse_scan(const Exec& ex, const Wkv7Backward& a, const Maps& maps, const States& after);
void gradients(const Exec& ex, const Wkv7Backward& a, const States& after);

}  // namespace rk::cuda::wkv7
