#include "kernels/wkv7/plain_cuda.h"

namespace rk::cuda {

void run(const Exec& ex, const Wkv7Forward& a) { wkv7::run_plain(ex, a); }
void run(const Exec& ex, const Wkv7Backward& a) { wkv7::run_plain(ex, a); }

}  // namespace rk::cuda
