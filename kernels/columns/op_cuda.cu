// Words of 16 bytes where blocks of columns are cut into them, otherwise of one element. Everything is read and written once.
#include "kernels/columns/op.h"
#include "kernels/common/flat.cuh"

namespace rk::cuda {
namespace {

// Index i is a word of the parts, in their order.
template <class Word, bool JOIN>
struct Move {
  Word *parts, *whole;
  int64_t n, rows, words;  // words of a block of columns in a row
  using Loaded = Word;
  __device__ int64_t in_whole(int64_t i) const {
    const int64_t row_of_part = i / words, part = row_of_part / rows;
    return ((row_of_part - part * rows) * n + part) * words + (i - row_of_part * words);
  }
  __device__ Loaded load(int64_t i) const { return JOIN ? parts[i] : whole[in_whole(i)]; }
  __device__ void store(int64_t i, const Loaded& in) const { (JOIN ? whole[in_whole(i)] : parts[i]) = in; }
};

template <class Word, bool JOIN>
void move(const Exec& ex, const Tensor& parts, const Tensor& whole) {
  const auto words = static_cast<int64_t>(static_cast<size_t>(parts.shape[2]) * size_of(parts.dtype) / sizeof(Word));
  const Move<Word, JOIN> op{static_cast<Word*>(parts.data), static_cast<Word*>(whole.data), parts.shape[0], parts.shape[1], words};
  for_each_index(ex, parts.shape[0] * parts.shape[1] * words, op);
}

template <bool JOIN>
void run(const Exec& ex, const Tensor& parts, const Tensor& whole) {
  const size_t element = size_of(parts.dtype), block = static_cast<size_t>(parts.shape[2]) * element;
  if (block % 16 == 0 && aligned(parts.data, 16) && aligned(whole.data, 16)) return move<uint4, JOIN>(ex, parts, whole);
  switch (element) {
    case 8: return move<uint64_t, JOIN>(ex, parts, whole);
    case 4: return move<uint32_t, JOIN>(ex, parts, whole);
    default: return move<uint16_t, JOIN>(ex, parts, whole);
  }
}

}  // namespace

void run(const Exec& ex, const SplitColumns& a) { run<false>(ex, a.parts, a.whole); }

void run(const Exec& ex, const JoinColumns& a) { run<true>(ex, a.parts, a.whole); }

}  // namespace rk::cuda
