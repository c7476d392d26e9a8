// Each unit by itself: gradients of arbitrary outputs, aliasing, memory.
#include <gtest/gtest.h>

#include <cstring>

#include "support/tiny_model.h"

namespace rk::test {
namespace {

// One unit of a tiny model in double with all its inputs in the open. The objective is the inner product of everything that the
// unit puts out with fixed numbers; the head's is its loss.
class UnitBench {
 public:
  UnitBench(const ModelSpec& spec, int unit, int64_t B, int64_t T)
      : model_(family_of(spec.arch).make(spec)), unit_(unit), B_(B), T_(T), pool_(2) {
    for (Param* p : model_->params_of(unit)) {
      p->w = own("w." + p->name, p->shape, lively_values(*p));
      p->dw = own("dw." + p->name, p->shape, {});
    }
    const Shape flow{B, T, model_->n_embd};
    const auto random = [&](uint64_t seed) { return normals(static_cast<size_t>(flow.numel()), seed); };
    in_ = {own("x", flow, random(1)), own("shared", flow, random(2))};
    out_ = {own("out", flow, {}), first() ? own("shared_out", flow, {}) : in_.shared};
    grad_ = {own("dx", flow, random(3)), own("dshared", flow, random(4))};
    for (const StateSpec& s : this->unit().state_specs(B)) {
      const auto n = static_cast<size_t>(s.shape.numel());
      state_in_.push_back(own(cat("in.", s.name), s.shape, normals(n, 5)));
      state_out_.push_back(own(cat("out.", s.name), s.shape, {}));
      dstate_out_.push_back(own(cat("dout.", s.name), s.shape, normals(n, 6)));
      dstate_in_.push_back(own(cat("din.", s.name), s.shape, {}));
    }
    const RunInput batch = random_input(*model_, B, T);
    tokens_ = batch.tokens;
    targets_ = batch.targets;
    seg_.B = B;
    seg_.T = T;
    seg_.tokens = view(tokens_);
    seg_.targets = view(targets_);
    seg_.scale = 0.125;
    seg_.loss_sum = own("loss", {1}, {});
  }

  const Unit& unit() const { return *model_->units[static_cast<size_t>(unit_)]; }
  bool first() const { return unit_ == 1; }
  bool head() const { return unit_ + 1 == static_cast<int>(model_->units.size()); }
  std::vector<double>& values(const std::string& name) { return values_.at(name); }

  double objective() {
    values("loss")[0] = 0;
    run(nullptr);
    if (head()) return seg_.scale * values("loss")[0];
    double sum = dot(values("out"), incoming_dx_);
    if (first()) sum += dot(values("shared_out"), incoming_dshared_);
    for (const StateSpec& s : unit().state_specs(B_)) sum += dot(values(cat("out.", s.name)), values(cat("dout.", s.name)));
    return sum;
  }

  // Forward and backward, between which all that backward must not read is overwritten.
  void gradients() {
    incoming_dx_ = values("dx");
    incoming_dshared_ = values("dshared");
    Saved saved;
    run(&saved);
  }

  void expect_gradient(const std::string& of, const std::vector<double>& gradient) {
    constexpr double kStep = 3e-6;
    const std::vector<double> direction = normals(gradient.size(), 9);
    const auto at = [&](double step) {
      std::vector<double>& x = values(of);
      const std::vector<double> before = x;
      for (size_t i = 0; i < x.size(); ++i) x[i] += step * direction[i];
      const double value = objective();
      std::copy(before.begin(), before.end(), x.begin());
      return value;
    };
    const double expected = (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
    const double scale = std::sqrt(dot(gradient, gradient));
    EXPECT_NEAR(dot(gradient, direction), expected, 2e-7 * (scale + std::abs(expected)) + 1e-8) << unit().name << ": " << of;
  }
  std::vector<Param*> params() { return model_->params_of(unit_); }

 private:
  Tensor own(const std::string& name, Shape shape, std::vector<double> values) {
    values.resize(static_cast<size_t>(shape.numel()));
    std::vector<double>& kept = values_[name] = std::move(values);
    Tensor t;
    t.data = kept.data();
    t.dtype = DType::f64;
    t.shape = shape;
    return t;
  }
  Tensor view(std::vector<int32_t>& ids) const {
    Tensor t;
    t.data = ids.data();
    t.dtype = DType::i32;
    t.shape = {B_, T_};
    return t;
  }

  void run(Saved* saved) {
    Arena dry_kept, dry_scratch;
    Saved dry_saved;
    pass({.pool = &pool_, .kept = &dry_kept, .scratch = &dry_scratch}, saved ? &dry_saved : nullptr);
    EXPECT_EQ(dry_scratch.mark(), 0u);
    Arena kept(Buffer(Device::cpu, dry_kept.peak())), scratch(Buffer(Device::cpu, dry_scratch.peak()));
    pass({.pool = &pool_, .kept = &kept, .scratch = &scratch}, saved);
    EXPECT_EQ(scratch.mark(), 0u);
    EXPECT_EQ(scratch.peak(), dry_scratch.peak());
    EXPECT_EQ(kept.peak(), dry_kept.peak());
    EXPECT_EQ(kept.peak() > 0, saved != nullptr);
  }

  void pass(const Exec& ex, Saved* saved) {
    unit().forward(ex, {.seg = seg_, .in = in_, .out = out_, .state_in = state_in_, .state_out = state_out_, .saved = saved});
    if (!saved) return;
    // What other units do to memory in between.
    if (!ex.dry()) {
      const size_t rest = ex.scratch->capacity();
      std::memset(ex.scratch->take(DType::u8, {static_cast<int64_t>(rest)}).data, 0xff, rest);
      ex.scratch->rewind(0);
      if (!head()) std::fill(values("out").begin(), values("out").end(), NAN);
    }
    unit().backward(ex, {.seg = seg_,
                         .in = {in_.x, out_.shared},
                         .grad = grad_,
                         .state_in = state_in_,
                         .dstate_out = dstate_out_,
                         .dstate_in = dstate_in_,
                         .saved = *saved});
  }

  std::unique_ptr<Model> model_;
  int unit_;
  int64_t B_, T_;
  ThreadPool pool_;
  std::map<std::string, std::vector<double>> values_;
  std::vector<int32_t> tokens_, targets_;
  Segment seg_;
  Flow in_, out_;
  FlowGrad grad_;
  std::vector<Tensor> state_in_, state_out_, dstate_out_, dstate_in_;
  std::vector<double> incoming_dx_, incoming_dshared_;
};

// Whose states are plain numbers.
std::vector<std::string> kinds() {
  std::vector<std::string> all = tiny_kinds();
  std::erase(all, "x040");
  return all;
}

class OneUnit : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Kinds, OneUnit, testing::ValuesIn(kinds()), kind_name);

TEST_P(OneUnit, GradientsAreDerivatives) {
  for (int64_t T : {1, 5, 17})
    for (int unit : {0, 1, 2, 3}) {
      UnitBench bench(tiny_model(GetParam(), DType::f64), unit, 2, T);
      bench.gradients();
      for (const Param* p : bench.params()) bench.expect_gradient("w." + p->name, bench.values("dw." + p->name));
      if (unit > 0) bench.expect_gradient("x", bench.values("dx"));
      for (const StateSpec& s : bench.unit().state_specs(2)) bench.expect_gradient(cat("in.", s.name), bench.values(cat("din.", s.name)));
    }
}

// Later blocks add their part of the gradient of v_first to what is there; block 0 reads all of it.
TEST(OneUnitOfRwkv7, GradientOfSharedIsAdded) {
  for (int64_t T : {1, 5, 17}) {
    UnitBench bench(tiny_model("x070", DType::f64), 2, 2, T);
    const std::vector<double> before = bench.values("dshared");
    bench.gradients();
    std::vector<double> own = bench.values("dshared");
    for (size_t i = 0; i < own.size(); ++i) own[i] -= before[i];
    bench.expect_gradient("shared", own);
  }
}

TEST(Units, CarryTheirStates) {
  const auto model = family_of("x070").make(tiny_spec(DType::bf16));
  EXPECT_EQ(model->units[0]->name, "emb");
  EXPECT_EQ(model->units[1]->name, "blocks.0");
  EXPECT_EQ(model->units[3]->name, "head");
  EXPECT_TRUE(model->units[0]->state_specs(3).empty());
  EXPECT_TRUE(model->units[3]->state_specs(3).empty());
  const auto specs = model->units[2]->state_specs(3);
  ASSERT_EQ(specs.size(), 3u);
  EXPECT_STREQ(specs[0].name, "att_shift");
  EXPECT_EQ(specs[0].shape, (Shape{3, 16}));
  EXPECT_EQ(specs[0].dtype, DType::bf16);
  EXPECT_STREQ(specs[1].name, "wkv");
  EXPECT_EQ(specs[1].shape, (Shape{3, 2, 8, 8}));
  EXPECT_EQ(specs[1].dtype, DType::f32);
  EXPECT_STREQ(specs[2].name, "ffn_shift");
}

}  // namespace
}  // namespace rk::test
