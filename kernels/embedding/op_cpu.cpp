#include "kernels/embedding/op.h"

#include <cstring>

#include "kernels/common/cpu_parallel.h"

namespace rk::cpu {
namespace {

// Where row `id` of the table begins.
int64_t row_of(int32_t id, const Tensor& table) {
  require(id >= 0 && id < table.shape[0], "a token id lies inside the vocabulary");
  return id * table.shape[1];
}

template <class T>
void backward(const Exec& ex, const EmbeddingBackward& a) {
  const int64_t R = a.ids.numel(), C = a.dtable.shape[1];
  const int32_t* ids = a.ids.as<int32_t>();
  const T* dx = a.dx.as<T>();
  acc_t<T>* dtable = a.dtable.as<acc_t<T>>();
  // Each thread owns columns, so that rows are added in order whatever the ids are.
  constexpr int64_t block = 64;
  parallel_for(ex, (C + block - 1) / block, std::max<int64_t>(1, kSmallWork / (block * R)), [&](int64_t first, int64_t last) {
    const int64_t begin = first * block, end = std::min(C, last * block);
    for (int64_t r = 0; r < R; ++r) {
      acc_t<T>* to = dtable + row_of(ids[r], a.dtable);
      const T* from = dx + r * C;
#pragma omp simd
      for (int64_t j = begin; j < end; ++j) to[j] += get(from, j);
    }
  });
}

}  // namespace

void run(const Exec& ex, const EmbeddingForward& a) {
  const int32_t* ids = a.ids.as<int32_t>();
  const size_t element = size_of(a.table.dtype), row_bytes = static_cast<size_t>(a.table.shape[1]) * element;
  const auto* table = static_cast<const std::byte*>(a.table.data);
  auto* x = static_cast<std::byte*>(a.x.data);
  for_rows(ex, a.ids.numel(), a.table.shape[1], [&](int64_t r) {
    std::memcpy(x + static_cast<size_t>(r) * row_bytes, table + static_cast<size_t>(row_of(ids[r], a.table)) * element, row_bytes);
  });
}

void run(const Exec& ex, const EmbeddingBackward& a) {
  with_dtype(a.dx.dtype, [&]<class T>() { backward<T>(ex, a); });
}

}  // namespace rk::cpu
