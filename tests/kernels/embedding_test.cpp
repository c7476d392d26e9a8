#include "kernels/embedding/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

std::vector<double> ids(int64_t R, int64_t V) {
  const Random random(3, 1);
  std::vector<double> x(static_cast<size_t>(R));
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::floor(random.uniform(i) * static_cast<double>(V));
  return x;
}

OpCase forward_case(int64_t R, int64_t V, int64_t C) {
  OpCase c;
  c.in("ids", {R}, Held::i32, ids(R, V)).in("table", {V, C}).out("x", {R, C});
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, EmbeddingForward{.ids = t("ids"), .table = t("table"), .x = t("x")}); };
  return c;
}

OpCase backward_case(int64_t R, int64_t V, int64_t C) {
  OpCase c;
  c.in("ids", {R}, Held::i32, ids(R, V)).in("dx", {R, C}).inout("dtable", {V, C}, Held::sum);
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, EmbeddingBackward{.ids = t("ids"), .dx = t("dx"), .dtable = t("dtable")}); };
  return c;
}

TEST(Embedding, GradientsAreFiniteDifferences) {
  for (auto [R, V, C] : {std::array<int64_t, 3>{1, 1, 1}, {7, 3, 65}, {65, 100, 8}}) {
    expect_gradients(
        {.forward = forward_case(R, V, C), .backward = backward_case(R, V, C), .seeds = {{"x", "dx"}}, .gradients = {{"table", "dtable"}}});
  }
}

TEST(Embedding, OtherTypesAndThreads) {
  expect_close_to_double(forward_case(65, 17, 7), 0, 0);
  expect_close_to_double(backward_case(65, 17, 7), 1e-6, 1e-6);
  expect_same_bits_for_threads(forward_case(400, 50, 130));
  expect_same_bits_for_threads(backward_case(400, 50, 130));
}

// Tokens that fill many tiles of the sorted order, begin in the middle of one, or end with one; tables of one, two and three bytes of ids.
TEST(Embedding, FrequentTokens) {
  for (auto [R, V, C] : {std::array<int64_t, 3>{1500, 40, 12}, {700, 300, 7}, {64, 1, 8}, {1, 70000, 4}, {2000, 70000, 4}}) {
    OpCase c = backward_case(R, V, C);
    std::vector<double>& id = c.slot("ids").values;
    for (int64_t r = 0; r < R; ++r) {
      if (r % 3 == 0 && V > 20) id[static_cast<size_t>(r)] = 17;
      if (r % 7 == 0) id[static_cast<size_t>(r)] = static_cast<double>(V - 1);
    }
    expect_close_to_double(c, 1e-6, 1e-6);
  }
}

TEST(Embedding, RefusesIdsOutsideTheTable) {
  for (double bad : {-1.0, 5.0}) {
    OpCase forward = forward_case(3, 5, 4), backward = backward_case(3, 5, 4);
    forward.slot("ids").values[1] = bad;
    backward.slot("ids").values[1] = bad;
    EXPECT_THROW(run_case(forward, DType::f32), Error);
    EXPECT_THROW(run_case(backward, DType::f32), Error);
  }
}

}  // namespace
}  // namespace rk::test
