#include "kernels/wkv6/chunked_cuda.h"
#include "kernels/wkv6/plain_cuda.h"
namespace rk::cuda::wkv6 {
void run_chunked(const Exec& ex, const Wkv6Forward& a) { run_plain(ex, a); }
void run_chunked(const Exec& ex, const Wkv6Backward& a) { run_plain(ex, a); }
}  // namespace rk::cuda::wkv6
