// The emulator itself: what kernels rely on, and that misuse is told and not survived.
#include <gtest/gtest.h>

#include <vector>

#include "kernels/common/mma.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"

namespace rk::cuda {
namespace {

void start(const Launch& l, const std::function<void()>& kernel) { emulator::run(l.grid, l.block, l.shared, kernel); }

std::string failure_of(const Launch& l, const std::function<void()>& kernel) {
  try {
    start(l, kernel);
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

unsigned flat_thread() { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }

TEST(Emulator, EveryThreadOfEveryBlockRunsOnce) {
  for (auto order : {emulator::Order::forward, emulator::Order::backward}) {
    emulator::set_order(order);
    std::vector<int> seen(2 * 3 * 5 * 7 * 4 * 2);
    start({.grid = {2, 3, 5}, .block = {7, 4, 2}}, [&] {
      const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
      ++seen[block * 56 + flat_thread()];
    });
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  }
  emulator::set_order(emulator::Order::forward);
}

TEST(Emulator, BarriersAndShufflesMeet) {
  for (auto order : {emulator::Order::forward, emulator::Order::backward}) {
    emulator::set_order(order);
    std::vector<float> sums(96);
    start({.grid = 3, .block = 96}, [&] {
      for (int round = 0; round < 3; ++round) {
        float x[2] = {static_cast<float>(threadIdx.x), 1};
        block_sum<96>(x);
        if (x[1] == 96) sums[threadIdx.x] = x[0];
      }
    });
    EXPECT_EQ(sums, std::vector<float>(96, 96 * 95 / 2));
  }
  emulator::set_order(emulator::Order::forward);
}

// Which is why tests run kernels in both orders.
TEST(Emulator, AMissingBarrierShows) {
  std::vector<float> seen[2];
  for (auto order : {emulator::Order::forward, emulator::Order::backward}) {
    emulator::set_order(order);
    std::vector<float>& mine = seen[order == emulator::Order::backward];
    mine.resize(64);
    start({.grid = 1, .block = 64, .shared = 64 * sizeof(float)}, [&] {
      float* s = shared_memory<float>();
      s[threadIdx.x] = 1;
      mine[threadIdx.x] = s[63 - threadIdx.x];
    });
  }
  emulator::set_order(emulator::Order::forward);
  EXPECT_TRUE(std::isnan(seen[0][0]) && seen[0][63] == 1);
  EXPECT_TRUE(std::isnan(seen[1][63]) && seen[1][0] == 1);
}

TEST(Emulator, ShufflesKeepToTheirSegments) {
  std::vector<int> up(32), down(32), flip(32), broadcast(32);
  start({.grid = 1, .block = 32}, [&] {
    const int lane = static_cast<int>(threadIdx.x);
    up[threadIdx.x] = __shfl_up_sync(~0u, lane, 3, 8);
    down[threadIdx.x] = __shfl_down_sync(~0u, lane, 3, 8);
    flip[threadIdx.x] = __shfl_xor_sync(~0u, lane, 5);
    broadcast[threadIdx.x] = __shfl_sync(~0u, lane, 10, 8);
  });
  for (int l = 0; l < 32; ++l) {
    const auto i = static_cast<size_t>(l);
    EXPECT_EQ(up[i], l % 8 < 3 ? l : l - 3);
    EXPECT_EQ(down[i], l % 8 > 4 ? l : l + 3);
    EXPECT_EQ(flip[i], l ^ 5);
    EXPECT_EQ(broadcast[i], l / 8 * 8 + 2);
  }
}

TEST(Emulator, HalfAWarpMayMeetAlone) {
  std::vector<unsigned> votes(32);
  std::vector<int> least(32);
  start({.grid = 1, .block = 32}, [&] {
    const unsigned mask = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
    votes[threadIdx.x] = __ballot_sync(mask, threadIdx.x % 2);
    least[threadIdx.x] = __reduce_min_sync(mask, static_cast<int>(threadIdx.x) - 20);
  });
  EXPECT_EQ(votes[3], 0xaaaau);
  EXPECT_EQ(votes[20], 0xaaaa0000u);
  EXPECT_EQ(least[3], -20);
  EXPECT_EQ(least[20], -4);
}

TEST(Emulator, ThreadsThatEndedHoldNobodyUp) {
  int passed = 0;
  start({.grid = 1, .block = 64}, [&] {
    if (threadIdx.x % 2) return;
    __syncthreads();
    __syncwarp();
    ++passed;
  });
  EXPECT_EQ(passed, 32);
}

TEST(Emulator, NamedBarriersCountTheirWarps) {
  std::vector<int> order;
  start({.grid = 1, .block = 128}, [&] {
    if (threadIdx.x < 64) {
      if (threadIdx.x == 0) order.push_back(1);
      named_barrier(1, 64);
    } else {
      named_barrier(2, 64);
      if (threadIdx.x == 64) order.push_back(2);
    }
    __syncthreads();
    if (threadIdx.x == 127) order.push_back(3);
  });
  EXPECT_EQ(order.size(), 3u);
  EXPECT_EQ(order.back(), 3);
}

TEST(Emulator, MisuseIsTold) {
  EXPECT_NE(failure_of({.grid = 1, .block = 64},
                       [] {
                         if (threadIdx.x < 32) __syncthreads();
                         if (threadIdx.x == 32) __shfl_sync(~0u, 1, 0);
                         if (threadIdx.x == 33) __syncthreads();
                       })
                .find("wait for each other for ever"),
            std::string::npos);
  EXPECT_NE(failure_of({.grid = 1, .block = 1}, [] { __trap(); }).find("__trap"), std::string::npos);
  EXPECT_NE(failure_of({.grid = 1, .block = 32, .shared = 64}, [] { shared_memory<float>()[threadIdx.x] = 1; }).find("behind its end"),
            std::string::npos);
  EXPECT_NE(failure_of({.grid = 1, .block = 2048}, [] {}).find("no GPU starts"), std::string::npos);
  EXPECT_NE(failure_of({.grid = 1, .block = 32}, [] { named_barrier(1, 40); }).find("whole warps"), std::string::npos);
  EXPECT_EQ(failure_of({.grid = 1, .block = 32}, [] { __syncthreads(); }), "");
}

TEST(Emulator, SharedMemoryBeginsAsNan) {
  int bad = 0;
  start({.grid = 4, .block = 64, .shared = 64 * sizeof(float)}, [&] {
    if (!std::isnan(shared_memory<float>()[threadIdx.x])) ++bad;
    shared_memory<float>()[threadIdx.x] = 1;
  });
  EXPECT_EQ(bad, 0);
}

TEST(Emulator, AsynchronousCopiesAreDoneWhenWaitedFor) {
  alignas(16) static float from[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<float> early, first, all;
  start({.grid = 1, .block = 1, .shared = 48}, [&] {
    float* s = shared_memory<float>();
    copy_async_16(s, from, true);
    copy_async_commit();
    copy_async_16(s + 4, from + 4, true);
    copy_async_16(s + 8, from, false);
    copy_async_commit();
    early.assign(s, s + 12);
    copy_async_wait<1>();
    first.assign(s, s + 12);
    copy_async_wait<0>();
    all.assign(s, s + 12);
  });
  EXPECT_TRUE(std::isnan(early[0]));
  EXPECT_EQ(first[3], 4);
  EXPECT_TRUE(std::isnan(first[4]) && std::isnan(first[8]));
  EXPECT_EQ(all, (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0}));
}

// One warp multiplies A [16,16] by B [16,8] out of shared memory, both factors through matrix loads.
template <class T>
void expect_product() {
  std::vector<float> a(256), b(128), d(128);
  for (size_t i = 0; i < 256; ++i) a[i] = static_cast<float>(static_cast<int>(i * 7 % 31) - 15);
  for (size_t i = 0; i < 128; ++i) b[i] = static_cast<float>(static_cast<int>(i * 5 % 23) - 11);
  start({.grid = 1, .block = 32, .shared = 2 * (256 + 128 + 128)}, [&] {
    T *A = shared_memory<T>(), *B = A + 256;
    const unsigned lane = threadIdx.x;
    for (unsigned i = lane; i < 256; i += 32) A[i] = from_float<T>(a[i]);
    for (unsigned i = lane; i < 128; i += 32) B[i] = from_float<T>(b[i]);
    __syncwarp();
    uint32_t fa[4], fb[4];
    load_matrices(fa, A + lane % 16 * 16 + lane / 16 * 8);
    load_matrices_transposed(fb, B + lane % 16 * 8);
    float sum[4] = {1, 1, 1, 1};
    mma(sum, fa, {fb[0], fb[1]}, static_cast<const T*>(nullptr));
    for (unsigned i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sum[i];
  });
  for (size_t i = 0; i < 16; ++i) {
    for (size_t j = 0; j < 8; ++j) {
      float expected = 1;
      for (size_t k = 0; k < 16; ++k) expected += a[i * 16 + k] * b[k * 8 + j];
      EXPECT_EQ(d[i * 8 + j], expected) << i << " " << j;
    }
  }
}

TEST(Emulator, TensorCoreProducts) {
  expect_product<__half>();
  expect_product<__nv_bfloat16>();
}

}  // namespace
}  // namespace rk::cuda
