#include "kernels/columns/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

OpCase split_case(int64_t n, int64_t R, int64_t M) {
  OpCase c;
  c.in("whole", {R, n * M}).out("parts", {n, R, M});
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, SplitColumns{.whole = t("whole"), .parts = t("parts")}); };
  return c;
}

OpCase join_case(int64_t n, int64_t R, int64_t M) {
  OpCase c;
  c.in("parts", {n, R, M}).out("whole", {R, n * M});
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, JoinColumns{.parts = t("parts"), .whole = t("whole")}); };
  return c;
}

// Nothing is computed: every type on every device gives the same numbers, which bf16 and f16 hold.
void expect_everywhere(const OpCase& c, const std::string& name, const std::vector<double>& expected) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    EXPECT_EQ(run_case(c, dtype).at(name), expected) << name_of(dtype);
    if (has_gpu()) {
      EXPECT_EQ(run_twice_on_gpu(c, dtype).at(name), expected) << name_of(dtype) << " on a GPU";
    }
  }
  expect_same_bits_for_threads(c);
}

TEST(Columns, BlocksOfColumnsBecomeMatricesAndComeBack) {
  for (const auto& [n, R, M] : {std::array{1, 1, 1}, {5, 7, 32}, {5, 70, 64}, {4, 65, 5}, {3, 1000, 2}, {2, 3, 513}}) {
    OpCase split = split_case(n, R, M), join = join_case(n, R, M);
    std::vector<double>& whole = split.slot("whole").values;
    for (size_t i = 0; i < whole.size(); ++i) whole[i] = static_cast<double>(i % 251);
    std::vector<double> parts(whole.size());
    size_t to = 0;
    for (int p = 0; p < n; ++p) {
      for (int r = 0; r < R; ++r) {
        for (int m = 0; m < M; ++m) parts[to++] = whole[static_cast<size_t>((r * n + p) * M + m)];
      }
    }
    join.slot("parts").values = parts;
    expect_everywhere(split, "parts", parts);
    expect_everywhere(join, "whole", whole);
  }
}

}  // namespace
}  // namespace rk::test
