// Reads x and writes y once; a thread draws the words of its own columns.
#include "kernels/common/flat.cuh"
#include "kernels/dropout/rule.h"

namespace rk::cuda {
namespace {

// WIDE: rows are cut into whole packs.
template <class T, bool WIDE>
struct Drop {
  static constexpr int W = WIDE ? kWide<T> : kDropoutColumns;
  const T* x;
  T* y;
  DropoutRule rule;
  int64_t packs, C, length, first_row, first_token, row_tokens;
  using Loaded = Pack<T, W>;

  __device__ Loaded load(int64_t i) const {
    if constexpr (WIDE) {
      return load_pack<W>(x + i * W);
    } else {
      const int64_t row = i / packs, c = (i - row * packs) * W;
      Loaded in{};
#pragma unroll
      for (int j = 0; j < W; ++j) {
        if (c + j < C) in.x[j] = x[row * C + c + j];
      }
      return in;
    }
  }
  __device__ void store(int64_t i, const Loaded& in) const {
    const int64_t row = i / packs, c = (i - row * packs) * W, b = row / length;
    const int64_t number = (first_row + b) * row_tokens + first_token + (row - b * length);
    float out[W];
    to_floats(in, out);
#pragma unroll
    for (int first = 0; first < W; first += kDropoutColumns) {
      uint32_t words[kDropoutColumns];
      rule.words(number, (c + first) / kDropoutColumns, words);
#pragma unroll
      for (int j = 0; j < kDropoutColumns; ++j) out[first + j] *= rule.factor<float>(words[j]);
    }
    if constexpr (WIDE) {
      cuda::store(y + i * W, out);
    } else {
#pragma unroll
      for (int j = 0; j < W; ++j) {
        if (c + j < C) y[row * C + c + j] = from_float<T>(out[j]);
      }
    }
  }
};

template <class T, bool WIDE>
void drop(const Exec& ex, const Dropout& a) {
  const int64_t C = a.x.shape[2], packs = ceil_div(C, (Drop<T, WIDE>::W));
  for_each_index(ex, a.x.shape[0] * a.x.shape[1] * packs,
                 Drop<T, WIDE>{.x = a.x.as<T>(),
                               .y = a.y.as<T>(),
                               .rule = DropoutRule(a),
                               .packs = packs,
                               .C = C,
                               .length = a.x.shape[1],
                               .first_row = a.first_row,
                               .first_token = a.first_token,
                               .row_tokens = a.row_tokens});
}

}  // namespace

void run(const Exec& ex, const Dropout& a) {
  with_dtype(a.x.dtype, [&]<class T>() {
    const bool wide = a.x.shape[2] % kWide<T> == 0 && aligned(a.x.data, 16) && aligned(a.y.data, 16);
    (wide ? drop<T, true> : drop<T, false>)(ex, a);
  });
}

}  // namespace rk::cuda
