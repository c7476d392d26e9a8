#include "nn/linear.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/rng.h"
#include "nn/low_rank.h"

namespace rk {
namespace {

struct Matrix {
  Matrix(int64_t rows, int64_t cols, uint64_t seed) : shape{rows, cols}, v(static_cast<size_t>(rows * cols)) {
    const Random random(seed, 0);
    for (size_t i = 0; i < v.size(); ++i) v[i] = random.normal(i);
  }
  Tensor tensor() {
    Tensor t;
    t.data = v.data();
    t.dtype = DType::f64;
    t.shape = shape;
    return t;
  }
  double& at(int64_t i, int64_t j) { return v[static_cast<size_t>(i * shape[1] + j)]; }
  Shape shape;
  std::vector<double> v;
};

class LinearTest : public testing::Test {
 protected:
  LinearTest() : pool_(2), scratch_(Buffer(Device::cpu, 1 << 20)), ex_{.pool = &pool_, .scratch = &scratch_} {}
  ThreadPool pool_;
  Arena scratch_;
  Exec ex_;
};

constexpr int64_t R = 3, in = 5, out = 4;

Param bind(Matrix& w, Matrix& dw) {
  Param p;
  p.name = "w";
  p.shape = w.shape;
  p.w = w.tensor();
  p.dw = dw.tensor();
  return p;
}

TEST_F(LinearTest, BothLayouts) {
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out})
    for (bool add : {false, true}) {
      const bool out_in = layout == WeightLayout::out_in;
      Matrix w(out_in ? out : in, out_in ? in : out, 1), dw(w.shape[0], w.shape[1], 2), x(R, in, 3), y(R, out, 4), dy(R, out, 5),
          dx(R, in, 6);
      const Matrix dw0 = dw, y0 = y, dx0 = dx;
      Param p = bind(w, dw);
      const Linear linear(p, layout);
      EXPECT_EQ(linear.n_in(), in);
      EXPECT_EQ(linear.n_out(), out);
      linear.forward(ex_, {.x = x.tensor(), .y = y.tensor(), .add = add});
      linear.backward(ex_, {.x = x.tensor(), .dy = dy.tensor(), .dx = dx.tensor(), .add_dx = add});
      const auto weight = [&](int64_t o, int64_t i) -> double& { return out_in ? w.at(o, i) : w.at(i, o); };
      for (int64_t r = 0; r < R; ++r)
        for (int64_t o = 0; o < out; ++o) {
          double sum = add ? y0.v[static_cast<size_t>(r * out + o)] : 0;
          for (int64_t i = 0; i < in; ++i) sum += x.at(r, i) * weight(o, i);
          EXPECT_NEAR(y.at(r, o), sum, 1e-13);
        }
      for (int64_t r = 0; r < R; ++r)
        for (int64_t i = 0; i < in; ++i) {
          double sum = add ? dx0.v[static_cast<size_t>(r * in + i)] : 0;
          for (int64_t o = 0; o < out; ++o) sum += dy.at(r, o) * weight(o, i);
          EXPECT_NEAR(dx.at(r, i), sum, 1e-13);
        }
      for (int64_t o = 0; o < out; ++o)
        for (int64_t i = 0; i < in; ++i) {
          const int64_t at = out_in ? o * in + i : i * out + o;
          double sum = dw0.v[static_cast<size_t>(at)];  // weight gradients are added
          for (int64_t r = 0; r < R; ++r) sum += dy.at(r, o) * x.at(r, i);
          EXPECT_NEAR(dw.v[static_cast<size_t>(at)], sum, 1e-13);
        }
    }
}

TEST_F(LinearTest, ForwardAddsAResidualAndABias) {
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out}) {
    const bool out_in = layout == WeightLayout::out_in;
    Matrix w(out_in ? out : in, out_in ? in : out, 1), none(0, 0, 0), x(R, in, 3), plain(R, out, 4), y(R, out, 5), residual(R, out, 6),
        bias(1, out, 7);
    Param p = bind(w, none);
    const Linear linear(p, layout);
    linear.forward(ex_, {.x = x.tensor(), .y = plain.tensor()});
    linear.forward(ex_, {.x = x.tensor(), .y = y.tensor(), .residual = residual.tensor(), .bias = bias.tensor().view({out})});
    for (int64_t r = 0; r < R; ++r) {
      for (int64_t o = 0; o < out; ++o) EXPECT_NEAR(y.at(r, o), plain.at(r, o) + residual.at(r, o) + bias.at(0, o), 1e-13);
    }
    linear.forward(ex_, {.x = x.tensor(), .y = residual.tensor(), .residual = residual.tensor(), .bias = bias.tensor().view({out})});
    EXPECT_EQ(residual.v, y.v);  // the residual may be y itself
  }
}

TEST_F(LinearTest, HalvesOfBackwardAreTheWhole) {
  for (WeightLayout layout : {WeightLayout::out_in, WeightLayout::in_out}) {
    const bool out_in = layout == WeightLayout::out_in;
    Matrix w(out_in ? out : in, out_in ? in : out, 1), dw(w.shape[0], w.shape[1], 2), x(R, in, 3), dy(R, out, 5), dx(R, in, 6);
    Matrix dw_apart = dw, dx_apart = dx;
    Param p = bind(w, dw);
    const Linear linear(p, layout);
    linear.backward(ex_, {.x = x.tensor(), .dy = dy.tensor(), .dx = dx.tensor(), .add_dx = true});
    p.dw = dw_apart.tensor();
    linear.backward_input(ex_, {.dy = dy.tensor(), .dx = dx_apart.tensor(), .add_dx = true});
    linear.backward_weight(ex_, {.x = x.tensor(), .dy = dy.tensor()});
    EXPECT_EQ(dx_apart.v, dx.v);
    EXPECT_EQ(dw_apart.v, dw.v);
  }
}

TEST_F(LinearTest, GradientMayTakeTheInputsPlace) {
  Matrix w(out, in, 1), dw(out, in, 2), x(R, in, 3), dy(R, out, 5), dx(R, in, 6);
  Matrix dw_apart = dw;
  Param p = bind(w, dw_apart);
  Linear(p, WeightLayout::out_in).backward(ex_, {.x = x.tensor(), .dy = dy.tensor(), .dx = dx.tensor()});
  p = bind(w, dw);
  Linear(p, WeightLayout::out_in).backward(ex_, {.x = x.tensor(), .dy = dy.tensor(), .dx = x.tensor()});
  EXPECT_EQ(x.v, dx.v);
  EXPECT_EQ(dw.v, dw_apart.v);
}

TEST_F(LinearTest, FrozenWeightsGetNoGradient) {
  Matrix w(out, in, 1), x(R, in, 3), dy(R, out, 5), dx(R, in, 6), none(0, 0, 0);
  Param p = bind(w, none);
  p.trainable = false;
  p.dw = {};
  Linear(p, WeightLayout::out_in).backward(ex_, {.x = x.tensor(), .dy = dy.tensor(), .dx = dx.tensor()});
  double sum = 0;
  for (int64_t o = 0; o < out; ++o) sum += dy.at(1, o) * w.at(o, 2);
  EXPECT_NEAR(dx.at(1, 2), sum, 1e-13);
}

TEST_F(LinearTest, UnboundWeightsAreABrokenPromise) {
  Matrix x(R, in, 3), y(R, out, 4);
  Param p;
  p.shape = {out, in};
  EXPECT_THROW(Linear(p, WeightLayout::out_in).forward(ex_, {.x = x.tensor(), .y = y.tensor()}), Error);
}

TEST_F(LinearTest, LowRankPairs) {
  const int64_t width = 2;
  Matrix a(in, width, 1), da(in, width, 0), b(width, out, 2), db(width, out, 0), x(R, in, 3), y(R, out, 4), hidden(R, width, 0),
      dy(R, out, 5), dx(R, in, 6);
  for (std::optional<Activation> f : {std::optional<Activation>{}, {Activation::tanh}, {Activation::sigmoid}}) {
    Param pa = bind(a, da), pb = bind(b, db);
    const LowRank pair(pa, pb, f);
    EXPECT_EQ(pair.width(), width);
    const auto objective = [&] {
      pair.forward(ex_, {.x = x.tensor(), .hidden = hidden.tensor(), .y = y.tensor()});
      double sum = 0;
      for (size_t i = 0; i < y.v.size(); ++i) sum += y.v[i] * dy.v[i];
      return sum;
    };
    objective();
    std::fill(da.v.begin(), da.v.end(), 0);
    std::fill(db.v.begin(), db.v.end(), 0);
    pair.backward(ex_, {.x = x.tensor(), .hidden = hidden.tensor(), .dy = dy.tensor(), .dx = dx.tensor()});
    for (auto [value, gradient] : {std::pair{&a, &da}, {&b, &db}, {&x, &dx}})
      for (size_t i = 0; i < value->v.size(); ++i) {
        const double before = value->v[i];
        value->v[i] = before + 1e-6;
        const double up = objective();
        value->v[i] = before - 1e-6;
        const double down = objective();
        value->v[i] = before;
        EXPECT_NEAR(gradient->v[i], (up - down) / 2e-6, 1e-8);
      }
    Matrix bias(1, out, 7), biased(R, out, 8);
    objective();
    pair.forward(ex_, {.x = x.tensor(), .hidden = hidden.tensor(), .y = biased.tensor(), .bias = bias.tensor().view({out})});
    for (int64_t r = 0; r < R; ++r) {
      for (int64_t o = 0; o < out; ++o) EXPECT_NEAR(biased.at(r, o), y.at(r, o) + bias.at(0, o), 1e-13);
    }
  }
}

}  // namespace
}  // namespace rk
