// Flat operations in host memory by each instruction set: the same bits.
#include <numeric>

#include "kernels/elementwise/op_cpu.h"
#include "support/cpu_exec.h"
#include "support/op_case.h"

namespace rk::test {
namespace {

using cpu::Isa;

OpCase add_squares_case(int64_t n, Held x = Held::sum) {
  OpCase c;
  c.on_gpu = false;
  c.in("x", {n}, x).inout("y", {n}, Held::sum).inout("out", {1}, Held::f64, {0.5});
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, AddSquares{.x = t("x"), .y = t("y"), .out = t("out")}); };
  return c;
}

OpCase apart(int64_t n, Held x = Held::sum) {
  OpCase c = add_squares_case(n, x);
  c.call = [](const Exec& ex, const Tensors& t) {
    if (t("x").shape.rank) run(ex, Add{.x = t("x"), .y = t("y")});
    if (t("out").shape.rank) run(ex, SumOfSquares{.x = t("y"), .out = t("out")});
  };
  return c;
}

TEST(AddSquares, IsAnAdditionAndASumOfSquares) {
  for (int64_t n : {1, 15, 16, 4097, 9001}) {
    for (Held x : {Held::sum, Held::model}) {
      for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
        EXPECT_EQ(run_case(add_squares_case(n, x), dtype), run_case(apart(n, x), dtype)) << n << " " << name_of(dtype);
        for (const char* absent : {"x", "out"})
          EXPECT_EQ(run_case(add_squares_case(n, x).without(absent), dtype), run_case(apart(n, x).without(absent), dtype))
              << n << " " << name_of(dtype) << " without " << absent;
      }
    }
  }
  expect_same_bits_for_threads(add_squares_case(50'001));
}

TEST(AddSquares, RefusesWhatItDoesNotAdd) {
  const CpuExec cpu(1, 1 << 10);
  const Tensor f = Guarded(DType::f32, {4}).tensor(), d = Guarded(DType::f64, {4}).tensor(), b = Guarded(DType::bf16, {4}).tensor();
  const Tensor one = Guarded(DType::f64, {1}).tensor();
  EXPECT_THROW(run(cpu.ex(), AddSquares{.x = d, .y = f}), Error);
  EXPECT_THROW(run(cpu.ex(), AddSquares{.x = b, .y = d}), Error);
  EXPECT_THROW(run(cpu.ex(), AddSquares{.x = f, .y = b}), Error);
  EXPECT_THROW(run(cpu.ex(), AddSquares{.x = f.slice(0, 3), .y = f}), Error);
  EXPECT_THROW(run(cpu.ex(), AddSquares{.y = f, .out = f.slice(0, 1)}), Error);
  Exec gpu = cpu.ex();
  gpu.device = Device::cuda;
  EXPECT_THROW(run(gpu, AddSquares{.y = f, .out = one}), Error);
}

// Floats of every size, and everything that is special.
std::vector<float> many_floats(int64_t n) {
  std::vector<float> x(static_cast<size_t>(n));
  uint32_t bits = 0;
  for (float& e : x) e = std::bit_cast<float>(bits += 0x9e3779b1u);
  const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, -NAN, 65519.9f, 65520.0f, 6.1e-5f, 2.9e-8f, 3e-8f, 3.39e38f, 1.00390625f};
  std::copy(std::begin(special), std::end(special), x.begin() + n / 3);
  return x;
}

template <class Narrow>
void expect_casts(int64_t n, const std::function<Narrow(float)>& round, const std::function<float(Narrow)>& widen) {
  constexpr int64_t offset = 5;
  const std::vector<float> x = many_floats(n);
  const DType narrow = dtype_of<Narrow>;
  for (Isa isa : cpu::kIsas) {
    if (!cpu::has(isa)) continue;
    ThreadPool pool(2);
    Guarded small(narrow, {n + offset}), large(DType::f32, {n + offset});
    const Tensor down = small.tensor().slice(offset, n), up = large.tensor().slice(offset, n);
    cpu::run({.pool = &pool}, Cast{.x = {const_cast<float*>(x.data()), {n}}, .y = down}, isa);
    cpu::run({.pool = &pool}, Cast{.x = down, .y = up}, isa);
    const auto* d = static_cast<const Narrow*>(down.data);
    const auto* u = static_cast<const float*>(up.data);
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; ++i) {
      const Narrow rounded = round(x[static_cast<size_t>(i)]);
      wrong += d[i].bits != rounded.bits || std::bit_cast<uint32_t>(u[i]) != std::bit_cast<uint32_t>(widen(rounded));
    }
    EXPECT_EQ(wrong, 0) << cpu::name_of(isa) << ", " << name_of(narrow) << ", n = " << n;
    small.expect_guards("rounded");
    large.expect_guards("widened");
  }
}

// The largest goes around the caches, by several threads.
TEST(HostCast, EveryInstructionSetRoundsAlike) {
  for (int64_t n : {40, 1003, 2'200'009}) {
    expect_casts<bf16>(
        n, [](float x) { return bf16(x); }, [](bf16 x) { return static_cast<float>(x); });
    expect_casts<f16>(
        n, [](float x) { return to_f16(x); }, [](f16 x) { return to_float(x); });
  }
}

TEST(HostAddSquares, EveryInstructionSetGivesTheSameBits) {
  for (int64_t n : {33, 10'007}) {
    std::vector<float> x(static_cast<size_t>(n)), y(x.size());
    const Random random(9, stream_of("squares"));
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(random.normal(2 * i));
      y[i] = static_cast<float>(random.normal(2 * i + 1));
    }
    // Sixteen sums of each block of 4096, one after the other.
    std::vector<float> added(y);
    double expected = 0;
    for (size_t block = 0; block < x.size(); block += 4096) {
      double sums[16] = {};
      for (size_t i = block; i < std::min(x.size(), block + 4096); ++i) {
        added[i] = y[i] + x[i];
        sums[i % 16] += static_cast<double>(added[i]) * static_cast<double>(added[i]);
      }
      expected += std::accumulate(std::begin(sums), std::end(sums), 0.0);
    }
    for (Isa isa : cpu::kIsas) {
      if (!cpu::has(isa)) continue;
      std::vector<float> sum(y);
      double squares = 0;
      std::vector<double> block_sums(static_cast<size_t>(cpu::n_square_blocks(n)));
      cpu::run({}, AddSquares{.x = {x.data(), {n}}, .y = {sum.data(), {n}}, .out = {&squares, {1}, DType::f64}},
               {block_sums.data(), {cpu::n_square_blocks(n)}, DType::f64}, isa);
      EXPECT_EQ(sum, added) << cpu::name_of(isa) << ", n = " << n;
      EXPECT_EQ(squares, expected) << cpu::name_of(isa) << ", n = " << n;
    }
  }
}

}  // namespace
}  // namespace rk::test
