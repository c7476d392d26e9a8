#include "device/gpu.h"

#include <cstdio>
#include <cstring>

#include "device/exec.h"

#ifdef ROOKERY_CUDA
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "device/cuda_check.h"
#endif

namespace rk {

#ifdef ROOKERY_CUDA

int n_gpus() {
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;
}

std::string why_no_gpu() {
  int n = 0;
  const cudaError_t e = cudaGetDeviceCount(&n);
  if (e != cudaSuccess) {
    cudaGetLastError();  // it is told here, later calls shall not meet it again
    return cudaGetErrorString(e);
  }
  return n > 0 ? "" : "the driver shows no device";
}

Gpu::Gpu(const GpuOptions& options) : index_(options.index) {
  const std::string why = why_no_gpu();
  if (!why.empty()) fail(cat("no usable GPU: ", why, "; use --accelerator cpu"));
  if (index_ >= n_gpus()) fail(cat("GPU ", index_, " was asked for, but there are ", n_gpus(), "; ask for fewer devices"));
  check(cudaSetDevice(index_));
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, index_));
  arch_ = 10 * p.major + p.minor;
  if (arch_ < 80)
    fail(cat("GPU ", index_, " (", p.name, ") has compute capability ", p.major, ".", p.minor,
             "; 8.0 or newer is needed: use --accelerator cpu"));
  if (options.arch_limit > 0 && options.arch_limit < arch_) arch_ = options.arch_limit;
  n_sm_ = p.multiProcessorCount;
  shared_limit_ = p.sharedMemPerBlockOptin;
  name_ = p.name;
  for (const char byte : p.uuid.bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
    uuid_ += digits;
  }
  char bus[32];
  std::snprintf(bus, sizeof bus, "%04x:%02x:%02x.0", static_cast<unsigned>(p.pciDomainID), static_cast<unsigned>(p.pciBusID),
                static_cast<unsigned>(p.pciDeviceID));
  pci_bus_ = bus;
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  check(cublasLtCreate(&blas_));
}

Gpu::~Gpu() {
  remembered_.reset();
  if (blas_) cublasLtDestroy(blas_);
  if (stream_) cudaStreamDestroy(stream_);
}

size_t Gpu::total_bytes() const {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  return total;
}

size_t Gpu::free_bytes() const {
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total));
  return free;
}

void Gpu::synchronize() const { check(cudaStreamSynchronize(stream_)); }
void Gpu::make_current() const { check(cudaSetDevice(index_)); }

static cudaEvent_t as_event(void* e) { return static_cast<cudaEvent_t>(e); }

GpuStream::GpuStream(const Gpu&) {
  int least = 0, greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest));
}
GpuStream::~GpuStream() {
  if (stream_) cudaStreamDestroy(stream_);
}
void GpuStream::synchronize() const { check(cudaStreamSynchronize(stream_)); }

GpuEvent::GpuEvent(Use use) {
  cudaEvent_t e = nullptr;
  check(cudaEventCreateWithFlags(&e, use == Use::timing ? cudaEventDefault : cudaEventDisableTiming));
  event_ = e;
}
GpuEvent::~GpuEvent() { cudaEventDestroy(as_event(event_)); }
void GpuEvent::record(CUstream_st* stream) { check(cudaEventRecord(as_event(event_), stream)); }
void GpuEvent::hold(CUstream_st* stream) const { check(cudaStreamWaitEvent(stream, as_event(event_), 0)); }
void GpuEvent::wait() const { check(cudaEventSynchronize(as_event(event_))); }
bool GpuEvent::done() const {
  const cudaError_t e = cudaEventQuery(as_event(event_));
  if (e == cudaErrorNotReady) return false;
  check(e);
  return true;
}
double GpuEvent::ms_since(const GpuEvent& earlier) const {
  float ms = 0;
  check(cudaEventElapsedTime(&ms, as_event(earlier.event_), as_event(event_)));
  return static_cast<double>(ms);
}

void queue_copy(CUstream_st* stream, const Tensor& from, const Tensor& to) {
  require(from.dtype == to.dtype && from.numel() == to.numel(), "a copy keeps type and size");
  require(from.device != Device::cpu && to.device != Device::cpu, "memory that a GPU reaches by itself is pinned");
  if (from.data == to.data || from.numel() == 0) return;
  check(cudaMemcpyAsync(to.data, from.data, from.n_bytes(), cudaMemcpyDefault, stream));
}

void copy(const Exec& ex, const Tensor& from, const Tensor& to) {
  require(from.dtype == to.dtype && from.numel() == to.numel(), "a copy keeps type and size");
  if (from.data == to.data || from.numel() == 0) return;
  if (from.device != Device::cuda && to.device != Device::cuda) {
    std::memcpy(to.data, from.data, from.n_bytes());
    return;
  }
  require(ex.gpu != nullptr, "memory of a GPU is copied on its stream");
  check(cudaMemcpyAsync(to.data, from.data, from.n_bytes(), cudaMemcpyDefault, ex.gpu->stream()));
  if (from.device == Device::cpu || to.device == Device::cpu) ex.gpu->synchronize();
}

#else

int n_gpus() { return 0; }
std::string why_no_gpu() { return "this build has no CUDA"; }
Gpu::Gpu(const GpuOptions&) { fail(cat("no usable GPU: ", why_no_gpu(), "; use --accelerator cpu")); }
Gpu::~Gpu() = default;
size_t Gpu::total_bytes() const { return 0; }
size_t Gpu::free_bytes() const { return 0; }
void Gpu::synchronize() const {}
void Gpu::make_current() const {}
GpuStream::GpuStream(const Gpu&) {}
GpuStream::~GpuStream() = default;
void GpuStream::synchronize() const {}
GpuEvent::GpuEvent(Use) { fail(cat("no usable GPU: ", why_no_gpu())); }
GpuEvent::~GpuEvent() = default;
void GpuEvent::record(CUstream_st*) {}
void GpuEvent::hold(CUstream_st*) const {}
void GpuEvent::wait() const {}
bool GpuEvent::done() const { return true; }
double GpuEvent::ms_since(const GpuEvent&) const { return 0; }

void queue_copy(CUstream_st*, const Tensor&, const Tensor&) { fail(cat("no usable GPU: ", why_no_gpu())); }

void copy(const Exec&, const Tensor& from, const Tensor& to) {
  require(from.dtype == to.dtype && from.numel() == to.numel(), "a copy keeps type and size");
  if (from.data != to.data && from.numel() > 0) std::memcpy(to.data, from.data, from.n_bytes());
}

#endif

void synchronize(const Exec& ex) {
  if (ex.gpu) ex.gpu->synchronize();
}

}  // namespace rk
