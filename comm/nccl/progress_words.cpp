// Numbers that the GPU's front end writes for the host: no kernel, which would wait for a free multiprocessor.
#ifdef ROOKERY_NCCL
#include "comm/nccl/driver.h"
#include "comm/nccl/progress.h"

namespace rk {

void queue_number(CUstream_st* stream, uint64_t* word, uint64_t number) {
  static const auto write = driver_function<CUresult (*)(CUstream, CUdeviceptr, cuuint64_t, unsigned)>("cuStreamWriteValue64");
  require(write != nullptr, "drivers of CUDA 12 and later write values on streams");
  check_driver(write(stream, reinterpret_cast<CUdeviceptr>(word), number, CU_STREAM_WRITE_VALUE_DEFAULT));
}

}  // namespace rk
#endif
