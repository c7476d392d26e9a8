#include "device/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "device/gpu.h"

namespace rk {
namespace {

void expect_zeros_and_a_place(const Buffer& b, size_t n_bytes) {
  EXPECT_EQ(b.size(), n_bytes);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data()) % 64, 0u);
  EXPECT_TRUE(std::all_of(b.data(), b.data() + n_bytes, [](std::byte x) { return x == std::byte{0}; }));
  std::fill_n(b.data(), n_bytes, std::byte{1});
}

TEST(Buffer, BeginsWithZeros) {
  expect_zeros_and_a_place(Buffer(Device::cpu, 1001), 1001);
  EXPECT_EQ(Buffer(Device::cpu, 0).data(), nullptr);
}

// Large ones are made in another way.
TEST(Buffer, PinnedMemoryOfAnySize) {
  if (n_gpus() == 0) GTEST_SKIP() << "without a GPU no memory is pinned";
  for (size_t n_bytes : {size_t{1001}, (size_t{64} << 20) - 1, size_t{64} << 20, (size_t{67} << 20) + 3}) {
    Buffer b(Device::pinned, n_bytes);
    expect_zeros_and_a_place(b, n_bytes);
    const Buffer moved = std::move(b);
    EXPECT_EQ(moved.size(), n_bytes);
    EXPECT_EQ(moved.tensor(DType::u8, {3}).device, Device::pinned);
  }
}

}  // namespace
}  // namespace rk
