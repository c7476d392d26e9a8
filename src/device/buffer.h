// Owners of memory: Buffer (one allocation) and Arena (a bump allocator over one Buffer).
#pragma once
#include <cstddef>
#include <string>

#include "device/tensor.h"

namespace rk {

// Move-only owner of n_bytes on one device (a GPU's memory is that of the calling thread's current device), 64-byte aligned (256 on a GPU),
// zero-filled.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device device, size_t n_bytes);
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::byte* data() const { return data_; }
  size_t size() const { return n_bytes_; }
  Device device() const { return device_; }
  // A tensor over the bytes from `offset` on.
  Tensor tensor(DType dtype, Shape shape, size_t offset = 0) const;

 private:
  std::byte* data_ = nullptr;
  size_t n_bytes_ = 0;
  Device device_ = Device::cpu;
};

// Takes tensors from a buffer one after another, without gaps.
class BufferCursor {
 public:
  explicit BufferCursor(const Buffer& buffer) : buffer_(buffer) {}
  Tensor take(DType dtype, int64_t n) {
    const Tensor t = buffer_.tensor(dtype, {n}, at_);
    at_ += t.n_bytes();
    return t;
  }

 private:
  const Buffer& buffer_;
  size_t at_ = 0;
};

// Hands out aligned pieces (64 bytes, 256 on a GPU) in stack order. A measuring arena (made without a buffer) hands out null tensors and
// only counts, so that a dry run of a step yields the exact peak before anything is allocated.
class Arena {
 public:
  using Mark = size_t;

  Arena() = default;                                  // measuring
  explicit Arena(Device device) : device_(device) {}  // measuring pieces of that device
  explicit Arena(Buffer buffer) : buffer_(std::move(buffer)), device_(buffer_.device()), measuring_(false) {}

  Tensor take(DType dtype, Shape shape);
  Mark mark() const { return used_; }
  void rewind(Mark m) {
    require(m <= used_, "an arena is rewound to an earlier mark");
    used_ = m;
  }
  size_t peak() const { return peak_; }
  size_t capacity() const { return buffer_.size(); }
  bool measuring() const { return measuring_; }

 private:
  Buffer buffer_;
  Device device_ = Device::cpu;
  size_t used_ = 0, peak_ = 0;
  bool measuring_ = true;
};

// Rewinds an arena when the scope ends.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;
  ~ArenaScope() { arena_.rewind(mark_); }

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace rk
