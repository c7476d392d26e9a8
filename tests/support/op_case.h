// One call of an operator described by its tensors, so that every operator is tested in the same ways: against double, against finite
// differences, for equal bits with any number of threads, inside guard bands, with the scratch that its dry run asked for; where there is
// a GPU, on it too.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "support/gradcheck.h"
#include "support/guarded.h"
#include "support/place.h"

namespace rk::test {

// Type of a tensor: the model's dtype, its accumulation dtype, or fixed.
enum class Held { model, sum, f32, f64, i32, i64, u8 };
enum class Role { in, out, inout };

inline DType dtype_of_held(Held held, DType model) {
  switch (held) {
    case Held::model: return model;
    case Held::sum: return acc_dtype(model);
    case Held::f32: return DType::f32;
    case Held::f64: return DType::f64;
    case Held::i32: return DType::i32;
    case Held::i64: return DType::i64;
    case Held::u8: return DType::u8;
  }
  return model;
}

// Standard normal numbers that bf16 holds exactly, so that every dtype computes from the same inputs.
inline std::vector<double> random_values(const std::string& name, int64_t n, double scale = 1, double shift = 0) {
  const Random random(5, stream_of(name.c_str()));
  std::vector<double> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(bf16(static_cast<float>(shift + scale * random.normal(i))));
  return x;
}

// The tensors of a call by name; null for a name that the case does not have.
class Tensors {
 public:
  void set(const std::string& name, const Tensor& t) { by_name_[name] = t; }
  Tensor operator()(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? Tensor{} : it->second;
  }

 private:
  std::map<std::string, Tensor> by_name_;
};

struct OpCase {
  struct Slot {
    std::string name;
    Shape shape;
    Held held;
    Role role;
    std::vector<double> values;  // of in and inout
    std::string alias;           // the slot whose memory this output shares
  };
  std::vector<Slot> slots;
  std::function<void(const Exec&, const Tensors&)> call;
  bool on_gpu = true;  // the operator has CUDA code

  OpCase& in(const std::string& name, Shape shape, Held held = Held::model, std::vector<double> values = {}) {
    if (values.empty()) values = random_values(name, shape.numel());
    slots.push_back({name, shape, held, Role::in, std::move(values), ""});
    return *this;
  }
  OpCase& inout(const std::string& name, Shape shape, Held held = Held::model, std::vector<double> values = {}) {
    if (values.empty()) values = random_values(name, shape.numel());
    slots.push_back({name, shape, held, Role::inout, std::move(values), ""});
    return *this;
  }
  OpCase& out(const std::string& name, Shape shape, Held held = Held::model, const std::string& alias = "") {
    slots.push_back({name, shape, held, Role::out, {}, alias});
    return *this;
  }
  OpCase without(const std::string& name) const {
    OpCase c = *this;
    std::erase_if(c.slots, [&](const Slot& s) { return s.name == name; });
    return c;
  }
  OpCase aliased(const std::string& output, const std::string& input) const {
    OpCase c = *this;
    c.slot(output).alias = input;
    return c;
  }
  Slot& slot(const std::string& name) {
    for (Slot& s : slots) {
      if (s.name == name) return s;
    }
    throw std::runtime_error("no tensor " + name);
  }
};

using Values = std::map<std::string, std::vector<double>>;

// A case in memory for one dtype. Scratch is exactly what a dry run of the call asks for.
class LoadedCase {
 public:
  LoadedCase(const OpCase& op, DType dtype, Place place = {}) : op_(op) {
    Tensors shapes;
    for (const auto& s : op.slots) {
      Tensor t;
      t.shape = s.shape;
      t.dtype = dtype_of_held(s.held, dtype);
      t.device = place.device;
      shapes.set(s.name, t);
      if (s.alias.empty()) memory_.emplace(s.name, std::make_unique<Guarded>(t.dtype, t.shape, place.device));
    }
    const PlaceExec dry(place);
    op.call(dry.ex(), shapes);
    scratch_bytes_ = dry.scratch().peak();
    exec_ = std::make_unique<PlaceExec>(place, scratch_bytes_);
    for (const auto& s : op.slots) tensors_.set(s.name, memory_of(s).tensor());
    reset();
  }

  // Inputs as given, outputs poisoned.
  void reset() {
    for (const auto& s : op_.slots) {
      if (s.role != Role::out) memory_of(s).fill(s.values);
      if (s.role == Role::out && s.alias.empty()) memory_of(s).poison();
    }
  }
  // What the call adds to, as given.
  void reset_sums() {
    for (const auto& s : op_.slots) {
      if (s.role == Role::inout) memory_of(s).fill(s.values);
    }
  }
  void run() { op_.call(exec_->ex(), tensors_); }
  Guarded& memory(const std::string& name) { return *memory_.at(name); }

  // Everything the call writes.
  Values results() {
    Values r;
    for (const auto& s : op_.slots) {
      if (s.role != Role::in) r[s.name] = memory_of(s).values();
    }
    return r;
  }
  void expect_untouched() {
    for (const auto& s : op_.slots) {
      memory_of(s).expect_guards(s.name);
      const bool shared = std::any_of(op_.slots.begin(), op_.slots.end(), [&](const auto& o) { return o.alias == s.name; });
      if (s.role == Role::in && !shared) {
        Guarded again(memory_of(s).tensor().dtype, s.shape);
        again.fill(s.values);
        EXPECT_TRUE(again.same_bytes(memory_of(s))) << s.name << " is an input";
      }
    }
    EXPECT_EQ(exec_->scratch().peak(), scratch_bytes_) << "the dry run counts scratch exactly";
    EXPECT_EQ(exec_->scratch().mark(), 0u) << "scratch is given back";
  }

 private:
  Guarded& memory_of(const OpCase::Slot& s) { return *memory_.at(s.alias.empty() ? s.name : s.alias); }

  OpCase op_;
  std::map<std::string, std::unique_ptr<Guarded>> memory_;
  std::unique_ptr<PlaceExec> exec_;
  Tensors tensors_;
  size_t scratch_bytes_ = 0;
};

inline Values run_case(const OpCase& op, DType dtype, Place place = {}) {
  LoadedCase c(op, dtype, place);
  c.run();
  c.expect_untouched();
  return c.results();
}

// |x - ref|_2 / |ref|_2.
inline double relative_difference(const std::vector<double>& x, const std::vector<double>& ref) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - ref[i]) * (x[i] - ref[i]);
    norm += ref[i] * ref[i];
  }
  return std::sqrt(difference / std::max(norm, 1e-300));
}

// Equal, NaN and NaN included.
inline bool same_values(const Values& a, const Values& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.size() == y.second.size() &&
           std::equal(x.second.begin(), x.second.end(), y.second.begin(), [](double p, double q) { return p == q || (p != p && q != q); });
  });
}

inline void expect_close(const Values& got, const Values& reference, double limit, const std::string& what) {
  for (const auto& [name, ref] : reference) {
    EXPECT_LE(relative_difference(got.at(name), ref), limit) << what << ": " << name;
  }
}

// The same bits in every run on a GPU.
inline Values run_twice_on_gpu(const OpCase& op, DType dtype) {
  const Values once = run_case(op, dtype, Device::cuda);
  const OtherOrder other;
  EXPECT_TRUE(same_values(run_case(op, dtype, Device::cuda), once)) << name_of(dtype) << " on a GPU: two runs differ";
  return once;
}

// float and bf16 against double; on a GPU f16, too. The bf16 limit covers rounding of results (2^-9) and, where an operator rounds in
// between, more; f16 rounds to 2^-12. A GPU's float limit is wider: its fast exp, log and divisions are 2 to 4 ulp off, and sums of more
// terms are formed at once.
inline void expect_close_to_double(const OpCase& op, double limit_f32 = 2e-6, double limit_bf16 = 4e-3) {
  const Values reference = run_case(op, DType::f64);
  for (const auto& [name, values] : reference) {
    for (double x : values) ASSERT_TRUE(std::isfinite(x)) << name << " is written everywhere";
  }
  expect_close(run_case(op, DType::f32), reference, limit_f32, "f32");
  expect_close(run_case(op, DType::bf16), reference, limit_bf16, "bf16");
  if (!op.on_gpu || !has_gpu()) return;
  expect_close(run_twice_on_gpu(op, DType::f32), reference, 5 * limit_f32, "f32 on a GPU");
  expect_close(run_twice_on_gpu(op, DType::bf16), reference, limit_bf16, "bf16 on a GPU");
  expect_close(run_twice_on_gpu(op, DType::f16), reference, limit_bf16 / 4, "f16 on a GPU");
}

inline void expect_same_bits_for_threads(const OpCase& op) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const Values one = run_case(op, dtype, 1);
    for (int threads : {2, 3}) EXPECT_EQ(run_case(op, dtype, threads), one) << name_of(dtype) << ", " << threads << " threads";
  }
  if (op.on_gpu && has_gpu()) run_twice_on_gpu(op, DType::bf16);
}

// An output in the memory of an input gives what it gives in its own.
inline void expect_alias(const OpCase& op, const std::string& output, const std::string& input) {
  const OpCase aliased = op.aliased(output, input);
  for (DType dtype : {DType::f64, DType::f32, DType::bf16})
    EXPECT_EQ(run_case(aliased, dtype), run_case(op, dtype)) << output << " in place of " << input;
  if (!op.on_gpu || !has_gpu()) return;
  for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    EXPECT_TRUE(same_values(run_twice_on_gpu(aliased, dtype), run_case(op, dtype, Device::cuda)))
        << output << " in place of " << input << " on a GPU in " << name_of(dtype);
  }
}

// A backward call against finite differences of its forward call, both in double. The loss is the sum over outputs named in
// `seeds` (output -> incoming gradient in backward) of output times gradient; `gradients` maps inputs of forward to what backward
// writes. Backward's inputs that carry a name of forward take forward's values; what it adds to starts from its own.
struct GradientCase {
  OpCase forward, backward;
  std::map<std::string, std::string> seeds, gradients;
  double tolerance = 1e-8;
};

inline void expect_gradients(const GradientCase& g) {
  LoadedCase forward(g.forward, DType::f64);
  forward.run();
  Values known = forward.results();
  for (const auto& s : g.forward.slots) {
    if (s.role == Role::in) known[s.name] = s.values;
  }
  OpCase backward = g.backward;
  for (auto& s : backward.slots) {
    if (s.role != Role::out && known.count(s.name)) s.values = known[s.name];
  }
  const Values results = run_case(backward, DType::f64);
  const auto loss = [&] {
    forward.reset_sums();
    forward.run();
    double sum = 0;
    for (const auto& [output, seed] : g.seeds) {
      const std::vector<double>& weight = backward.slot(seed).values;
      const Tensor y = forward.memory(output).tensor();
      for (size_t i = 0; i < weight.size(); ++i) sum += y.as<double>()[i] * weight[i];
    }
    return sum;
  };
  for (const auto& [input, gradient] : g.gradients) {
    std::vector<double> dx = results.at(gradient);
    const OpCase::Slot& slot = backward.slot(gradient);
    if (slot.role == Role::inout) {
      for (size_t i = 0; i < dx.size(); ++i) dx[i] -= slot.values[i];
    }
    expect_gradient({.name = input, .loss = loss, .x = forward.memory(input).tensor().span<double>(), .dx = dx, .tolerance = g.tolerance});
  }
}

}  // namespace rk::test
