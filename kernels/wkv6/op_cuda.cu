#include "kernels/wkv6/chunked_cuda.h"
#include "kernels/wkv6/plain_cuda.h"

namespace rk::cuda {

void run(const Exec& ex, const Wkv6Forward& a) {
  if (wkv6::works_in_chunks(ex, a.r.dtype, a.r.shape[3])) return wkv6::run_chunked(ex, a);
  wkv6::run_plain(ex, a);
}
void run(const Exec& ex, const Wkv6Backward& a) {
  if (wkv6::works_in_chunks(ex, a.r.dtype, a.r.shape[3])) return wkv6::run_chunked(ex, a);
  wkv6::run_plain(ex, a);
}

}  // namespace rk::cuda
