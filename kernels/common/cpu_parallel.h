// How CPU operators are spread over threads and element types. Work is cut into pieces that depend on sizes alone, never on the
// number of threads, so that every thread count gives the same bits.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>

#include "device/exec.h"

namespace rk::cpu {

inline int n_threads(const Exec& ex) { return ex.pool ? ex.pool->size() : 1; }

// body(begin, end) over disjoint ranges that cover [0, n), at least `grain` long each.
template <class Body>
void parallel_for(const Exec& ex, int64_t n, int64_t grain, const Body& body) {
  if (ex.pool) return ex.pool->parallel_for(n, grain, body);
  if (n > 0) body(int64_t{0}, n);
}

// body(item, slot) for every item of [0, n). Threads claim items one by one; slot < n_threads(ex) names the claiming thread's
// own part of a scratch buffer.
template <class Body>
void for_each_claimed(const Exec& ex, int64_t n, const Body& body) {
  std::atomic<int64_t> next{0};
  std::atomic<int> slots{0};
  parallel_for(ex, std::min<int64_t>(n, n_threads(ex)), 1, [&](int64_t, int64_t) {
    const int slot = slots.fetch_add(1);
    for (int64_t i = next.fetch_add(1); i < n; i = next.fetch_add(1)) body(i, slot);
  });
}

inline constexpr int64_t kSmallWork = 16384;  // elements below which a second thread does not pay

inline constexpr int64_t kFlatBlock = 4096;  // elements

// body(begin, end) over [0, n), one range of whole blocks a thread.
template <class Body>
void for_flat_ranges(const Exec& ex, int64_t n, const Body& body) {
  parallel_for(ex, (n + kFlatBlock - 1) / kFlatBlock, kSmallWork / kFlatBlock,
               [&](int64_t first, int64_t last) { body(first * kFlatBlock, std::min(n, last * kFlatBlock)); });
}

// body(begin, end) over [0, n) block by block.
template <class Body>
void for_flat(const Exec& ex, int64_t n, const Body& body) {
  for_flat_ranges(ex, n, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i += kFlatBlock) body(i, std::min(last, i + kFlatBlock));
  });
}

// body(row) for rows of C elements.
template <class Body>
void for_rows(const Exec& ex, int64_t R, int64_t C, const Body& body) {
  parallel_for(ex, R, std::max<int64_t>(1, kSmallWork / std::max<int64_t>(C, 1)), [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) body(row);
  });
}

// A cut of R rows into at most 64 blocks, for gradients of parameters: each block sums its rows, then blocks are added in order.
struct RowBlocks {
  int64_t R, rows, n;
  explicit RowBlocks(int64_t n_rows) : R(n_rows), rows(std::max<int64_t>(16, (n_rows + 63) / 64)), n((n_rows + rows - 1) / rows) {}
  int64_t first(int64_t block) const { return block * rows; }
  int64_t last(int64_t block) const { return std::min(R, (block + 1) * rows); }
};

// body(block) for every block.
template <class Body>
void for_blocks(const Exec& ex, const RowBlocks& blocks, int64_t C, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, kSmallWork / std::max<int64_t>(C * blocks.rows, 1));
  parallel_for(ex, blocks.n, grain, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) body(block);
  });
}

// total[j] += sum over blocks of partial[block * stride + j], in the order of blocks. A null total is skipped.
template <class Sum>
void add_partials(const Exec& ex, const Sum* partial, int64_t n_blocks, int64_t stride, int64_t C, const Tensor& total) {
  if (!total) return;
  Sum* out = total.as<Sum>();
  constexpr int64_t block = 64;
  parallel_for(ex, (C + block - 1) / block, std::max<int64_t>(1, kSmallWork / (block * n_blocks)), [&](int64_t first, int64_t last) {
    for (int64_t begin = first * block; begin < std::min(C, last * block); begin += block) {
      const int64_t n = std::min(block, C - begin);
      Sum sum[block] = {};
      for (int64_t i = 0; i < n_blocks; ++i) {
        for (int64_t j = 0; j < n; ++j) sum[j] += partial[i * stride + begin + j];
      }
      for (int64_t j = 0; j < n; ++j) out[begin + j] += sum[j];
    }
  });
}

// Calls f.operator()<T>() for the element type of a model: double, float or bf16.
template <class F>
void with_dtype(DType t, const F& f) {
  switch (t) {
    case DType::f64: return f.template operator()<double>();
    case DType::f32: return f.template operator()<float>();
    case DType::bf16: return f.template operator()<bf16>();
    default: broken_promise("operators compute in f64, f32 or bf16", Where::here());
  }
}

// The same, or f16: for operators that only store and read it.
template <class F>
void with_stored_dtype(DType t, const F& f) {
  if (t == DType::f16) return f.template operator()<f16>();
  with_dtype(t, f);
}

// Elements of T as numbers to compute with.
template <class T>
acc_t<T> get(const T* p, int64_t i) {
  return static_cast<acc_t<T>>(p[i]);
}
template <class T>
void put(T* p, int64_t i, acc_t<T> x) {
  p[i] = static_cast<T>(x);
}
inline float get(const f16* p, int64_t i) { return to_float(p[i]); }
inline void put(f16* p, int64_t i, float x) { p[i] = to_f16(x); }
// An optional tensor: null when absent.
template <class T>
T* maybe(const Tensor& t) {
  return t ? t.as<T>() : nullptr;
}

}  // namespace rk::cpu
