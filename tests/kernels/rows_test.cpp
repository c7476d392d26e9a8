#include "kernels/rows/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

OpCase sum_case(int64_t R, int64_t n) {
  OpCase c;
  c.in("x", {R, n}).inout("y", {n}, Held::sum);
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, SumRows{.x = t("x"), .y = t("y")}); };
  return c;
}

OpCase repeat_case(int64_t R, int64_t n, Held from, Held to) {
  OpCase c;
  c.in("x", {n}, from).out("y", {R, n}, to);
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, RepeatRows{.x = t("x"), .y = t("y")}); };
  return c;
}

TEST(Rows, SumsAreAddedInDouble) {
  for (const auto& [R, n] : {std::pair{1, 1}, {7, 65}, {100, 8}, {3, 1000}}) {
    OpCase c = sum_case(R, n);
    std::vector<double> sum = c.slot("y").values;
    for (size_t i = 0; i < c.slot("x").values.size(); ++i) sum[i % static_cast<size_t>(n)] += c.slot("x").values[i];
    EXPECT_LE(relative_difference(run_case(c, DType::f64).at("y"), sum), 1e-14);
  }
}

TEST(Rows, SumsOfOtherTypesAndThreads) {
  for (const auto& [R, n] : {std::pair{1, 1}, {7, 65}, {200, 12}, {3, 4096}, {65, 33}}) expect_close_to_double(sum_case(R, n));
  expect_same_bits_for_threads(sum_case(300, 65));
  expect_same_bits_for_threads(sum_case(2, 40000));
}

TEST(Rows, EveryRowIsTheRow) {
  for (Held from : {Held::model, Held::sum}) {
    for (Held to : {Held::model, Held::sum}) {
      for (const auto& [R, n] : {std::pair{1, 1}, {7, 65}, {3, 1000}}) {
        const OpCase c = repeat_case(R, n, from, to);
        expect_close_to_double(c, 0, 0);  // the numbers are those that bf16 holds
        expect_same_bits_for_threads(c);
        const Values got = run_case(c, DType::bf16);
        const std::vector<double> x = repeat_case(R, n, from, to).slot("x").values;
        for (size_t i = 0; i < got.at("y").size(); ++i) ASSERT_EQ(got.at("y")[i], x[i % x.size()]);
      }
    }
  }
}

}  // namespace
}  // namespace rk::test
