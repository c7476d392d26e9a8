// Golden cases of the RWKV-7 model: logits, losses, gradients, states of published and random weights.
#include <algorithm>
#include <cmath>
#include <set>

#include "golden/handlers.h"
#include "golden/model_support.h"

namespace rk::golden {
namespace {

using nlohmann::json;
using test::ModelRunner;
using test::RunInput;
using test::RunOutput;
using test::Values;

// Keys that say nothing about what is to be computed. Other keys with text are prose; any other unknown key is an option that
// this program does not know.
const std::set<std::string> kCommonKeys{"seed", "files", "tolerance", "source", "informative", "segment_sets", "lora_dims"};

class ModelCase {
 public:
  ModelCase(const Case& c, const Options& options, Check& check, std::set<std::string> own_keys)
      : case_(c), check_(check), expected_(c.path("expected.h5")), wide_(options.dtype != DType::bf16) {
    for (const auto& [key, value] : c.json.items())
      if (!value.is_string() && !kCommonKeys.contains(key) && !own_keys.contains(key)) check.fail("unknown option " + key);
    if (c.json.value("model", "x070") != "x070") check.fail("unknown model");
    runner_ = load(options);
    read_tokens();
  }

  bool wide() const { return wide_; }
  const Hdf5Reader& expected() const { return expected_; }
  ModelRunner& runner() { return *runner_; }
  const json& json_of(const char* key) const { return case_.json.at(key); }
  double option(const char* key, double otherwise) const { return case_.json.value(key, otherwise); }
  // Limits of the dtype in use.
  const json& limits() const { return case_.json.at("tolerance").at(wide_ ? "fp32" : "bf16"); }
  // {"max", "fro"} of a quantity: a dictionary in fp32, QUANTITY_fro in bf16; null where there is none.
  json limit_of(const std::string& what) const {
    if (limits().contains(what)) return limits().at(what);
    if (limits().contains(what + "_fro")) return json{{"fro", limits().at(what + "_fro")}};
    return nullptr;
  }

  // The case's whole batch in one segment.
  RunInput input() const { return input_; }

  void compare(const std::string& what, const std::string& dataset, const std::vector<double>& x, const json& limit) {
    if (limit.is_null()) return check_.mark_read(dataset);
    check_.dataset(what, expected_, dataset, x, limit);
  }
  // Every dataset PREFIX/NAME against values[NAME].
  void compare_all(const std::string& prefix, const Values& values, const json& limit) {
    int64_t n = 0;
    for (const std::string& dataset : expected_.datasets()) {
      if (!dataset.starts_with(prefix + "/")) continue;
      ++n;
      const std::string name = dataset.substr(prefix.size() + 1);
      const auto it = values.find(name);
      if (it != values.end()) {
        compare(dataset, dataset, it->second, limit);
      } else if (name.starts_with("blocks.0.att.v") && !runner_->model().params.find(name)) {
        // Layer 0 never uses its v0, v1, v2, and files may leave them out.
        const std::vector<double> zeros = read(dataset);
        check_.exact(dataset, std::all_of(zeros.begin(), zeros.end(), [](double x) { return x == 0; }));
      } else {
        check_.fail(dataset + " is nothing that the model has");
      }
    }
    check_.exact(prefix + " has datasets", n > 0);
  }
  void compare_loss(const std::string& dataset, double loss) {
    const double ref = read(dataset).at(0);
    if (limits().contains("loss_abs")) check_.at_most(dataset, std::abs(loss - ref), limits().at("loss_abs"));
  }
  std::vector<double> read(const std::string& dataset) {
    check_.mark_read(dataset);
    return expected_.read_doubles(dataset);
  }
  void finish() { check_.all_read(expected_, case_.json.value("informative", json::array())); }

 private:
  std::unique_ptr<ModelRunner> load(const Options& options) {
    LoadedRunner loaded = load_runner(case_.path(case_.json.at("weights").get<std::string>()), {}, options);
    const ModelSpec& spec = loaded.spec;
    const std::pair<const char*, int64_t> sizes[] = {
        {"n_layer", spec.n_layer}, {"n_embd", spec.n_embd}, {"head_size", spec.head_size}, {"vocab_size", spec.vocab_size}};
    for (const auto& [key, size] : sizes) check_.exact(key, case_.json.at(key) == size);
    check_widths(spec);
    return std::move(loaded.runner);
  }
  // lora_dims: {"w": 8, ...} or {"w1": [128, 32], ...}.
  void check_widths(const ModelSpec& spec) {
    const std::map<char, int64_t> widths{{'w', spec.decay_lora}, {'a', spec.aaa_lora}, {'v', spec.mv_lora}, {'g', spec.gate_lora}};
    const json given = case_.json.value("lora_dims", json::object());
    for (const auto& [key, value] : given.items())
      check_.exact("lora_dims " + key, widths.at(key[0]) == (value.is_array() ? value.at(1) : value));
  }
  void read_tokens() {
    const std::vector<int64_t> shape = expected_.info("ids").shape;
    input_.B = shape.at(0);
    input_.T = shape.at(1);
    for (int64_t id : expected_.read_ints("ids")) input_.tokens.push_back(static_cast<int32_t>(id));
    for (int64_t id : expected_.read_ints("targets")) input_.targets.push_back(static_cast<int32_t>(id));
    check_.mark_read("ids");
    check_.mark_read("targets");
    const std::pair<const char*, int64_t> sizes[] = {{"B", input_.B}, {"T", input_.T}, {"micro_bsz", input_.B}, {"ctx_len", input_.T}};
    for (const auto& [key, size] : sizes)
      if (case_.json.contains(key)) check_.exact(key, case_.json.at(key) == size);
  }

  const Case& case_;
  Check& check_;
  Hdf5Reader expected_;
  bool wide_;
  std::unique_ptr<ModelRunner> runner_;
  RunInput input_;
};

std::set<std::string> with_sizes(std::set<std::string> keys) {
  keys.insert({"n_layer", "n_embd", "head_size", "vocab_size", "B", "T", "micro_bsz", "ctx_len"});
  return keys;
}

// The index of each row's largest logit, the lowest on ties.
std::vector<int64_t> argmax_of(const std::vector<double>& logits, size_t rows) {
  std::vector<int64_t> result;
  const auto V = static_cast<std::ptrdiff_t>(logits.size() / rows);
  for (auto row = logits.begin(); row != logits.end(); row += V) result.push_back(std::max_element(row, row + V) - row);
  return result;
}

}  // namespace

void run_forward_trained(const Case& c, const Options& options, Check& check) {
  ModelCase m(c, options, check, with_sizes({"number_lengths", "accuracy"}));
  const RunInput in = m.input();
  const RunOutput out = m.runner().forward(in);
  m.compare("logits", "logits", out.logits, m.limit_of("logits"));

  const std::vector<int64_t> argmax = argmax_of(out.logits, in.tokens.size());
  const std::vector<double> expected = m.read("argmax"), lengths = m.read("number_length");
  m.read("top1_minus_top2");
  int64_t correct = 0, total = 0;
  bool equal = true;
  for (int64_t b = 0; b < in.B; ++b) {
    const auto length = static_cast<int64_t>(lengths.at(static_cast<size_t>(b)));
    for (int64_t t = length; t <= 2 * length; ++t) {
      const auto i = static_cast<size_t>(b * in.T + t);
      equal = equal && static_cast<double>(argmax.at(i)) == expected.at(i);
      correct += argmax.at(i) == in.targets.at(i);
      ++total;
    }
  }
  check.exact("argmax at the scored positions", equal);
  check.exact("accuracy", correct == m.json_of("accuracy").at("correct") && total == m.json_of("accuracy").at("total"));
  m.finish();
}

void run_forward_trained_text(const Case& c, const Options& options, Check& check) {
  ModelCase m(c, options, check, with_sizes({}));
  const RunOutput out = m.runner().forward(m.input());
  m.compare("logits", "logits", out.logits, m.limit_of("logits"));
  m.compare_loss("loss", out.loss);

  const std::vector<int64_t> argmax = argmax_of(out.logits, m.input().tokens.size());
  const std::vector<double> row_loss = m.read("loss_per_token"), expected = m.read("argmax"), margin = m.read("top1_minus_top2");
  if (m.wide()) {
    double worst = 0;
    bool equal = true;
    for (size_t i = 0; i < expected.size(); ++i) {
      worst = std::max(worst, std::abs(row_loss.at(i) - out.row_loss.at(i)));
      equal = equal && (margin.at(i) <= 1e-3 || static_cast<double>(argmax.at(i)) == expected.at(i));
    }
    check.at_most("loss_per_token", worst, m.limits().at("loss_abs"));
    check.exact("argmax", equal);
  }
  m.finish();
}

namespace {

void compare_grads(ModelCase& m, const Values& grads, Check& check) {
  if (m.wide()) return m.compare_all("grad", grads, m.limit_of("grad"));
  m.compare_all("grad", grads, json{{"fro", m.limits().at("grad_fro_every_tensor")}});
  std::vector<double> distances;
  for (const auto& [name, x] : grads) {
    const std::vector<double> ref = m.expected().read_doubles("grad/" + name);
    const auto stride = static_cast<size_t>(m.expected().number_attribute("grad/" + name, "stride").value_or(1));
    std::vector<double> sampled;
    for (size_t i = 0; i < x.size(); i += stride) sampled.push_back(x[i]);
    if (norm_of({{name, ref}}) > 0) distances.push_back(fro_metric(sampled, ref));
  }
  std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2), distances.end());
  check.at_most("grad fro, median of tensors", distances.at(distances.size() / 2), m.limits().at("grad_fro_median_of_tensors"));
}

}  // namespace

void run_grads_one_step(const Case& c, const Options& options, Check& check) {
  ModelCase m(c, options, check, with_sizes({"l2wrap_factor"}));
  RunInput in = m.input();
  in.l2_factor = m.option("l2wrap_factor", 1e-4);
  const RunOutput out = m.runner().train(in);
  m.compare("logits", "logits", out.logits, m.limit_of("logits"));
  m.compare_loss("loss", out.loss);
  compare_grads(m, out.grads, check);

  RunInput plain = in, wrap = in;
  plain.l2_factor = 0;
  wrap.loss_scale = 0;  // gradients are linear in both scales: this is L2Wrap's part, without cancellation
  const RunOutput without = m.runner().train(plain);
  m.compare_loss("loss_no_l2wrap", without.loss);
  const std::pair<const char*, double> norms[] = {{"grad_norm", norm_of(out.grads)}, {"grad_norm_no_l2wrap", norm_of(without.grads)}};
  for (const auto& [name, norm] : norms) {
    const double ref = m.read(name).at(0);
    if (m.wide()) check.at_most(name, std::abs(norm / ref - 1), m.limits().at("grad_norm_rel"));
  }
  m.compare_all("grad_l2wrap_part", m.runner().train(wrap).grads, m.wide() ? m.limit_of("grad") : json());
  m.finish();
}

namespace {

// A case of segments with carried state.
class SegmentCase {
 public:
  SegmentCase(ModelCase& m, Check& check) : m_(m), check_(check) {
    whole_ = m.input();
    whole_.l2_factor = m.option("l2wrap_factor", 1e-4);
  }

  void run() {
    full("", whole_);
    for (const auto& [name, lengths] : m_.json_of("segment_sets").items()) segments(name, lengths.get<std::vector<int64_t>>());
    if (has("with_initial_state")) from_initial_state();
  }

 private:
  json limit(const char* what) const { return m_.limit_of(what); }

  void full(const std::string& where, const RunInput& in) {
    const RunOutput out = m_.runner().train(in);
    m_.compare(where + "logits", "logits", out.logits, limit("logits"));
    m_.compare_loss("loss", out.loss);
    m_.compare_all("grad_full", out.grads, limit("grad"));
  }

  void segments(const std::string& name, const std::vector<int64_t>& lengths) {
    const std::vector<double> stored = m_.read(name + "/segments");
    check_.exact(name + "/segments", std::equal(stored.begin(), stored.end(), lengths.begin(), lengths.end()));
    RunInput in = whole_;
    in.segments = lengths;
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment}) {
      in.order = order;
      in.truncated = false;
      full(name + " ", in);
      in.truncated = true;
      m_.compare_all(name + "/grad_truncated", m_.runner().train(in).grads, limit("grad"));
    }
    for (size_t n = 1; n <= lengths.size(); ++n) {
      const std::string prefix = cat(name, "/state_after_segment", n - 1);
      if (has(prefix)) m_.compare_all(prefix, m_.runner().forward(segments_of(in, 0, n)).final_state, limit("states"));
    }
  }

  bool has(const std::string& prefix) const {
    const auto all = m_.expected().datasets();
    return std::any_of(all.begin(), all.end(), [&](const std::string& d) { return d.starts_with(prefix + "/"); });
  }

  void from_initial_state() {
    const std::string group = "with_initial_state", prefix = group + "/in/";
    RunInput in = whole_;
    for (const std::string& dataset : m_.expected().datasets())
      if (dataset.starts_with(prefix)) in.initial_state[dataset.substr(prefix.size())] = m_.read(dataset);
    in.want_dinitial = true;
    std::vector<std::vector<int64_t>> sets{{}};
    for (const auto& [name, lengths] : m_.json_of("segment_sets").items()) sets.push_back(lengths);
    for (const auto& lengths : sets) {
      in.segments = lengths;
      const RunOutput out = m_.runner().train(in);
      m_.compare(group + "/logits", group + "/logits", out.logits, limit("logits"));
      m_.compare_loss(group + "/loss", out.loss);
      m_.compare_all(group + "/grad", out.grads, limit("grad"));
      m_.compare_all(group + "/grad_initial", out.dinitial_state, limit("grad_initial"));
    }
  }

  ModelCase& m_;
  Check& check_;
  RunInput whole_;
};

}  // namespace

void run_infctx(const Case& c, const Options& options, Check& check) {
  ModelCase m(c, options, check, with_sizes({"l2wrap_factor"}));
  SegmentCase(m, check).run();
  m.finish();
}

}  // namespace rk::golden
