// Golden initial weights, tensor names and sizes of RWKV-4, 5.2 and 6.
#include <cmath>
#include <cstdio>
#include <fstream>

#include "device/thread_pool.h"
#include "golden/data_support.h"
#include "golden/fresh_rules.h"
#include "golden/handlers.h"
#include "model/families.h"
#include "model/file_tensors.h"
#include "params/init.h"

namespace rk::golden {
namespace {

using nlohmann::json;

// The sizes and options of "hyper" that new models take.
ModelSpec spec_of(const json& hyper, const std::string& trainer) {
  const auto number = [&](const char* key) { return hyper.value(key, int64_t{0}); };
  ModelSpec given;
  given.n_layer = number("n_layer");
  given.n_embd = number("n_embd");
  given.dim_att = number("dim_att");
  given.dim_ffn = number("dim_ffn");
  given.vocab_size = number("vocab_size");
  given.head_size = number("head_size_a");
  given.old.head_qk = number("head_qk");
  given.old.tiny_att_dim = number("tiny_att_dim");
  given.old.tiny_att_layer = number("tiny_att_layer");
  given.old.pos_emb = number("my_pos_emb");
  given.old.pre_ffn = number("pre_ffn") != 0;
  given.old.ctx_len = number("ctx_len");
  if (trainer == "RWKV-v4neo") given.emb_init = hyper.at("lr_init");  // the other trainer has a number of its own
  return given;
}

std::vector<TensorInfo> infos_of(const json& rules) {
  std::vector<TensorInfo> infos;
  for (const auto& [name, rule] : rules.items()) infos.push_back({name, DType::f32, rule.at("shape").get<std::vector<int64_t>>()});
  return infos;
}

class InitCase {
 public:
  InitCase(const Case& c, const Options& options, Check& check)
      : case_(c), check_(check), expected_(c.path("expected.h5")), pool_(options.threads) {}

  void run() {
    const json &hyper = case_.json.at("hyper"), &rules = case_.json.at("rules");
    const std::string trainer = case_.json.at("trainer");
    refuse_unknown(case_.json, {"trainer", "hyper", "rules", "rule_kinds", "tolerance", "seed", "informative"}, "case.json", check_);
    refuse_unknown(hyper,
                   {"n_layer", "n_embd", "dim_att", "dim_ffn", "vocab_size", "head_size_a", "head_size_divisor", "head_qk", "tiny_att_dim",
                    "tiny_att_layer", "my_pos_emb", "pre_ffn", "ctx_len", "lr_init"},
                   "hyper", check_);
    if (trainer != "RWKV-v4neo" && trainer != "RWKV-v5") check_.fail("unknown trainer " + trainer);
    read_limits();
    const std::vector<TensorInfo> infos = infos_of(rules);
    const Family& family = family_of_file(infos, "rules");
    ModelSpec given = spec_of(hyper, trainer);
    given.arch = family.spec_from_file({}, infos, "rules").arch;  // with its variant
    for (const TensorInfo& t : infos)
      if (t.name == "copy_mask" || t.name.ends_with(".tiny_mask")) given.old.ctx_len = t.shape.at(0);
    const auto model = family.make(family.spec_for_new(given));
    size_t n = 0;
    for (const FileTensor& t : file_tensors(*model)) {
      const TensorInfo info = t.info(DType::f32);
      if (!rules.contains(info.name)) {
        check_.fail(info.name + " is not part of the case");
        continue;
      }
      ++n;
      check_.exact(info.name + " shape", rules.at(info.name).at("shape") == info.shape);
      t.param ? compare(*t.param, rules.at(info.name)) : compare(*t.derived);
    }
    check_.exact("names", n == rules.size());
    check_.all_read(expected_, case_.json.value("informative", json::array()));
  }

 private:
  void read_limits() {
    const std::string deterministic = case_.json.at("tolerance").at("deterministic"), matrix = case_.json.at("tolerance").at("orthogonal");
    if (std::sscanf(deterministic.c_str(), "abs %lf + rel %lf", &abs_, &rel_) != 2) check_.fail("unknown tolerance " + deterministic);
    if (std::sscanf(matrix.c_str(), "max |W W^T - gain^2 I| < %lf*gain^2", &orthogonal_) != 1) check_.fail("unknown tolerance " + matrix);
  }

  void compare(const Param& p, const json& rule) {
    const auto values = fresh_values(p, case_.json.value("seed", uint64_t{0}), &pool_);
    const std::string kind = rule.at("kind");
    if (kind.starts_with("deterministic")) {
      deterministic(p.name, values);
    } else if (kind == "zeros") {
      for (double x : values) check_.at_most(p.name, std::abs(x), 0);
    } else if (kind == "uniform") {
      const double own = 1 / std::sqrt(static_cast<double>(values.size()));  // five and four standard deviations of the two
      compare_uniform(p, values, {.half_width = rule.at("bound"), .mean = 3 * own, .deviation = 2 * own}, check_);
    } else if (kind == "orthogonal") {
      const OrthogonalRule by{rule.at("gain"), p.shape[0] <= p.shape[1]};
      check_.at_most(p.name, distance_from_orthogonal(p, values, by, pool_), orthogonal_);
    } else {
      check_.fail(p.name + ": unknown rule " + kind);
    }
  }

  void compare(const DerivedTensor& t) {
    std::vector<double> values;
    for (int64_t i = 0; i < t.shape.numel(); ++i) values.push_back(t.formula(i));
    deterministic(t.name, values);
  }

  void deterministic(const std::string& name, const std::vector<double>& values) {
    const std::string dataset = "init/" + name;
    check_.mark_read(dataset);
    const std::vector<double> ref = expected_.read_doubles(dataset);
    check_.exact(dataset + " size", ref.size() == values.size());
    double worst = 0;  // beyond the relative part
    for (size_t i = 0; i < std::min(ref.size(), values.size()); ++i)
      worst = std::max(worst, std::abs(values[i] - ref[i]) - rel_ * std::abs(ref[i]));
    check_.at_most(dataset, worst, abs_);
  }

  const Case& case_;
  Check& check_;
  Hdf5Reader expected_;
  ThreadPool pool_;
  double abs_ = 0, rel_ = 0, orthogonal_ = 0;
};

std::string arch_of(const std::string& version) { return version == "5" ? "x052" : cat("x0", version, "0"); }

// One row of the table of sizes.
void compare_size(const std::string& version, const std::string& label, const json& row, Check& check) {
  const std::string what = cat("RWKV-", version, " ", label, " ");
  refuse_unknown(row,
                 {"n_layer", "n_embd", "n_head", "dim_ffn", "params_per_layer", "params_V65536", "params_without_emb_head", "n_tensors",
                  "mix_lora", "decay_lora"},
                 what, check);
  ModelSpec given;
  given.arch = arch_of(version);
  given.n_layer = row.at("n_layer");
  given.n_embd = row.at("n_embd");
  given.vocab_size = 65536;
  given.mix_lora = row.value("mix_lora", int64_t{0});
  given.decay_lora = row.value("decay_lora", int64_t{0});
  const Family& family = family_of(given.arch);
  const ModelSpec spec = family.spec_for_new(given);
  const auto model = family.make(spec);
  int64_t in_layer = 0, outside = 0;
  for (const Param& p : model->params.all()) {
    if (p.name.starts_with("blocks.1.")) in_layer += p.numel();
    if (p.name != "emb.weight" && p.name != "head.weight") outside += p.numel();
  }
  check.exact(what + "dim_ffn", row.at("dim_ffn") == spec.dim_ffn);
  if (!row.at("n_head").is_null()) check.exact(what + "n_head", row.at("n_head") == spec.dim_att / spec.head_size);
  check.exact(what + "params_per_layer", row.at("params_per_layer") == in_layer);
  check.exact(what + "params_V65536", row.at("params_V65536") == model->params.numel());
  check.exact(what + "params_without_emb_head", row.at("params_without_emb_head") == outside);
  check.exact(what + "n_tensors", row.at("n_tensors") == file_tensors(*model).size());
}

// Names and shapes of one model in the order of its file, and the sizes that such a file says.
void compare_names(const std::string& version, const std::string& sizes, const json& list, Check& check) {
  ModelSpec given;
  given.arch = arch_of(version);
  long long L = 0, D = 0, V = 0;
  if (std::sscanf(sizes.c_str(), "tensors_of_a_%lld_layer_D%lld_V%lld_model_in_file_order", &L, &D, &V) != 3)
    return check.fail("unknown list " + sizes);
  given.n_layer = L;
  given.n_embd = D;
  given.vocab_size = V;
  const Family& family = family_of(given.arch);
  const auto model = family.make(family.spec_for_new(given));
  std::vector<TensorInfo> infos;
  for (const FileTensor& t : file_tensors(*model)) infos.push_back(t.info(DType::bf16));
  check.exact(cat("RWKV-", version, " number of tensors"), infos.size() == list.size());
  for (size_t i = 0; i < std::min(infos.size(), list.size()); ++i) {
    const std::string name = list[i].at("name");
    check.exact(cat("RWKV-", version, " tensor ", i, " ", name), name == infos[i].name);
    for (const auto& [key, shape] : list[i].items())
      if (key.starts_with("shape")) check.exact(cat("RWKV-", version, " shape of ", name), shape == infos[i].shape);
  }
  check.exact(cat("RWKV-", version, " is known by its file"), &family_of_file(infos, "names.json") == &family);
  const ModelSpec read = family.spec_from_file({}, infos, "names.json");
  check.exact(cat("RWKV-", version, " sizes of its file"), read.n_layer == L && read.n_embd == D && read.vocab_size == V);
}

}  // namespace

void run_init_old(const Case& c, const Options& options, Check& check) { InitCase(c, options, check).run(); }

void run_pth_names(const Case& c, const Options&, Check& check) {
  if (c.json.at("tolerance") != "exact") check.fail("unknown tolerance");
  std::ifstream in(c.path("names.json"));
  const json names = json::parse(in);
  for (const auto& [key, versions] : names.items())
    for (const auto& [version, entry] : versions.items()) {
      if (key != "per_size") {
        compare_names(version, key, entry, check);
        continue;
      }
      for (const auto& [label, row] : entry.items()) compare_size(version, label, row, check);
    }
}

}  // namespace rk::golden
