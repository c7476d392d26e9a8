// The functions of the CUDA runtime and of cuBLASLt that the product calls, for the emulated GPU: everything is done on return.
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <vector>

#include "emulator/memory.h"

using rk::cuda::emulator::DeviceMemoryOpen;

namespace {

using Clock = std::chrono::steady_clock;

// Numbers of the devices that CUDA_VISIBLE_DEVICES leaves of kDevices; a list that is empty leaves all.
const std::vector<int>& devices() {
  static const std::vector<int> all = [] {
    constexpr int kDevices = 8;
    std::vector<int> visible;
    const char* list = std::getenv("CUDA_VISIBLE_DEVICES");
    for (std::istringstream in(list ? list : ""); in.good();) {
      int device = -1;
      if (in >> device && device >= 0 && device < kDevices) visible.push_back(device);
      in.ignore(1);
    }
    if (!visible.empty()) return visible;
    for (int d = 0; d < kDevices; ++d) visible.push_back(d);
    return visible;
  }();
  return all;
}

bool exists(int device) { return device >= 0 && device < static_cast<int>(devices().size()); }

thread_local int current_device = 0;

}  // namespace

struct CUstream_st {};
struct CUevent_st {
  Clock::time_point recorded;
};

extern "C" {

cudaError_t cudaGetDeviceCount(int* n) {
  *n = static_cast<int>(devices().size());
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (!exists(device)) return cudaErrorInvalidDevice;
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t e) {
  return e == cudaErrorMemoryAllocation ? "out of memory"
         : e == cudaErrorInvalidDevice  ? "invalid device ordinal"
                                        : "error of the emulated GPU";
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

// Small Hoppers. Each process has memory of its own on each of them.
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (!exists(device)) return cudaErrorInvalidDevice;
  *p = {};
  std::strcpy(p->name, "emulated GPU");
  p->pciBusID = p->uuid.bytes[15] = static_cast<char>(1 + devices()[static_cast<size_t>(device)]);
  p->major = 9;
  p->minor = 0;
  p->multiProcessorCount = 4;
  p->warpSize = 32;
  p->maxThreadsPerBlock = 1024;
  p->maxThreadsPerMultiProcessor = 2048;
  p->sharedMemPerBlock = 48 << 10;
  p->sharedMemPerBlockOptin = rk::cuda::emulator::kSharedLimit;
  p->sharedMemPerMultiprocessor = 228 << 10;
  p->totalGlobalMem = rk::cuda::emulator::kDeviceBytes;
  p->l2CacheSize = 50 << 20;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (const cudaError_t e = cudaGetDeviceProperties(&p, device); e != cudaSuccess) return e;
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(p.sharedMemPerBlockOptin); return cudaSuccess;
    default: return cudaErrorNotSupported;
  }
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = rk::cuda::emulator::kDeviceBytes;
  *free = *total - rk::cuda::emulator::device_bytes_used();
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** p, size_t n) {
  *p = rk::cuda::emulator::allocate_device(n);
  return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFree(void* p) {
  if (p) rk::cuda::emulator::release_device(p);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** p, size_t n) {
  *p = std::aligned_alloc(64, (n + 63) / 64 * 64);
  return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaHostAlloc(void** p, size_t n, unsigned) { return cudaMallocHost(p, n); }
cudaError_t cudaFreeHost(void* p) {
  std::free(p);
  return cudaSuccess;
}
cudaError_t cudaHostRegister(void*, size_t, unsigned) { return cudaSuccess; }
cudaError_t cudaHostUnregister(void*) { return cudaSuccess; }
cudaError_t cudaDeviceGetPCIBusId(char* bus, int n, int device) {
  return std::snprintf(bus, static_cast<size_t>(n), "0000:%02x:00.0", 16 + device) < n ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaMemset(void* p, int value, size_t n) {
  const DeviceMemoryOpen open;
  if (value == 0) {
    rk::cuda::emulator::zero_device(p, n);
  } else {
    std::memset(p, value, n);
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t n, cudaStream_t) { return cudaMemset(p, value, n); }
cudaError_t cudaMemcpy(void* to, const void* from, size_t n, cudaMemcpyKind) {
  const DeviceMemoryOpen open;
  std::memmove(to, from, n);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, n, kind);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) { return cudaStreamCreateWithFlags(stream, flags); }
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -1;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return cudaEventCreate(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->recorded = Clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t first, cudaEvent_t last) {
  *ms = std::chrono::duration<float, std::milli>(last->recorded - first->recorded).count();
  return cudaSuccess;
}

// Products are those of gemm.cpp; the handle is only made and given back.
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
const char* cublasLtGetStatusString(cublasStatus_t) { return "error of the emulated GPU"; }
}
