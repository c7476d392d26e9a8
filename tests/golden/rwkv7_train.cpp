// Golden training runs: the product's trainer on a case's data and weights, every number of every step compared.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "golden/handlers.h"
#include "golden/train_support.h"
#include "io/tensor_file.h"

namespace rk::golden {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// How a variant differs from the plain run.
struct Variant {
  int world = 1;
  int64_t accumulate = 1;
  bool grad_cp = false;
};

class TrainCase {
 public:
  TrainCase(const Case& c, const Options& options, Check& check)
      : case_(c), options_(options), check_(check), expected_(c.path("expected.h5")), o_(c.json.at("options")) {}

  void run();

 private:
  bool leads() const { return !options_.mpi || options_.mpi->rank() == 0; }
  bool wide() const { return options_.dtype != DType::bf16; }
  const json& limits() const { return case_.json.at("tolerance").at(wide() ? "fp32" : "bf16"); }
  RunConfig config(const Variant& v, const std::string& proj_dir) const;
  void prepare(const std::string& proj_dir, const std::string& weights, const std::string& as);
  void compare_steps(const std::string& group, const std::vector<History>& ranks, int64_t micro_bsz);
  void compare_schedule(const History& h);
  void compare_log(const std::string& world, const std::string& proj_dir);
  void compare_files(const std::string& world, const std::string& proj_dir);
  void compare_weights(const std::string& proj_dir);
  void compare_moments(CheckpointReader& reader);
  void run_resume(const std::string& proj_dir);
  void refuse_unknown_options();
  std::vector<double> sampled(const std::string& dataset, const std::vector<double>& x) const;

  const Case& case_;
  const Options& options_;
  Check& check_;
  Hdf5Reader expected_;
  const json& o_;
  std::vector<double> first_losses_;
};

void TrainCase::refuse_unknown_options() {
  static const std::set<std::string> known{"n_layer",       "n_embd",
                                           "vocab_size",    "ctx_len",
                                           "head_size",     "global_batch",
                                           "micro_bsz",     "lr_init",
                                           "lr_final",      "warmup_steps",
                                           "beta1",         "beta2",
                                           "adam_eps",      "grad_clip",
                                           "l2wrap",        "weight_decay",
                                           "magic_prime",   "my_exit_tokens",
                                           "epoch_steps",   "epoch_save",
                                           "compute_dtype", "samples_per_mini_epoch"};
  for (const auto& [name, value] : o_.items())
    if (!known.contains(name)) check_.fail("unknown option " + name);
}

RunConfig TrainCase::config(const Variant& v, const std::string& proj_dir) const {
  RunConfig c;
  c.proj_dir = proj_dir;
  c.data_file = case_.path(case_.json.at("data_prefix").get<std::string>());
  c.train_stage = 3;
  c.n_layer = o_.at("n_layer");
  c.n_embd = o_.at("n_embd");
  c.vocab_size = o_.at("vocab_size");
  c.head_size = o_.value("head_size", 0);
  c.ctx_len = o_.at("ctx_len");
  c.accumulate = v.accumulate;
  c.micro_bsz = o_.at("global_batch").get<int64_t>() / (v.world * v.accumulate);
  c.lr_init = o_.at("lr_init");
  c.lr_final = o_.at("lr_final");
  c.warmup_steps = o_.at("warmup_steps");
  c.beta1 = o_.at("beta1");
  c.beta2 = o_.at("beta2");
  c.adam_eps = o_.at("adam_eps");
  c.weight_decay = o_.at("weight_decay");
  c.grad_clip = o_.at("grad_clip");
  c.l2wrap = o_.at("l2wrap");
  c.magic_prime = o_.at("magic_prime");
  c.my_exit_tokens = o_.at("my_exit_tokens");
  c.epoch_steps = o_.at("epoch_steps");
  c.epoch_save = o_.at("epoch_save");
  c.grad_cp = v.grad_cp;
  c.zero = options_.zero;
  c.precision = wide() ? "fp32" : "bf16";
  c.save_every = {.every = 1};
  c.keep_last = 1 << 20;
  return c;
}

void TrainCase::prepare(const std::string& proj_dir, const std::string& weights, const std::string& as) {
  if (leads()) {
    fs::create_directories(proj_dir);
    fs::copy_file(weights, proj_dir + "/" + as);
  }
  if (options_.mpi) options_.mpi->barrier();
}

void TrainCase::compare_steps(const std::string& group, const std::vector<History>& ranks, int64_t micro_bsz) {
  const size_t me = options_.mpi ? static_cast<size_t>(options_.mpi->rank()) : 0;
  const History& h = ranks[me];
  const double loss_limit = limits().at("loss_abs");
  const auto absolute = [&](const std::string& name, const std::vector<double>& x, double limit) {
    const std::string dataset = group + "/" + name;
    check_.mark_read(dataset);
    const auto ref = expected_.read_doubles(dataset);
    if (ref.size() != x.size()) return check_.fail(cat(dataset, ": ", x.size(), " values, expected ", ref.size()));
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - ref[i]));
    check_.at_most(dataset, worst, limit);
  };
  absolute("loss_per_step", h.loss, loss_limit);
  // All variants compute the same thing.
  if (group != "resume") {
    if (first_losses_.empty()) first_losses_ = h.loss;
    double apart = 0;
    for (size_t i = 0; i < std::min(h.loss.size(), first_losses_.size()); ++i)
      apart = std::max(apart, std::abs(h.loss[i] - first_losses_[i]));
    check_.at_most(group + " against the first variant", apart, loss_limit);
  }
  if (const std::string norms = group + "/grad_norm_per_step"; expected_.has(norms)) {
    check_.mark_read(norms);
    const auto ref = expected_.read_doubles(norms);
    double worst = ref.size() == h.grad_norm.size() ? 0 : INFINITY;
    for (size_t i = 0; i < std::min(ref.size(), h.grad_norm.size()); ++i)
      worst = std::max(worst, std::abs(h.grad_norm[i] - ref[i]) / ref[i]);
    check_.at_most(norms, worst, limits().at("grad_norm_rel"));
  }
  if (expected_.has(group + "/lr_per_step")) {
    check_.mark_read(group + "/lr_per_step");
    check_.at_most(group + "/lr_per_step", max_metric(h.lr, expected_.read_doubles(group + "/lr_per_step")), 1e-9);
  }
  if (!expected_.has(group + "/sample_offset")) return;
  check_.mark_read(group + "/sample_offset");
  check_.mark_read(group + "/loss_per_rank");
  const auto offsets = expected_.read_ints(group + "/sample_offset");
  const auto losses = expected_.read_doubles(group + "/loss_per_rank");
  const size_t world = ranks.size(), steps = h.loss.size();
  const auto B = static_cast<size_t>(micro_bsz);
  for (size_t r = 0; r < world; ++r) {
    if (options_.mpi && r != me) continue;
    double worst = 0;
    bool same = offsets.size() == steps * world * B && ranks[r].offsets.size() == steps * B && losses.size() == steps * world;
    for (size_t s = 0; s < steps && same; ++s) {
      worst = std::max(worst, std::abs(losses[s * world + r] - ranks[r].rank_loss[s]));
      for (size_t j = 0; j < B; ++j) same = same && offsets[(s * world + r) * B + j] == ranks[r].offsets[s * B + j];
    }
    check_.exact(cat(group, "/sample_offset of rank ", r), same);
    check_.at_most(cat(group, "/loss_per_rank of rank ", r), worst, loss_limit);
  }
}

void TrainCase::compare_schedule(const History& h) {
  const double lr_limit = case_.json.at("tolerance").at("fp32").at("lr_rel");
  check_.mark_read("lr_per_step");
  check_.at_most("lr_per_step", max_metric(h.lr, expected_.read_doubles("lr_per_step")), lr_limit);
  check_.mark_read("clip_coef_per_step");
  check_.at_most("clip_coef_per_step", max_metric(h.clip, expected_.read_doubles("clip_coef_per_step")), limits().at("grad_norm_rel"));
}

// "epoch loss ppl lr date time n": numbers within the loss tolerance, the form to the letter.
void TrainCase::compare_log(const std::string& world, const std::string& proj_dir) {
  static const std::regex form(R"((\d+) (\d+\.\d{6}) (\d+\.\d{4}) (\d+\.\d{8}) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} (\d+))");
  std::vector<std::string> lines;
  std::ifstream in(proj_dir + "/train_log.txt");
  for (std::string line; std::getline(in, line);)
    if (std::regex_match(line, form)) lines.push_back(line);
  const auto& wanted = case_.json.at("train_log_lines").at(world);
  if (wanted.size() != lines.size()) return check_.fail(cat(world, " train_log.txt: ", lines.size(), " lines, expected ", wanted.size()));
  for (size_t i = 0; i < lines.size(); ++i) {
    long long epoch, n, epoch2, n2;
    double loss, ppl, lr, loss2, ppl2, lr2;
    std::sscanf(wanted[i].get<std::string>().c_str(), "%lld %lf %lf %lf %*s %*s %lld", &epoch, &loss, &ppl, &lr, &n);
    std::sscanf(lines[i].c_str(), "%lld %lf %lf %lf %*s %*s %lld", &epoch2, &loss2, &ppl2, &lr2, &n2);
    check_.exact(cat(world, " train_log.txt line ", i), epoch == epoch2 && n == n2 && std::abs(lr - lr2) < 1.5e-8);
    const double limit = limits().at("loss_abs").get<double>() + 1e-6;
    check_.at_most(cat(world, " train_log.txt loss ", i), std::abs(loss - loss2), limit);
    check_.at_most(cat(world, " train_log.txt perplexity ", i), std::abs(ppl - ppl2), ppl * std::expm1(limit) + 1e-4);
  }
}

void TrainCase::compare_files(const std::string& world, const std::string& proj_dir) {
  for (const auto& file : case_.json.at("files_written").at(world))
    check_.exact(cat(world, " wrote ", file.get<std::string>()), fs::exists(proj_dir + "/" + file.get<std::string>()));
}

std::vector<double> TrainCase::sampled(const std::string& dataset, const std::vector<double>& x) const {
  const auto stride = static_cast<size_t>(expected_.number_attribute(dataset, "stride").value_or(1));
  std::vector<double> s;
  for (size_t i = 0; i < x.size(); i += stride) s.push_back(x[i]);
  return s;
}

// Weights by their update against the initial file (Adam moves noise-only elements by whole steps), after the first and the last step.
void TrainCase::compare_weights(const std::string& proj_dir) {
  const auto initial = open_tensor_file(case_.path(case_.json.at("weights")));
  const double lr0 = expected_.read_doubles("lr_per_step").at(0);
  for (const auto& group : {std::string("after1"), std::string("after20")}) {
    char folder[32];
    std::snprintf(folder, sizeof folder, "/step-%08d", std::stoi(group.substr(5)));
    CheckpointReader reader(proj_dir + folder);
    std::vector<double> metrics;
    for (const TensorShape& t : reader.tensors()) {
      const std::string dataset = group + "/" + t.name;
      check_.mark_read(dataset);
      if (!expected_.has(dataset)) continue;  // of a tensor that the reference's file lacks
      const auto ref = expected_.read_doubles(dataset);
      const int index = initial->find(t.name);
      if (index < 0) {
        check_.fail(cat(t.name, " is not in the initial weights"));
        continue;
      }
      const auto now = whole(reader, t, "master");
      std::vector<double> before(now.size());
      initial->read_as(static_cast<size_t>(index), 0, static_cast<int64_t>(now.size()), before.data());
      const auto x = sampled(dataset, now), x0 = sampled(dataset, before);
      if (x.size() != ref.size()) {
        check_.fail(cat(dataset, ": ", x.size(), " elements, expected ", ref.size()));
        continue;
      }
      if (group == "after1") {
        double worst = 0;
        const double rel = limits().at("after1_rel"), abs = limits().at("after1_abs_per_lr0").get<double>() * lr0;
        for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - ref[i]) / (rel * std::abs(ref[i]) + abs));
        check_.at_most(dataset, worst, 1);
      } else {
        std::vector<double> update, ref_update;
        for (size_t i = 0; i < x.size(); ++i) {
          update.push_back(x[i] - x0[i]);
          ref_update.push_back(ref[i] - x0[i]);
        }
        metrics.push_back(fro_metric(update, ref_update));
        check_.at_most(dataset, metrics.back(), limits().at("after20_update_fro"));
      }
    }
    if (metrics.empty()) continue;
    std::nth_element(metrics.begin(), metrics.begin() + static_cast<std::ptrdiff_t>(metrics.size() / 2), metrics.end());
    check_.at_most("median of after20", metrics[metrics.size() / 2], limits().at("after20_update_fro_median_of_tensors"));
    compare_moments(reader);
  }
}

// The moments began at zero: they are their own updates.
void TrainCase::compare_moments(CheckpointReader& reader) {
  for (const TensorShape& t : reader.tensors())
    for (const char* part : {"m", "v"}) {
      const std::string dataset = cat("adam_", part, "20/", t.name);
      if (!expected_.has(dataset)) continue;
      check_.mark_read(dataset);
      check_.at_most(dataset, fro_metric(sampled(dataset, whole(reader, t, part)), expected_.read_doubles(dataset)),
                     limits().at("after20_update_fro"));
    }
}

// The reference's weights-only restart.
void TrainCase::run_resume(const std::string& proj_dir) {
  const json& r = case_.json.at("resume");
  const std::string file = r.at("from_file");
  const TemporaryFolder folder(options_.mpi);
  prepare(folder.path(), proj_dir + "/" + file, file);
  RunConfig c = config({}, folder.path());
  c.warmup_steps = -1;
  const auto ranks = train_on(options_, c, 1);
  compare_steps("resume", ranks, c.micro_bsz);
}

void TrainCase::run() {
  refuse_unknown_options();
  const int mpi_world = options_.mpi ? options_.mpi->size() : 0;
  std::set<std::string> groups;
  for (const auto& name : expected_.datasets()) groups.insert(name.substr(0, name.find('/')));
  static const std::regex variant_form(R"((world|accum)(\d+)|grad_cp)");
  for (const auto& group : groups) {
    std::smatch m;
    if (!std::regex_match(group, m, variant_form)) continue;
    Variant v;
    if (m[1] == "world") v.world = std::stoi(m[2]);
    if (m[1] == "accum") v.accumulate = std::stoll(m[2]);
    v.grad_cp = group == "grad_cp";
    if (mpi_world && mpi_world != v.world) continue;
    if (options_.gpu && !mpi_world && v.world > 1) continue;
    const TemporaryFolder folder(options_.mpi);
    const std::string proj_dir = folder.path() + "/run";
    prepare(proj_dir, case_.path(case_.json.at("weights")), "rwkv-init.pth");
    const RunConfig c = config(v, proj_dir);
    const auto ranks = train_on(options_, c, v.world);
    compare_steps(group, ranks, c.micro_bsz);
    if (m[1] != "world" || !leads()) continue;
    compare_log(group, proj_dir);
    compare_files(group, proj_dir);
    if (v.world != 1) continue;
    compare_schedule(ranks[0]);
    if (!wide()) continue;
    compare_weights(proj_dir);
    if (case_.json.contains("resume")) run_resume(proj_dir);
  }
  if (!mpi_world && !options_.gpu && wide()) check_.all_read(expected_, case_.json.value("informative", json::array()));
}

}  // namespace

void run_train_20_steps(const Case& c, const Options& options, Check& check) { TrainCase(c, options, check).run(); }

}  // namespace rk::golden
