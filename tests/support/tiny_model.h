// Small models with weights that let every gradient live.
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

// What tests of all families run over.
struct TinyFamily {
  const char* name;
  ModelSpec (*spec)(DType dtype, int64_t n_layer);
};
inline std::vector<TinyFamily> tiny_families() {
  return {{"rwkv7", [](DType dtype, int64_t n_layer) { return tiny_spec(dtype, n_layer); }},
          {"rwkv4", [](DType dtype, int64_t n_layer) { return tiny_rwkv4(dtype, n_layer); }}};
}
inline void PrintTo(const TinyFamily& family, std::ostream* out) { *out << family.name; }
class EveryFamily : public testing::TestWithParam<TinyFamily> {
 protected:
  static ModelSpec spec(DType dtype, int64_t n_layer = 2) { return GetParam().spec(dtype, n_layer); }
};

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
