#include <cstring>

#include "kernels/columns/op.h"
#include "kernels/common/cpu_parallel.h"

namespace rk::cpu {
namespace {

// move(piece of a part, piece of the whole, bytes) for every row of every part.
template <class Move>
void for_pieces(const Exec& ex, const Tensor& parts, const Tensor& whole, const Move& move) {
  const int64_t n = parts.shape[0], R = parts.shape[1], M = parts.shape[2];
  const size_t n_bytes = static_cast<size_t>(M) * size_of(parts.dtype);
  auto *part = static_cast<std::byte*>(parts.data), *all = static_cast<std::byte*>(whole.data);
  for_rows(ex, R, n * M, [&](int64_t row) {
    for (int64_t p = 0; p < n; ++p) {
      move(part + static_cast<size_t>(p * R + row) * n_bytes, all + static_cast<size_t>(row * n + p) * n_bytes, n_bytes);
    }
  });
}

}  // namespace

void run(const Exec& ex, const SplitColumns& a) {
  for_pieces(ex, a.parts, a.whole, [](std::byte* part, const std::byte* whole, size_t n_bytes) { std::memcpy(part, whole, n_bytes); });
}

void run(const Exec& ex, const JoinColumns& a) {
  for_pieces(ex, a.parts, a.whole, [](const std::byte* part, std::byte* whole, size_t n_bytes) { std::memcpy(whole, part, n_bytes); });
}

}  // namespace rk::cpu
