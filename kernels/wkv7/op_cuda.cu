#include "kernels/wkv7/chunked_cuda.h"
#include "kernels/wkv7/plain_cuda.h"

namespace rk::cuda {

void run(const Exec& ex, const Wkv7Forward& a) {
  if (wkv7::works_in_chunks(ex, a.r.dtype, a.r.shape[3])) return wkv7::run_chunked(ex, a);
  wkv7::run_plain(ex, a);
}
void run(const Exec& ex, const Wkv7Backward& a) {
  if (wkv7::works_in_chunks(ex, a.r.dtype, a.r.shape[3])) return wkv7::run_chunked(ex, a);
  wkv7::run_plain(ex, a);
}

}  // namespace rk::cuda
