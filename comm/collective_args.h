// What every backend checks of a collective's tensors.
#pragma once
#include "comm/comm.h"

namespace rk {

inline void check_reduce_scatter(const Tensor& in, const Tensor& out, int size) {
  require(in.dtype == out.dtype, "reduce_scatter keeps the dtype");
  require(in.numel() == out.numel() * size, "reduce_scatter takes size * n elements and gives n");
}

inline void check_all_gather(const Tensor& in, const Tensor& out, int size) {
  require(in.dtype == out.dtype, "all_gather keeps the dtype");
  require(out.numel() == in.numel() * size, "all_gather takes n elements and gives size * n");
}

inline void check_all_to_all(const Tensor& in, const Tensor& out, int size) {
  require(in.dtype == out.dtype, "all_to_all keeps the dtype");
  require(in.numel() == out.numel() && in.numel() % size == 0, "all_to_all takes and gives size * n elements");
}

// Bytes of slice `index` of a tensor cut into slices of slice_bytes.
inline std::byte* slice_at(const Tensor& t, int index, size_t slice_bytes) {
  return static_cast<std::byte*>(t.data) + static_cast<size_t>(index) * slice_bytes;
}

}  // namespace rk
