#include "kernels/common/cpu_parallel.h"
#include "kernels/dropout/rule.h"

namespace rk::cpu {
namespace {

constexpr int64_t kFours = 16;  // Philox blocks side by side, for vectors of words

template <class T>
struct Rows {
  using A = acc_t<T>;
  DropoutRule rule;
  int64_t C;

  void operator()(int64_t number, const T* x, T* y) const {
    const DropoutRule local = rule;  // writing y does not change it
    for (int64_t four = 0; four * kDropoutColumns < C; four += kFours) {
      uint32_t word[kDropoutColumns * kFours];
      some_words(number, four, word);
      const int64_t begin = four * kDropoutColumns, n = std::min(C - begin, kDropoutColumns * kFours);
      A factor[kDropoutColumns * kFours];
      for (int64_t j = 0; j < kDropoutColumns * kFours; ++j) factor[j] = local.factor<A>(word[j]);
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) put(y, begin + j, get(x, begin + j) * factor[j]);
    }
  }

 private:
  void some_words(int64_t number, int64_t first, uint32_t* word) const {
#pragma omp simd
    for (int64_t i = 0; i < kFours; ++i) {
      uint32_t w[kDropoutColumns];
      rule.words(number, first + i, w);
      for (int j = 0; j < kDropoutColumns; ++j) word[i * kDropoutColumns + j] = w[j];
    }
  }
};

}  // namespace

void run(const Exec& ex, const Dropout& a) {
  const int64_t T = a.x.shape[1], C = a.x.shape[2];
  with_stored_dtype(a.x.dtype, [&]<class N>() {
    const Rows<N> rows{DropoutRule(a), C};
    const N* x = a.x.as<N>();
    N* y = a.y.as<N>();
    for_rows(ex, a.x.shape[0] * T, 4 * C, [&](int64_t row) {
      const int64_t number = (a.first_row + row / T) * a.row_tokens + a.first_token + row % T;
      rows(number, x + row * C, y + row * C);
    });
  });
}

}  // namespace rk::cpu
