// The parts of WKV-7's chunked backward (chunked_cuda.h): chunk maps E and Q again (chunk_maps.h), then G = dL/dS after every chunk, from
// the last to the first, then the gradients of all chunks at once.
#pragma once
#include "kernels/wkv7/chunk.cuh"
#include "kernels/wkv7/op.h"

namespace rk::cuda::wkv7 {

// after: G after every chunk. Also sets dstate_in.
void reverse_scan(const Exec& ex, const Wkv7Backward& a, const Maps& maps, const States& after);
void gradients(const Exec& ex, const Wkv7Backward& a, const States& after);

}  // namespace rk::cuda::wkv7
