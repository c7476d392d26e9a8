#include "kernels/wkv7/chunked_backward.h"

#include "kernels/wkv7/chunk_maps.h"
#include "kernels/wkv7/chunked_cuda.h"

namespace rk::cuda::wkv7 {

void run_chunked(const Exec& ex, const Wkv7Backward& a) {
  const int64_t chunks = count_chunks(a.r.shape);
  ArenaScope scope(*ex.scratch);
  const Maps maps = take_maps(*ex.scratch, chunks, false);
  const Tensor after = ex.scratch->take(DType::f16, {saved_numbers(chunks)});
  if (ex.dry()) return;
  make_maps(ex, {.r = a.r, .w = a.w, .k = {}, .v = {}, .a = a.a, .b = a.b, .resets = a.resets}, maps);
  reverse_scan(ex, a, maps, saved_states(after.data, chunks));
  gradients(ex, a, saved_states(after.data, chunks));
}

}  // namespace rk::cuda::wkv7
