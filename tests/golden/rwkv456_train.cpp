// Golden cases of the trainers of RWKV-4, 5 and 6: schedules, the optimizer's groups, and whole runs through the product's trainer.
#include <cmath>
#include <filesystem>
#include <set>

#include "data/binidx_writer.h"
#include "golden/data_support.h"
#include "golden/handlers.h"
#include "golden/model_support.h"
#include "golden/train_support.h"
#include "io/tensor_file.h"
#include "train/architecture.h"
#include "train/build.h"
#include "train/schedule.h"

namespace rk::golden {
namespace {

using nlohmann::json;

bool is_v4(const std::string& version) { return version.starts_with('4') || version.starts_with("v4"); }
double warmup_floor(const std::string& version) { return is_v4(version) ? 0.2 : 0.01; }
std::string dialect(const std::string& version) { return is_v4(version) ? "rwkv4" : "rwkv5"; }
std::string arch(const std::string& version) { return is_v4(version) ? "x040" : version.starts_with('5') ? "x052" : "x060"; }

double relative(double x, double ref) { return ref == 0 ? std::abs(x) : std::abs(x - ref) / std::abs(ref); }
double worst_relative(const std::vector<double>& x, const std::vector<double>& ref) {
  double worst = x.size() == ref.size() ? 0 : INFINITY;
  for (size_t i = 0; i < std::min(x.size(), ref.size()); ++i) worst = std::max(worst, relative(x[i], ref[i]));
  return worst;
}

void compare_schedule(const std::string& name, const json& o, const Hdf5Reader& expected, Check& check) {
  refuse_unknown(o,
                 {"lr_init", "lr_final", "warmup_steps", "epoch_count", "epoch_begin", "epoch_steps", "my_pile_edecay", "my_exit_tokens",
                  "ctx_len", "real_bsz", "weight_decay", "weight_decay_final", "layerwise_lr", "exit_before_step"},
                 name, check);
  Schedule s;
  s.lr_init = o.at("lr_init");
  s.lr_final = o.at("lr_final");
  s.warmup_steps = o.at("warmup_steps");
  s.warmup_floor = warmup_floor(name);
  s.ctx_len = o.at("ctx_len");
  s.real_bsz = o.at("real_bsz");
  s.my_exit_tokens = o.at("my_exit_tokens");
  s.epoch_begin = o.at("epoch_begin");
  s.epoch_steps = o.at("epoch_steps");
  s.epoch_count = o.at("epoch_count");
  s.my_pile_edecay = o.at("my_pile_edecay");
  s.weight_decay = o.at("weight_decay");
  s.weight_decay_final = o.at("weight_decay_final");
  const std::vector<double> lr = expected.read_doubles(name + "/lr"), wd = expected.read_doubles(name + "/wd"),
                            group_lr = expected.read_doubles(name + "/group_lr");
  for (const char* part : {"/lr", "/wd", "/group_lr"}) check.mark_read(name + part);
  const bool layerwise = o.at("layerwise_lr").get<int>() != 0;
  const double scales[] = {1, 2, 3, 1};
  std::vector<double> rates, decays, of_groups;
  int64_t exit = -1;
  for (int64_t step = 0; step < std::ssize(lr); ++step) {
    rates.push_back(s.lr(step));
    decays.push_back(s.decay(step));
    for (double scale : scales) of_groups.push_back(s.lr(step) * (layerwise ? scale : 1));
    if (exit < 0 && s.past_horizon(step)) exit = step;
  }
  check.at_most(name + "/lr", worst_relative(rates, lr), 1e-12);
  check.at_most(name + "/wd", worst_relative(decays, wd), 1e-12);
  check.at_most(name + "/group_lr", worst_relative(of_groups, group_lr), 1e-12);
  check.exact(name + " exit_before_step", exit == (o.at("exit_before_step").is_null() ? -1 : o.at("exit_before_step").get<int64_t>()));
}

// Names of parameters by (scale of the learning rate, whether they decay).
using Groups = std::map<std::pair<double, bool>, std::set<std::string>>;

Groups groups_of(const Model& model) {
  Groups groups;
  for (const Param& p : model.params.all())
    if (p.trainable) groups[{p.lr_scale, p.decay}].insert(p.name);
  return groups;
}

Groups groups_of(const json& listed) {
  Groups groups;
  for (const json& g : listed) {
    const bool decays = g.at("weight_decay").get<double>() > 0;
    for (const json& name : g.at("params")) groups[{g.at("my_lr_scale").get<double>(), decays}].insert(name.get<std::string>());
  }
  return groups;
}

void compare_groups(const json& entry, const json& sizes, Check& check) {
  RunConfig c;
  const std::string version = std::to_string(entry.at("version").get<int>());
  const json& o = entry.at("options");
  refuse_unknown(entry, {"version", "options", "layerwise_lr", "my_pile_stage", "weight_decay", "adam_w_mode", "groups", "not_optimised"},
                 "groups", check);
  refuse_unknown(o, {"head_qk", "tiny_att_dim", "tiny_att_layer", "pre_ffn", "my_pos_emb", "train_type"}, "options", check);
  c.arch = arch(version);
  c.dialect = dialect(version);
  c.n_layer = sizes.at("n_layer");
  c.n_embd = sizes.at("n_embd");
  c.vocab_size = 100;
  c.head_qk = o.value("head_qk", 0);
  c.tiny_att_dim = o.value("tiny_att_dim", 0);
  c.tiny_att_layer = o.value("tiny_att_layer", -999);
  c.pre_ffn = o.value("pre_ffn", 0) != 0;
  c.my_pos_emb = o.value("my_pos_emb", 0);
  c.state_tune = o.value("train_type", "") == "states";
  c.layerwise_lr = entry.at("layerwise_lr").get<int>() != 0;
  c.train_stage = entry.at("my_pile_stage");
  c.weight_decay = entry.at("weight_decay");
  const Family& family = family_of(c.arch);
  const auto model = family.make(family.spec_for_new(given_spec(c)));
  prepare_training(*model, family, c);
  const std::string what = cat("RWKV-", version, " ", o.dump(), " layerwise_lr ", c.layerwise_lr, " my_pile_stage ", c.train_stage,
                               " weight_decay ", c.weight_decay);
  check.exact(what, groups_of(*model) == groups_of(entry.at("groups")));
  std::set<std::string> frozen, listed;
  for (const Param& p : model->params.all())
    if (!p.trainable) frozen.insert(p.name);
  for (const json& name : entry.at("not_optimised")) listed.insert(name.get<std::string>());
  check.exact(what + ", frozen", frozen == listed);
}

// How a run differs from the plain one.
struct Variant {
  const char* name;
  int world;
  int64_t accumulate, chunk_ctx;
  bool grad_cp;
};

class TrainCase {
 public:
  TrainCase(const Case& c, const Options& options, Check& check)
      : case_(c), options_(options), check_(check), expected_(c.path("expected.h5")), o_(c.json.at("hyper")) {
    version_ = c.json.at("version").get<std::string>();
    B_ = c.json.at("B");
    T_ = c.json.at("T");
    steps_ = c.json.at("steps");
  }
  void run();

 private:
  bool wide() const { return options_.dtype != DType::bf16; }
  const json& limits() const { return case_.json.at("tolerance").at("fp32"); }
  void write_data(const std::string& prefix);
  RunConfig config(const Variant& v, const std::string& folder) const;
  void run(const Variant& v, const std::string& data);
  void compare_steps(const std::string& variant, const History& h);
  void compare_membership(const RunConfig& c);
  void compare_state(const std::string& variant, const std::string& folder, int64_t step, const std::string& prefix);
  void compare_tensor(const std::string& what, const std::string& prefix, const TensorShape& t, const std::vector<double>& x, double limit,
                      bool relative);
  std::vector<double> read(const std::string& dataset) {
    check_.mark_read(dataset);
    return expected_.read_doubles(dataset);
  }

  const Case& case_;
  const Options& options_;
  Check& check_;
  Hdf5Reader expected_;
  const json& o_;
  std::string version_;
  int64_t B_, T_, steps_;
};

// One document a sample: its tokens, and the last target behind them.
void TrainCase::write_data(const std::string& prefix) {
  const std::vector<int64_t> tokens = expected_.read_ints("batches/idx"), targets = expected_.read_ints("batches/targets");
  for (const char* name : {"batches/idx", "batches/targets"}) check_.mark_read(name);
  BinidxWriter writer({.prefix = prefix, .dtype = token_dtype(o_.at("vocab_size"))});
  bool shifted = true;
  for (int64_t row = 0; row < steps_ * B_; ++row) {
    std::vector<int32_t> document;
    for (int64_t t = 0; t < T_; ++t) {
      document.push_back(static_cast<int32_t>(tokens[static_cast<size_t>(row * T_ + t)]));
      if (t > 0) shifted = shifted && document.back() == targets[static_cast<size_t>(row * T_ + t - 1)];
    }
    document.push_back(static_cast<int32_t>(targets[static_cast<size_t>(row * T_ + T_ - 1)]));
    writer.append(document);
    writer.end_sequence();
    writer.end_document();
  }
  check_.exact("targets are the tokens behind", shifted);
  writer.finish();
  writer.commit();
}

RunConfig TrainCase::config(const Variant& v, const std::string& folder) const {
  refuse_unknown(o_,
                 {"n_layer",
                  "n_embd",
                  "dim_att",
                  "dim_ffn",
                  "vocab_size",
                  "head_size_a",
                  "head_size_divisor",
                  "ctx_len",
                  "lr_init",
                  "lr_final",
                  "warmup_steps",
                  "adam_eps",
                  "layerwise_lr",
                  "my_pile_stage",
                  "epoch_count",
                  "my_pile_edecay",
                  "weight_decay",
                  "epoch_begin",
                  "epoch_steps",
                  "weight_decay_final",
                  "my_exit_tokens",
                  "real_bsz",
                  "beta1",
                  "beta2",
                  "grad_clip",
                  "micro_bsz",
                  "devices"},
                 "hyper", check_);
  RunConfig c;
  c.proj_dir = folder;
  c.arch = arch(version_);
  c.dialect = dialect(version_);
  c.load_model = case_.path("rwkv-init.pth");
  c.train_stage = o_.at("my_pile_stage");
  c.dataload = "only";
  c.data_shuffle = false;
  c.n_layer = o_.at("n_layer");
  c.n_embd = o_.at("n_embd");
  c.dim_att = o_.at("dim_att");
  c.dim_ffn = o_.at("dim_ffn");
  c.vocab_size = o_.at("vocab_size");
  c.head_size = o_.at("head_size_a");
  c.head_size_divisor = o_.at("head_size_divisor");
  c.ctx_len = o_.at("ctx_len");
  c.global_bsz = o_.at("real_bsz");
  c.accumulate = v.accumulate;
  c.micro_bsz = std::max<int64_t>(1, c.global_bsz / (v.world * v.accumulate));
  c.chunk_ctx = v.chunk_ctx;
  c.grad_cp = v.grad_cp;
  c.lr_init = o_.at("lr_init");
  c.lr_final = o_.at("lr_final");
  c.warmup_steps = o_.at("warmup_steps");
  c.warmup_floor = warmup_floor(version_);
  c.layerwise_lr = o_.at("layerwise_lr").get<int>() != 0;
  c.my_pile_edecay = o_.at("my_pile_edecay");
  c.weight_decay = o_.at("weight_decay");
  c.weight_decay_final = o_.at("weight_decay_final");
  c.epoch_count = o_.at("epoch_count");
  c.epoch_begin = o_.at("epoch_begin");
  c.epoch_steps = o_.at("epoch_steps");
  c.my_exit_tokens = o_.at("my_exit_tokens");
  c.max_steps = steps_;
  c.adam_eps = o_.at("adam_eps");
  c.beta1 = o_.at("beta1");
  c.beta2 = o_.at("beta2");
  c.grad_clip = o_.at("grad_clip");
  c.zero = options_.zero;
  c.precision = wide() ? "fp32" : "bf16";
  c.save_every = {.every = 1};
  c.epoch_save = 0;
  c.keep_last = 1 << 20;
  return c;
}

// bf16: "loss within 1% per step, grad_norm within 5%".
void TrainCase::compare_steps(const std::string& variant, const History& h) {
  const double loss = wide() ? limits().at("loss").get<double>() : 0.01, norm = wide() ? limits().at("grad_norm").get<double>() : 0.05;
  check_.at_most(variant + " loss_per_step", worst_relative(h.loss, read("loss_per_step")), loss);
  check_.at_most(variant + " grad_norm_per_step", worst_relative(h.grad_norm, read("grad_norm_per_step")), norm);
  check_.at_most(variant + " clip_coef_per_step", worst_relative(h.clip, read("clip_coef_per_step")), norm);
  check_.at_most(variant + " lr_per_step", worst_relative(h.lr, read("lr_per_step")), limits().at("lr"));
  check_.at_most(variant + " wd_per_step", worst_relative(h.weight_decay, read("wd_per_step")), limits().at("lr"));
  std::vector<double> lr, wd;
  for (size_t s = 0; s < h.lr.size(); ++s)
    for (const json& g : case_.json.at("optimizer").at("groups")) {
      lr.push_back(h.lr[s] * g.at("my_lr_scale").get<double>());
      wd.push_back(g.at("weight_decay").get<double>() > 0 ? h.weight_decay[s] : 0);
    }
  check_.at_most(variant + " group_lr_per_step", worst_relative(lr, read("group_lr_per_step")), limits().at("lr"));
  check_.at_most(variant + " group_wd_per_step", worst_relative(wd, read("group_wd_per_step")), limits().at("lr"));
}

void TrainCase::compare_membership(const RunConfig& c) {
  Start start;
  start.kind = Start::Kind::weights;
  start.path = c.load_model;
  const auto model = build_model(c, start, nullptr);
  check_.exact("groups", groups_of(*model) == groups_of(case_.json.at("optimizer").at("groups")));
}

// limit: of the relative L2 error, or of rms(error).
void TrainCase::compare_tensor(const std::string& what, const std::string& prefix, const TensorShape& t, const std::vector<double>& x,
                               double limit, bool relative) {
  const std::string full = prefix + "full/" + t.name, digest = prefix + "digest/" + t.name;
  const double error = relative ? 1 : std::sqrt(static_cast<double>(x.size()));
  if (expected_.has(full)) {
    const std::vector<double> ref = read(full);
    double sum = 0, norm = 0;
    for (size_t i = 0; i < ref.size(); ++i) sum += (x.at(i) - ref[i]) * (x.at(i) - ref[i]), norm += ref[i] * ref[i];
    check_.at_most(what + full, ref.size() == x.size() ? std::sqrt(sum) : INFINITY, limit * (relative ? std::sqrt(norm) : error));
    return;
  }
  if (!expected_.has(digest)) return check_.fail(what + digest + " is missing");
  const std::vector<double> ref = read(digest);
  compare_digest_within(check_, what + digest, ref, x, t.shape.back(), limit * (relative ? ref.at(0) : error));
}

void TrainCase::compare_state(const std::string& variant, const std::string& folder, int64_t step, const std::string& prefix) {
  char name[32];
  std::snprintf(name, sizeof name, "/step-%08d", static_cast<int>(step));
  CheckpointReader reader(folder + name);
  const auto initial = open_tensor_file(case_.path("rwkv-init.pth"));
  const json& tolerance = case_.json.at("tolerance");
  const double sum_lr = tolerance.at(step == 1 ? "sum_lr1" : "sum_lr10"), limit = limits().at(step == 1 ? "update1" : "update");
  for (const TensorShape& t : reader.tensors()) {
    std::vector<double> x = whole(reader, t, "master"), before(x.size());
    const int index = initial->find(t.name);
    if (index < 0) {
      check_.fail(t.name + " is not in the initial weights");
      continue;
    }
    initial->read_as(static_cast<size_t>(index), 0, std::ssize(before), before.data());
    for (size_t i = 0; i < x.size(); ++i) x[i] -= before[i];
    compare_tensor(variant + " ", prefix, t, x, limit * sum_lr, false);
    if (step == 1) continue;
    compare_tensor(variant + " ", "exp_avg_", t, whole(reader, t, "m"), limits().at("exp_avg"), true);
    compare_tensor(variant + " ", "exp_avg_sq_", t, whole(reader, t, "v"), limits().at("exp_avg_sq"), true);
  }
}

void TrainCase::run(const Variant& v, const std::string& data) {
  const TemporaryFolder folder(options_.mpi);
  RunConfig c = config(v, folder.path() + "/run");
  c.data_file = data;
  const auto ranks = train_on(options_, c, v.world);
  compare_steps(v.name, ranks[options_.mpi ? static_cast<size_t>(options_.mpi->rank()) : 0]);
  if (!wide() || !folder.leads()) return;
  compare_state(v.name, c.proj_dir, 1, "update1_");
  compare_state(v.name, c.proj_dir, steps_, "update_");
}

void TrainCase::run() {
  const TemporaryFolder folder(options_.mpi);
  const std::string data = folder.path() + "/batches";
  if (folder.leads()) write_data(data);
  if (options_.mpi) options_.mpi->barrier();
  compare_membership(config({"groups", 1, 1, 0, false}, folder.path()));
  if (options_.mpi) return run({"mpi", options_.mpi->size(), 1, 0, false}, data);
  const Variant variants[] = {{"plain", 1, 1, 0, false},    {"accumulated", 1, 2, 0, false}, {"grad_cp", 1, 1, 0, true},
                              {"segments", 1, 1, 5, false}, {"2 ranks", 2, 1, 0, false},     {"3 ranks", 3, 1, 7, true}};
  for (const Variant& v : variants) {
    if (options_.gpu && v.world > 1) continue;
    run(v, data);
  }
  if (!options_.gpu && wide()) check_.all_read(expected_, case_.json.value("informative", json::array()));
}

}  // namespace

void run_old_schedule(const Case& c, const Options&, Check& check) {
  const Hdf5Reader expected(c.path("expected.h5"));
  for (const auto& [name, options] : c.json.at("configs").items()) compare_schedule(name, options, expected, check);
  check.all_read(expected, c.json.value("informative", json::array()));
}

void run_optim_groups(const Case& c, const Options&, Check& check) {
  for (const json& entry : json::parse(read_whole(c.path("groups.json")))) compare_groups(entry, c.json, check);
}

void run_old_train(const Case& c, const Options& options, Check& check) { TrainCase(c, options, check).run(); }

}  // namespace rk::golden
