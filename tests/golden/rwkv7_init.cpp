// Golden initial weights of RWKV-7.
#include <cmath>
#include <cstdio>
#include <set>

#include "device/thread_pool.h"
#include "golden/fresh_rules.h"
#include "golden/handlers.h"
#include "model/families.h"
#include "params/init.h"

namespace rk::golden {
namespace {

using nlohmann::json;

class InitCase {
 public:
  InitCase(const Case& c, const Options& options, Check& check)
      : case_(c), check_(check), expected_(c.path("expected.h5")), pool_(options.threads), limits_(c.json.at("tolerance")) {}

  void run();

 private:
  void compare(const Param& p, const json& tensor);
  void exact(const Param& p, const std::vector<double>& values);
  void uniform(const Param& p, const std::vector<double>& values, const std::string& rule);
  void orthogonal(const Param& p, const std::vector<double>& values, const json& tensor);
  void widths();

  const Case& case_;
  Check& check_;
  Hdf5Reader expected_;
  ThreadPool pool_;
  const json& limits_;
};

void refuse_unknown_options(const json& c, Check& check) {
  static const std::set<std::string> known{
      "n_layer", "n_embd",       "vocab_size", "head_size",           "seed",   "n_params",    "tensors",
      "files",   "tensor_order", "tolerance",  "lora_dims_by_n_embd", "source", "informative", "upstream_stdout"};
  for (const auto& [key, value] : c.items())
    if (!value.is_string() && !known.contains(key)) check.fail("unknown option " + key);
  if (c.value("model", "x070") != "x070") check.fail("unknown model");
}

ModelSpec spec_of(const json& c) {
  ModelSpec given;
  given.n_layer = c.at("n_layer");
  given.n_embd = c.at("n_embd");
  given.vocab_size = c.at("vocab_size");
  given.head_size = c.value("head_size", 0);
  return family_of("x070").spec_for_new(given);
}

void InitCase::run() {
  refuse_unknown_options(case_.json, check_);
  const auto model = family_of("x070").make(spec_of(case_.json));
  std::vector<std::string> order;
  for (const Param& p : model->params.all()) order.push_back(p.name);
  check_.exact("tensor_order", case_.json.at("tensor_order") == order);
  check_.exact("n_params", case_.json.at("n_params") == model->params.numel());
  for (const auto& [name, tensor] : case_.json.at("tensors").items()) {
    if (const Param* p = model->params.find(name)) {
      compare(*p, tensor);
    } else {
      check_.fail(name + " is not part of the model");
    }
  }
  widths();
  check_.all_read(expected_, case_.json.value("informative", json::array()));
}

void InitCase::compare(const Param& p, const json& tensor) {
  const std::vector<int64_t> shape(p.shape.size.begin(), p.shape.size.begin() + p.shape.rank);
  check_.exact(p.name + " shape", tensor.at("shape") == shape);
  const auto values = fresh_values(p, case_.json.value("seed", uint64_t{0}), &pool_);
  const std::string rule = tensor.at("rule");
  if (rule.starts_with("constant")) {
    for (double x : values) check_.at_most(p.name, std::abs(x - tensor.at("value").get<double>()), limits_.at("exact_abs"));
  } else if (rule.starts_with("exact")) {
    exact(p, values);
  } else if (rule.starts_with("uniform")) {
    uniform(p, values, rule);
  } else if (rule.starts_with("orthogonal")) {
    orthogonal(p, values, tensor);
  } else {
    check_.fail(p.name + ": unknown rule " + rule);
  }
}

void InitCase::exact(const Param& p, const std::vector<double>& values) {
  const std::string dataset = "exact/" + p.name;
  check_.mark_read(dataset);
  const std::vector<double> ref = expected_.read_doubles(dataset);
  check_.exact(dataset + " size", ref.size() == values.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(ref.size(), values.size()); ++i) worst = std::max(worst, std::abs(values[i] - ref[i]));
  check_.at_most(dataset, worst, limits_.at("exact_abs"));
}

void InitCase::uniform(const Param& p, const std::vector<double>& values, const std::string& rule) {
  double low = 0, high = 0;
  if (std::sscanf(rule.c_str(), "uniform(%lf, %lf)", &low, &high) != 2 || low != -high)
    return check_.fail(p.name + ": unknown rule " + rule);
  compare_uniform(p, values, {.half_width = high, .mean = 0.01, .deviation = 0.02}, check_);
}

void InitCase::orthogonal(const Param& p, const std::vector<double>& values, const json& tensor) {
  const bool rows = tensor.at("rule").get<std::string>().find("W W^T") != std::string::npos;
  const double gain = tensor.at("gain");
  std::vector<double> rounded;
  for (double x : values) rounded.push_back(static_cast<double>(bf16(static_cast<float>(x))));
  check_.at_most(p.name, distance_from_orthogonal(p, values, {gain, rows}, pool_), limits_.at("orthogonal_fp32_rel_to_gain2"));
  check_.at_most(p.name + " in bf16", distance_from_orthogonal(p, rounded, {gain, rows}, pool_),
                 limits_.at("orthogonal_bf16_rel_to_gain2"));
}

void InitCase::widths() {
  const json table = case_.json.value("lora_dims_by_n_embd", json::object());
  for (const auto& [n_embd, widths] : table.items()) {
    ModelSpec given;
    given.n_embd = std::stoll(n_embd);
    given.vocab_size = 1;
    given.head_size = case_.json.value("head_size", 0);
    const ModelSpec spec = family_of("x070").spec_for_new(given);
    const json ours{{"w", spec.decay_lora}, {"a", spec.aaa_lora}, {"v", spec.mv_lora}, {"g", spec.gate_lora}};
    check_.exact("low-rank widths of n_embd " + n_embd, widths == ours);
  }
}

}  // namespace

void run_init(const Case& c, const Options& options, Check& check) { InitCase(c, options, check).run(); }

}  // namespace rk::golden
