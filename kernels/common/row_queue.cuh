// Rows that a warp of head_rows.cuh will need, on their way into shared memory while it computes: so many loads are under way although
// sums of parameter gradients fill the registers.
#pragma once
#include "kernels/common/head_rows.cuh"
#include "kernels/common/mma.cuh"

namespace rk::cuda {

// ROWS rows, SLOTS times 16 bytes of each for every thread, in the block's dynamic shared memory. A thread takes only what it asked for
// itself, so nobody waits for others.
template <int SLOTS, int ROWS>
class RowQueue {
 public:
  static constexpr size_t kBytes = size_t{16} * SLOTS * ROWS * kHeadThreads;

  __device__ RowQueue() : mine_(shared_memory<uint4>() + threadIdx.x) {}

  // For every row of the place: ask(row) some rows ahead, then work(row).
  template <class Place, class Ask, class Work>
  __device__ void each(const Place& place, const Ask& ask, const Work& work) {
    const int last = place.last_row();
    int asked = place.first_row();
    const auto ask_next = [&] {
      if (asked < last) ask(asked);
      copy_async_commit();
      asked += kHeadWarps;
      to_ = to_ + 1 == ROWS ? 0 : to_ + 1;
    };
    for (int i = 0; i < ROWS - 1; ++i) ask_next();
    for (int row = place.first_row(); row < last; row += kHeadWarps) {
      ask_next();
      copy_async_wait<ROWS - 1>();
      work(row);
      from_ = from_ + 1 == ROWS ? 0 : from_ + 1;
    }
  }

  // Inside ask: this thread's eight channels from p on go to `slot` (f32: and the next one).
  template <class T>
  __device__ void fetch(int slot, const T* p) const {
#pragma unroll
    for (int i = 0; i < kLaneParts<T>; ++i) copy_async_16(mine_ + ((to_ * SLOTS + slot) + i) * kHeadThreads, p + i * kWide<T>, true);
  }
  // Inside work.
  template <class T>
  __device__ Lane<T> take(int slot) const {
    return Lane<T>(mine_ + (from_ * SLOTS + slot) * kHeadThreads, kHeadThreads);
  }

 private:
  uint4* mine_;
  int to_ = 0, from_ = 0;
};

}  // namespace rk::cuda
