// Where a writer stands in the list of tensors that it was promised.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/tensor_file.h"

namespace rk {

inline uint64_t bytes_of(const TensorInfo& t) { return static_cast<uint64_t>(t.numel()) * size_of(t.dtype); }

// Cuts the bytes a caller hands over at tensor borders. Empty tensors are passed over by themselves.
class TensorStream {
 public:
  // Called with (tensor, offset inside it in bytes, bytes).
  using Sink = std::function<void(size_t tensor, uint64_t offset, const std::byte* data, size_t n_bytes)>;

  explicit TensorStream(std::vector<TensorInfo> infos) : infos_(std::move(infos)) { pass_empty(); }

  void write(const void* data, size_t n_bytes, const Sink& sink) {
    const auto* p = static_cast<const std::byte*>(data);
    while (n_bytes > 0) {
      require(current_ < infos_.size(), "a tensor file gets no more bytes than its tensors hold");
      const uint64_t left = bytes_of(infos_[current_]) - written_;
      const size_t n = n_bytes < left ? n_bytes : static_cast<size_t>(left);
      sink(current_, written_, p, n);
      p += n;
      n_bytes -= n;
      written_ += n;
      pass_empty();
    }
  }
  void require_complete() const { require(current_ == infos_.size(), "a tensor file is finished when all tensors are written"); }
  const std::vector<TensorInfo>& infos() const { return infos_; }

 private:
  void pass_empty() {
    while (current_ < infos_.size() && written_ == bytes_of(infos_[current_])) {
      ++current_;
      written_ = 0;
    }
  }
  std::vector<TensorInfo> infos_;
  size_t current_ = 0;
  uint64_t written_ = 0;
};

}  // namespace rk
