#include "device/buffer.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#ifdef ROOKERY_CUDA
#include "device/cuda_check.h"
#include "device/pinned_memory.h"
#endif

namespace rk {

static size_t alignment(Device device) { return device == Device::cuda ? 256 : 64; }
static size_t aligned(size_t n, Device device) {
  const size_t unit = alignment(device);
  return (n + unit - 1) / unit * unit;
}

static void* allocate(Device device, size_t n_bytes) {
  void* p = nullptr;
#ifdef ROOKERY_CUDA
  if (device == Device::cuda) {
    if (cudaMalloc(&p, n_bytes) != cudaSuccess) {
      cudaGetLastError();  // the refusal is told as a sentence
      return nullptr;
    }
    check(cudaMemset(p, 0, n_bytes));
    check(cudaStreamSynchronize(nullptr));  // a Gpu's stream does not wait for the default one
    return p;
  }
  if (device == Device::pinned) return allocate_pinned(n_bytes);
#endif
  require(device == Device::cpu, "buffers of this build live on the CPU");
  p = std::aligned_alloc(alignment(device), n_bytes);
  if (p) std::memset(p, 0, n_bytes);
  return p;
}

static void release(Device device, void* p, [[maybe_unused]] size_t n_bytes) {
#ifdef ROOKERY_CUDA
  if (device == Device::cuda) cudaFree(p);
  if (device == Device::pinned) release_pinned(p, n_bytes);
#endif
  if (device == Device::cpu) std::free(p);
}

Buffer::Buffer(Device device, size_t n_bytes) : n_bytes_(n_bytes), device_(device) {
  if (n_bytes == 0) return;
  data_ = static_cast<std::byte*>(allocate(device, aligned(n_bytes, device)));
  if (!data_)
    fail(cat("not enough memory for ", n_bytes >> 20, " MiB on the ", device == Device::cuda ? "GPU" : "host",
             "; use a smaller --micro_bsz or --ctx_len, --grad_cp 1, or more ranks"));
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(n_bytes_, other.n_bytes_);
  std::swap(device_, other.device_);
  return *this;
}

Buffer::~Buffer() {
  if (data_) release(device_, data_, aligned(n_bytes_, device_));
}

Tensor Buffer::tensor(DType dtype, Shape shape, size_t offset) const {
  Tensor t;
  t.shape = shape;
  t.dtype = dtype;
  t.device = device_;
  require(offset + t.n_bytes() <= n_bytes_, "a tensor lies inside its buffer");
  t.data = data_ + offset;
  return t;
}

Tensor Arena::take(DType dtype, Shape shape) {
  Tensor t;
  t.shape = shape;
  t.dtype = dtype;
  t.device = device_;
  const size_t begin = used_;
  used_ += aligned(t.n_bytes(), device_);
  peak_ = std::max(peak_, used_);
  if (!measuring_) {
    require(used_ <= buffer_.size(), "the arena is as large as the dry run said");
    t.data = buffer_.data() + begin;
  }
  return t;
}

}  // namespace rk
