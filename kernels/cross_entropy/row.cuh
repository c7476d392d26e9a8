// A row of logits on the chip.
#pragma once
#include <bit>
#include <type_traits>

#include "kernels/common/mma.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/common/tuning.cuh"

namespace rk::cuda {

inline constexpr int kRowThreads = 512;
inline constexpr int kHeldPacks = 6;  // of a row that each thread holds in registers

// The block's current row: thread t has packs t, t + kRowThreads, ...; the first ones in registers, then some in shared memory; those of a
// longer row are read again by each pass. So a row of 65536 16-bit logits is read from memory once. The last pass over a row asks for the
// next one as places become free, so that memory is never idle; rows that are not of whole 16 bytes are asked for between passes.
template <class T, int W>
class Row {
 public:
  using P = Pack<T, W>;
  // Whether the last pass asks for the next row; copies of less than 16 bytes would have to be waited for one by one.
  static constexpr bool kAhead = sizeof(P) == 16;

  __device__ Row(int64_t V, P* shared, int shared_packs)
      : shared_(shared + threadIdx.x), n_(static_cast<int>((V / W + kRowThreads - 1 - threadIdx.x) / kRowThreads)) {
    n_shared_ = max(0, min(n_ - kHeldPacks, shared_packs));
  }

  // The next row; null: none. Asked for by the last pass over this one.
  __device__ void set_next(T* z) { next_ = reinterpret_cast<P*>(z); }
  // Goes on to the next row.
  __device__ void advance() {
    if (!kAhead || !z_) ask();
    z_ = next_;
  }

  // f(pack, number) for this thread's packs in the order of numbers. FIRST: the row may still be under way; LAST: ask for the next one.
  template <bool FIRST, bool LAST, class F>
  __device__ void pass(const F& f) {
#pragma unroll
    for (int i = 0; i < kHeldPacks; ++i) {
      if constexpr (sizeof(P) == 16) forget(held_[i]);
      if (i < n_) {
        f(std::bit_cast<P>(held_[i]), i);
        if (LAST && kAhead && next_) held_[i] = bits(&next_[place(i)]);
      }
    }
    shared_part<FIRST, LAST, 0>(f);
    shared_part<FIRST, LAST, 1>(f);
    shared_part<FIRST, LAST, 2>(f);
    shared_part<FIRST, LAST, 3>(f);
#pragma unroll 1
    for (int i = kHeldPacks + n_shared_; i < n_; ++i) f(again(i), i);
  }
  __device__ void put(const P& p, int number) const { reinterpret_cast<Bits*>(z_)[place(number)] = std::bit_cast<Bits>(p); }
  // From memory.
  __device__ P again(int number) const { return std::bit_cast<P>(bits(&z_[place(number)])); }
  // First column of a pack of this thread.
  __device__ int column(int number) const { return place(number) * W; }

 private:
  using Bits = std::conditional_t<sizeof(P) == 16, uint4, P>;  // whole registers
  static constexpr int kParts = 4;                             // of the packs in shared memory: each is waited for by itself

  template <bool FIRST, bool LAST, int PART, class F>
  __device__ void shared_part(const F& f) {
    if constexpr (FIRST) copy_async_wait<LAST && kAhead ? kParts - 1 : kParts - 1 - PART>();
#pragma unroll 1
    for (int i = part(PART); i < part(PART + 1); ++i) {
      f(std::bit_cast<P>(bits(&shared_[i * kRowThreads])), kHeldPacks + i);
      if (LAST && kAhead && next_) fetch(i);
    }
    if constexpr (LAST && kAhead) copy_async_commit();
  }
  // Asks for the next row at once.
  __device__ void ask() {
#pragma unroll
    for (int i = 0; i < kHeldPacks; ++i) {
      if (i < n_) held_[i] = bits(&next_[place(i)]);
    }
    for (int q = 0; q < kParts; ++q) {
      for (int i = part(q); i < part(q + 1); ++i) fetch(i);
      copy_async_commit();
    }
  }
  __device__ void fetch(int i) const {
    P* const to = &shared_[i * kRowThreads];
    const P* const from = &next_[place(kHeldPacks + i)];
    if constexpr (sizeof(P) == 16) {
      copy_async_16(to, from, true);
    } else {
      *to = *from;
    }
  }
  __device__ int part(int q) const { return n_shared_ * q / kParts; }
  __device__ static int place(int number) { return number * kRowThreads + static_cast<int>(threadIdx.x); }
  __device__ static Bits bits(const P* p) { return *reinterpret_cast<const Bits*>(p); }

  P *z_ = nullptr, *next_ = nullptr;
  P* shared_;
  int n_, n_shared_;
  Bits held_[kHeldPacks];
};

}  // namespace rk::cuda
