// Small models of all families with weights that let every gradient live.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "support/model_runner.h"

namespace rk::test {

inline ModelSpec tiny_spec(DType dtype, int64_t n_layer = 2) {
  ModelSpec s;
  s.n_layer = n_layer;
  s.n_embd = 16;
  s.head_size = 8;
  s.vocab_size = 11;
  s.decay_lora = 4;
  s.aaa_lora = 5;
  s.mv_lora = 3;
  s.gate_lora = 6;
  s.dtype = dtype;
  return family_of("x070").spec_for_new(s);
}

// RWKV-4, with more channels inside the time mix than outside.
inline ModelSpec tiny_rwkv4(DType dtype, int64_t n_layer = 2, const OldParts& old = {}) {
  ModelSpec s;
  s.arch = "x040";
  s.n_layer = n_layer;
  s.n_embd = 16;
  s.dim_att = 24;
  s.dim_ffn = 40;
  s.vocab_size = 11;
  s.dtype = dtype;
  s.old = old;
  return s;
}

// A model of any family: its architecture, "+state" behind it where blocks have a trained state at the beginning.
inline ModelSpec tiny_model(const std::string& kind, DType dtype, int64_t n_layer = 2) {
  const std::string arch = kind.substr(0, kind.find('+'));
  ModelSpec s = tiny_spec(dtype, n_layer);
  if (arch == "x040") s = tiny_rwkv4(dtype, n_layer);
  s.time_state = arch != kind;
  if (arch != "x052" && !arch.starts_with("x060")) return s;
  s.arch = arch;
  s.dim_ffn = 24;
  s.head_size_divisor = 8;
  s.aaa_lora = s.mv_lora = 0;
  if (arch != "x060a") s.gate_lora = 0;
  if (arch == "x052") {
    s.decay_lora = 0;
  } else {
    s.mix_lora = 3;
  }
  return s;
}
inline const std::vector<std::string>& tiny_kinds() {
  static const std::vector<std::string> kinds{"x070", "x070+state", "x060", "x060+state", "x060a", "x060b", "x052", "x052+state", "x040"};
  return kinds;
}
inline std::string kind_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '+', '_');
  return name;
}

// Normal numbers around 1 for norms, around 0 otherwise, that bf16 holds exactly.
inline std::vector<double> lively_values(const Param& p, uint64_t seed = 1) {
  const Random random(seed, stream_of(p.name.c_str()));
  const bool norm = p.name.find("ln") != std::string::npos && p.name.find(".weight") != std::string::npos;
  const double fan_in = p.shape.rank == 2 ? static_cast<double>(std::min(p.shape[0], p.shape[1])) : 4;
  std::vector<double> values(static_cast<size_t>(p.numel()));
  for (size_t i = 0; i < values.size(); ++i) {
    const double x = (norm ? 1 : 0) + random.normal(i) * (norm ? 0.2 : 1 / std::sqrt(fan_in));
    values[i] = static_cast<double>(bf16(static_cast<float>(x)));
  }
  return values;
}

// A model with such weights.
class LivelyRunner : public ModelRunner {
 public:
  explicit LivelyRunner(const ModelSpec& spec, int threads = 2) : ModelRunner(family_of(spec.arch).make(spec), threads) {
    set_all([](const Param& p) { return lively_values(p); });
  }
};

inline std::vector<double> normals(size_t n, uint64_t seed, double scale = 1) {
  const Random random(seed, 77);
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = scale * random.normal(i);
  return values;
}

// Random tokens and targets, one in six of which does not count, and loss weights.
inline RunInput random_input(const Model& model, int64_t B, int64_t T, uint64_t seed = 5) {
  const Random random(seed, 1);
  RunInput in;
  in.B = B;
  in.T = T;
  const auto V = static_cast<double>(model.n_vocab);
  for (uint64_t i = 0; i < static_cast<uint64_t>(B * T); ++i) {
    in.tokens.push_back(static_cast<int32_t>(random.uniform(3 * i) * V));
    in.targets.push_back(i % 6 == 5 ? -100 : static_cast<int32_t>(random.uniform(3 * i + 1) * V));
    in.weights.push_back(static_cast<float>(0.25 + random.uniform(3 * i + 2)));
  }
  return in;
}

// Whether a state holds triples of a numerator, a denominator and the exponent of both (kernels/wkv4).
inline bool holds_exponents(const StateSpec& s) { return s.shape.rank == 3 && s.shape[2] == 3; }

// A value for every state of the model; sums of exponentials are positive.
inline Values random_states(const Model& model, int64_t B, uint64_t seed, double scale = 0.5) {
  Values states;
  for (const auto& unit : model.units)
    for (const StateSpec& spec : unit->state_specs(B)) {
      std::vector<double>& x = states[cat(unit->name, ".", spec.name)] = normals(static_cast<size_t>(spec.shape.numel()), seed++, scale);
      for (size_t i = 1; holds_exponents(spec) && i < x.size(); i += 3) x[i] = 0.1 + std::abs(x[i]);
    }
  return states;
}

// Visits every triple of x, a value of the state named so.
inline void each_triple(const Model& model, const std::string& name, std::vector<double>& x, const std::function<void(double*)>& visit) {
  for (const auto& unit : model.units)
    for (const StateSpec& spec : unit->state_specs(1))
      for (size_t i = 0; holds_exponents(spec) && name == cat(unit->name, ".", spec.name) && i < x.size(); i += 3) visit(&x[i]);
}
// Gradients and directions have 0 for exponents: derivatives are taken at fixed ones.
inline void without_exponents(const Model& model, const std::string& name, std::vector<double>& x) {
  each_triple(model, name, x, [](double* triple) { triple[2] = 0; });
}
inline Values random_state_gradients(const Model& model, int64_t B, uint64_t seed, double scale) {
  Values gradients = random_states(model, B, seed, scale);
  for (auto& [name, x] : gradients) without_exponents(model, name, x);
  return gradients;
}
// The same sums with the exponents of `base`.
inline std::vector<double> with_exponents_of(const Model& model, const std::string& name, std::vector<double> x,
                                             const std::vector<double>& base) {
  each_triple(model, name, x, [&](double* triple) {
    const double exponent = base[static_cast<size_t>(triple - x.data()) + 2], factor = std::exp(triple[2] - exponent);
    triple[0] *= factor;
    triple[1] *= factor;
    triple[2] = exponent;
  });
  return x;
}

inline bool begins_by_itself(const Model& model) { return model.params.find("blocks.0.att.time_state") != nullptr; }
// With states at both ends, and L2Wrap; without a first state where the model has one of its own.
inline RunInput carried_input(const Model& model, int64_t B, int64_t T) {
  RunInput in = random_input(model, B, T);
  if (!begins_by_itself(model)) in.initial_state = random_states(model, B, 100);
  in.dfinal_state = random_state_gradients(model, B, 200, 0.05);
  in.want_dinitial = true;
  in.l2_factor = 1e-2;
  return in;
}

// ||a - b|| / ||b||, 0 where both are 0.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return INFINITY;
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace rk::test
