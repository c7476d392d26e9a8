// Golden cases of the models of RWKV-4, 5.2 and 6: logits, losses, gradients, states, with all options that these models have.
#include <algorithm>
#include <cmath>
#include <set>

#include "golden/data_support.h"
#include "golden/handlers.h"
#include "golden/model_support.h"
#include "kernels/cross_entropy/op.h"

namespace rk::golden {
namespace {

using nlohmann::json;
using test::ModelRunner;
using test::RunInput;
using test::RunOutput;
using test::Values;

// |x - ref| at its largest over the root mean square of ref.
double rms_metric(const std::vector<double>& x, const std::vector<double>& ref) {
  if (x.size() != ref.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) return NAN;
    worst = std::max(worst, std::abs(x[i] - ref[i]));
  }
  const double norm = norm_of({{"", ref}});
  return norm > 0 ? worst * std::sqrt(static_cast<double>(ref.size())) / norm : worst;
}

class OldModelCase {
 public:
  OldModelCase(const Case& c, const Options& options, Check& check)
      : case_(c), check_(check), expected_(c.path("expected.h5")), wide_(options.dtype != DType::bf16) {
    refuse_unknown(c.json,
                   {"hyper", "B", "T", "n_params", "seed", "files", "tolerance", "source", "informative", "checks_done", "segment",
                    "segment_lengths", "ctx_parts", "version", "weights_dtype", "option"},
                   "case.json", check);
    refuse_unknown(hyper(),
                   {"n_layer", "n_embd", "dim_att", "dim_ffn", "vocab_size", "head_size_a", "head_size_divisor", "pre_ffn", "head_qk",
                    "tiny_att_dim", "tiny_att_layer", "my_pos_emb", "ctx_len"},
                   "hyper", check);
    load(options);
    read_tokens();
  }

  const json& hyper() const { return case_.json.at("hyper"); }
  const json& option(const char* key) const { return case_.json.at(key); }
  bool wide() const { return wide_; }
  double limit(const char* what) const { return case_.json.at("tolerance").at(wide_ ? "fp32" : "bf16").at(what); }
  const RunInput& input() const { return input_; }
  ModelRunner& runner() { return *loaded_.runner; }
  const ModelSpec& spec() const { return loaded_.spec; }
  Check& check() { return check_; }
  const Hdf5Reader& expected() const { return expected_; }
  bool has(const std::string& dataset) const { return expected_.has(dataset); }
  bool has_group(const std::string& group) const {
    const auto all = expected_.datasets();
    return std::any_of(all.begin(), all.end(), [&](const std::string& d) { return d.starts_with(group + "/"); });
  }
  std::vector<double> read(const std::string& dataset) {
    check_.mark_read(dataset);
    return expected_.read_doubles(dataset);
  }
  // Largest error over the rms of what is expected: logits, states, losses.
  void compare(const std::string& dataset, const std::vector<double>& x, double limit, const std::string& what = "") {
    check_.at_most(cat(what, dataset), rms_metric(x, read(dataset)), limit);
  }
  // PREFIXfull/TENSOR and PREFIXdigest/TENSOR against gradients, which must be all that the model has.
  void compare_grads(const std::string& prefix, const Values& grads, double limit, const std::string& what = "") {
    std::set<std::string> seen;
    for (const std::string& dataset : expected_.datasets()) {
      const bool full = dataset.starts_with(prefix + "full/"), digest = dataset.starts_with(prefix + "digest/");
      if (!full && !digest) continue;
      const std::string name = dataset.substr(prefix.size() + (full ? 5 : 7));
      const auto it = grads.find(name);
      if (it == grads.end()) {
        check_.fail(dataset + " is nothing that the model has");
        continue;
      }
      seen.insert(name);
      if (full) {
        check_.at_most(cat(what, dataset), fro_metric(it->second, read(dataset)), limit);
      } else {
        const Shape& shape = runner().model().params.at(name).shape;
        compare_digest(check_, cat(what, dataset), read(dataset), it->second, shape[shape.rank - 1], limit);
      }
    }
    check_.exact(prefix + " has all tensors", seen.size() == grads.size());
  }
  void finish() { check_.all_read(expected_, case_.json.value("informative", json::array())); }

 private:
  void load(const Options& options) {
    ModelSpec given;
    given.head_size_divisor = hyper().at("head_size_divisor");
    loaded_ = load_runner(case_.path(case_.json.value("model", "model.pth")), given, options);
    const ModelSpec& s = loaded_.spec;
    const Model& model = loaded_.runner->model();
    check_.exact("family", model.family == "rwkv" + case_.json.at("version").get<std::string>().substr(0, 1));
    const std::pair<const char*, int64_t> sizes[] = {
        {"n_layer", s.n_layer},     {"n_embd", s.n_embd},          {"vocab_size", s.vocab_size},
        {"dim_att", s.dim_att},     {"dim_ffn", s.dim_ffn},        {"head_qk", s.old.head_qk},
        {"pre_ffn", s.old.pre_ffn}, {"my_pos_emb", s.old.pos_emb}, {"tiny_att_dim", s.old.tiny_att_dim}};
    for (const auto& [key, size] : sizes) check_.exact(key, hyper().at(key) == size);
    if (s.head_size > 0) check_.exact("head_size_a", hyper().at("head_size_a") == s.head_size);
    if (s.old.tiny_att_dim > 0) check_.exact("tiny_att_layer", hyper().at("tiny_att_layer") == s.old.tiny_att_layer);
    if (s.old.ctx_len > 0) check_.exact("ctx_len", hyper().at("ctx_len") == s.old.ctx_len);
    if (case_.json.contains("n_params")) check_.exact("n_params", case_.json.at("n_params") == model.params.numel());
  }
  void read_tokens() {
    const std::vector<int64_t> shape = expected_.info("idx").shape;
    input_.B = shape.at(0);
    input_.T = shape.at(1);
    check_.exact("B", case_.json.at("B") == input_.B);
    check_.exact("T", case_.json.at("T") == input_.T);
    for (double id : read("idx")) input_.tokens.push_back(static_cast<int32_t>(id));
    for (double id : read("targets")) input_.targets.push_back(static_cast<int32_t>(id));
    input_.l2_factor = 1e-4;
  }

  const Case& case_;
  Check& check_;
  Hdf5Reader expected_;
  bool wide_;
  LoadedRunner loaded_;
  RunInput input_;
};

// dL/dlogits, from the logits, as the head forms it.
std::vector<double> gradient_of_logits(std::vector<double> logits, const RunInput& in, const Options& options) {
  const int64_t R = in.B * in.T, V = static_cast<int64_t>(logits.size()) / R;
  ThreadPool pool(options.threads);
  Arena measured;
  std::vector<int32_t> targets = in.targets;
  CrossEntropy ce;
  ce.logits = {logits.data(), {R, V}, DType::f64, Device::cpu};
  ce.targets = {targets.data(), {R}, DType::i32, Device::cpu};
  ce.scale = 1 / static_cast<double>(R);
  ce.l2_scale = in.l2_factor / static_cast<double>(R);
  ce.want_gradient = true;
  double loss = 0;
  ce.loss_sum = {&loss, {1}, DType::f64, Device::cpu};
  rk::run(Exec{.pool = &pool, .scratch = &measured}, ce);
  Arena scratch(Buffer(Device::cpu, measured.peak()));
  rk::run(Exec{.pool = &pool, .scratch = &scratch}, ce);
  return logits;
}

}  // namespace

void run_old_grads(const Case& c, const Options& options, Check& check) {
  OldModelCase m(c, options, check);
  const RunInput in = m.input();
  const RunOutput out = m.runner().train(in);
  m.compare("logits", out.logits, m.limit("logits"));
  m.compare("loss", {out.loss}, m.limit("loss"));
  m.compare_grads("grad_", out.grads, m.limit("grad"));
  check.at_most("grad_logits", fro_metric(gradient_of_logits(out.logits, in, options), m.read("grad_logits")), m.limit("grad"));
  const double norm = m.read("grad_norm_global").at(0);
  check.at_most("grad_norm_global", std::abs(norm_of(out.grads) / norm - 1), m.limit("grad"));
  if (m.has("qa_mask/mask")) {
    RunInput masked = in;
    for (double w : m.read("qa_mask/mask")) masked.weights.push_back(static_cast<float>(w));
    const RunOutput out_masked = m.runner().train(masked);
    m.compare("qa_mask/loss", {out_masked.loss}, m.limit("loss"));
    m.compare_grads("qa_mask/grad_", out_masked.grads, m.limit("grad"));
  }
  m.finish();
}

namespace {

// A case of segments with carried state.
class OldSegments {
 public:
  explicit OldSegments(OldModelCase& m) : m_(m), whole_(m.input()) {
    whole_.segments = m.option("segment_lengths").get<std::vector<int64_t>>();
    m.check().exact("segment", m.option("segment") == whole_.segments.at(0));
  }

  void run() {
    RunInput plain = whole_;
    plain.segments.clear();
    through_time(plain, "one segment: ");
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment}) {
      RunInput in = whole_;
      in.order = order;
      through_time(in, "");
      in.truncated = true;
      m_.compare_grads("trunc/", m_.runner().train(in).grads, m_.limit("trunc"));
    }
    slices();
    states();
    if (m_.has_group("upstream_state_cp")) state_cp();
    if (m_.has_group("ignore_index")) ignored_targets();
    if (m_.has_group("upstream_trunc")) infctx_trainer();
    if (m_.has_group("upstream_peft")) peft();
  }

 private:
  double upstream_limit() const { return m_.limit("upstream sets"); }

  void through_time(const RunInput& in, const std::string& what) {
    const RunOutput out = m_.runner().train(in);
    m_.compare("logits", out.logits, m_.limit("logits"), what);
    m_.compare("loss", {out.loss}, m_.limit("loss"), what);
    m_.compare_grads("bptt/", out.grads, m_.limit("bptt"), what);
  }

  // Upstream cuts the operator alone; segments of these lengths are the same computation.
  void slices() {
    for (const auto& [parts, lengths] : m_.option("ctx_parts").at("slices").items()) {
      const int64_t ctx_len = m_.option("ctx_parts").at("ctx_len"), n = std::stoll(parts), slice = (ctx_len + n - 1) / n;
      RunInput in = whole_;
      in.segments = lengths.get<std::vector<int64_t>>();
      m_.check().exact("ctx_parts " + parts, in.segments.at(0) == std::min(slice, whole_.T));
      through_time(in, cat("ctx_parts ", parts, ": "));
    }
  }

  // [L,2,B,C] of a run's last states.
  std::vector<double> shifts(const RunOutput& out) const {
    std::vector<double> all;
    for (int64_t l = 0; l < m_.spec().n_layer; ++l)
      for (const char* which : {"att_shift", "ffn_shift"}) {
        const std::vector<double>& x = out.final_state.at(cat("blocks.", l, ".", which));
        all.insert(all.end(), x.begin(), x.end());
      }
    return all;
  }
  void states() {
    std::vector<double> all, wkv;
    for (size_t n = 1; n <= whole_.segments.size(); ++n) {
      const RunOutput out = m_.runner().forward(segments_of(whole_, 0, n));
      const std::vector<double> now = shifts(out);
      all.insert(all.end(), now.begin(), now.end());
      if (n < whole_.segments.size()) continue;
      m_.compare("state_end/shift", now, m_.limit("logits"));
      for (int64_t l = 0; l < m_.spec().n_layer; ++l) {
        const std::vector<double>& x = out.final_state.at(cat("blocks.", l, ".wkv"));
        wkv.insert(wkv.end(), x.begin(), x.begin() + static_cast<std::ptrdiff_t>(x.size()) / whole_.B);
      }
      m_.compare("state_end/wkv_sample0", wkv, m_.limit("logits"));
    }
    m_.compare("state_shift_per_segment", all, m_.limit("logits"));
  }

  void compare_set(const std::string& set, const RunOutput& out) {
    if (m_.has(set + "/loss")) m_.compare(set + "/loss", {out.loss}, m_.limit("loss"));
    m_.compare_grads(set + "/", out.grads, upstream_limit());
  }

  // L2 of each segment over its own tokens.
  void state_cp() {
    RunInput in = whole_;
    for (int64_t T : in.segments) in.l2_scales.push_back(1e-4 / static_cast<double>(in.B * T));
    compare_set("upstream_state_cp", m_.runner().train(in));
  }

  // L2 over the counted tokens of the sample, in segments that have any.
  void ignored_targets() {
    RunInput in = whole_;
    in.targets.clear();
    for (double id : m_.read("targets_ignore")) in.targets.push_back(static_cast<int32_t>(id));
    const auto counted = [](const RunInput& part) {
      return std::count_if(part.targets.begin(), part.targets.end(), [](int32_t id) { return id >= 0; });
    };
    const auto all = static_cast<double>(counted(in));
    for (size_t s = 0; s < in.segments.size(); ++s)
      in.l2_scales.push_back(counted(segments_of(whole_with(in.targets), s, s + 1)) > 0 ? 1e-4 / all : 0);
    compare_set("ignore_index", m_.runner().train(in));
  }
  RunInput whole_with(const std::vector<int32_t>& targets) const {
    RunInput in = whole_;
    in.targets = targets;
    return in;
  }

  // L2 with B times the factor; a bounded number of segments at the end that gradients come from.
  void infctx_trainer() {
    RunInput in = whole_;
    in.l2_factor = 1e-4 * static_cast<double>(in.B);
    const RunOutput through = m_.runner().train(in);
    compare_set("upstream_full", through);
    in.truncated = true;
    compare_set("upstream_trunc", m_.runner().train(in));
    const size_t n = in.segments.size();
    const RunInput before = segments_of(in, 0, n - 2);
    RunInput last = segments_of(in, n - 2, n);
    last.truncated = true;
    last.initial_state = m_.runner().forward(before).final_state;
    const double share = static_cast<double>(last.T) / static_cast<double>(in.T);
    last.loss_scale = share;
    last.l2_factor = in.l2_factor * share;
    RunOutput out = m_.runner().train(last);
    out.loss = through.loss;
    compare_set("upstream_range2", out);
  }

  // L2 of each segment over its own length.
  void peft() {
    RunInput in = whole_;
    in.truncated = true;
    for (int64_t T : in.segments) in.l2_scales.push_back(1e-4 / static_cast<double>(T));
    compare_set("upstream_peft", m_.runner().train(in));
  }

  OldModelCase& m_;
  RunInput whole_;
};

}  // namespace

void run_old_infctx(const Case& c, const Options& options, Check& check) {
  OldModelCase m(c, options, check);
  OldSegments(m).run();
  m.finish();
}

}  // namespace rk::golden
