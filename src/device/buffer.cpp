#include "device/buffer.h"

#include <cstdlib>
#include <cstring>
#include <utility>

namespace rk {

static constexpr size_t kAlignment = 64;
static size_t aligned(size_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

Buffer::Buffer(Device device, size_t n_bytes) : n_bytes_(n_bytes), device_(device) {
  require(device == Device::cpu, "buffers of this build live on the CPU");
  if (n_bytes == 0) return;
  // calloc-like laziness for large blocks is not needed: every byte of a training buffer is used.
  void* p = std::aligned_alloc(kAlignment, aligned(n_bytes));
  if (!p) fail(cat("not enough memory for ", n_bytes >> 20, " MiB; use a smaller --micro_bsz or --ctx_len, --grad_cp 1, or more ranks"));
  std::memset(p, 0, aligned(n_bytes));
  data_ = static_cast<std::byte*>(p);
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(n_bytes_, other.n_bytes_);
  std::swap(device_, other.device_);
  return *this;
}

Buffer::~Buffer() { std::free(data_); }

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
  t.device = buffer_.device();
  const size_t begin = used_;
  used_ += aligned(t.n_bytes());
  peak_ = std::max(peak_, used_);
  if (!measuring_) {
    require(used_ <= buffer_.size(), "the arena is as large as the dry run said");
    t.data = buffer_.data() + begin;
  }
  return t;
}

}  // namespace rk
