#include "kernels/state_hash/op.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

#include "kernels/state_hash/word.h"
#include "support/cpu_exec.h"
#include "support/gpu_exec.h"
#include "support/place.h"

namespace rk::test {
namespace {

uint64_t hash_on(const Exec& ex, DType dtype, std::span<const double> values, uint64_t key, int64_t first) {
  const Buffer memory(ex.device, values.size() * size_of(dtype)), result(ex.device, sizeof(int64_t));
  const Tensor x = memory.tensor(dtype, {static_cast<int64_t>(values.size())});
  const std::vector<float> narrow(values.begin(), values.end());
  const void* from = dtype == DType::f32 ? static_cast<const void*>(narrow.data()) : values.data();
  copy(ex, {const_cast<void*>(from), x.shape, dtype, Device::cpu}, x);
  int64_t sum = 5;  // it is added to
  const Tensor on_host{&sum, {1}, DType::i64, Device::cpu}, out = result.tensor(DType::i64, {1});
  copy(ex, on_host, out);
  run(ex, StateHash{.x = x, .out = out, .key = key, .first = first});
  copy(ex, out, on_host);
  return static_cast<uint64_t>(sum) - 5;
}

std::vector<double> numbers(int64_t n) {
  std::vector<double> x;
  for (int64_t i = 0; i < n; ++i) x.push_back(0.25 * static_cast<double>(i % 1001) - 17);
  return x;
}

TEST(StateHash, IsTheSumOfOneWordPerElement) {
  CpuExec cpu;
  const std::vector<double> x{1, -2};
  uint64_t expected = 0;
  for (size_t i = 0; i < 2; ++i) expected += state_word(7, 3 + static_cast<int64_t>(i), std::bit_cast<uint64_t>(x[i]));
  EXPECT_EQ(hash_on(cpu.ex(), DType::f64, x, 7, 3), expected);
  expected = 0;
  for (size_t i = 0; i < 2; ++i) expected += state_word(7, 3 + static_cast<int64_t>(i), std::bit_cast<uint32_t>(static_cast<float>(x[i])));
  EXPECT_EQ(hash_on(cpu.ex(), DType::f32, x, 7, 3), expected);
}

TEST(StateHash, DoesNotDependOnTheCut) {
  CpuExec cpu;
  for (const DType dtype : {DType::f32, DType::f64}) {
    const std::vector<double> x = numbers(70001);
    const std::span<const double> all = x;
    const uint64_t whole = hash_on(cpu.ex(), dtype, all, 11, 0);
    for (const size_t cut : {size_t{1}, size_t{4096}, size_t{65537}})
      EXPECT_EQ(hash_on(cpu.ex(), dtype, all.first(cut), 11, 0) + hash_on(cpu.ex(), dtype, all.subspan(cut), 11, static_cast<int64_t>(cut)),
                whole);
  }
}

TEST(StateHash, NoticesEveryChange) {
  CpuExec cpu;
  std::vector<double> x = numbers(1000);
  const uint64_t before = hash_on(cpu.ex(), DType::f32, x, 1, 0);
  EXPECT_NE(hash_on(cpu.ex(), DType::f32, x, 2, 0), before) << "another tensor";
  EXPECT_NE(hash_on(cpu.ex(), DType::f32, x, 1, 1), before) << "another place";
  std::swap(x[3], x[4]);
  EXPECT_NE(hash_on(cpu.ex(), DType::f32, x, 1, 0), before) << "another order of values";
  std::swap(x[3], x[4]);
  x[999] = std::nextafter(static_cast<float>(x[999]), 0.0f);
  EXPECT_NE(hash_on(cpu.ex(), DType::f32, x, 1, 0), before) << "one bit";
}

TEST(StateHash, IsTheSameOnAGpu) {
  if (!has_gpu()) return;
  CpuExec cpu;
  GpuExec gpu;
  for (const DType dtype : {DType::f32, DType::f64})
    for (const int64_t n : {1, 7, 1000, 300001})
      EXPECT_EQ(hash_on(gpu.ex(), dtype, numbers(n), 9, 5), hash_on(cpu.ex(), dtype, numbers(n), 9, 5)) << n;
}

}  // namespace
}  // namespace rk::test
