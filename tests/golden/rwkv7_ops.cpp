// Golden cases of RWKV-7's operators: the WKV-7 recurrence and the loss.
#include <cmath>

#include "data/samples/masks.h"
#include "golden/data_support.h"
#include "golden/handlers.h"
#include "golden/op_case.h"
#include "kernels/cross_entropy/op.h"
#include "kernels/elementwise/op.h"
#include "kernels/gemm/op.h"
#include "kernels/wkv7/op.h"

namespace rk::golden {
namespace {

using nlohmann::json;

const json& limits_of(const Case& c, const Options& options) {
  return c.json.at("tolerance").at(options.dtype == DType::bf16 ? "bf16" : "fp32");
}

// One group of a wkv7_op case: names of inputs, outputs and gradients, and their tensors.
class WkvGroup {
 public:
  WkvGroup(OpCase& op, std::string name) : op_(op), name_(std::move(name)) {
    r = input("r"), w = input("w"), k = input("k"), v = input("v"), a = input("a"), b = input("b"), dy = input("gy");
    state_in = op_.load(name_ + "/in/s0", op_.acc);
    dstate_out = op_.load(name_ + "/in/gsT", op_.acc);
  }

  void compute() {
    const Shape s = r.shape;
    y = like(r);
    state_out = op_.zeros(op_.acc, state_in.shape);
    Arena counting(r.device);
    const Tensor form = take_wkv7_saved(op_.ex(), counting, r.dtype, s), saved = op_.zeros(form.dtype, form.shape);
    run(op_.ex(),
        Wkv7Forward{
            .r = r, .w = w, .k = k, .v = v, .a = a, .b = b, .y = y, .state_in = state_in, .state_out = state_out, .saved_states = saved});
    dr = like(r), dw = like(r), dk = like(r), dv = like(r), da = like(r), db = like(r);
    dstate_in = op_.zeros(op_.acc, state_in.shape);
    run(op_.ex(), Wkv7Backward{.r = r,
                               .w = w,
                               .k = k,
                               .v = v,
                               .a = a,
                               .b = b,
                               .saved_states = saved,
                               .dy = dy,
                               .dstate_out = dstate_out,
                               .dr = dr,
                               .dw = dw,
                               .dk = dk,
                               .dv = dv,
                               .da = da,
                               .db = db,
                               .dstate_in = dstate_in});
  }

  // `limits`: one dictionary per output in fp32, one for all in bf16.
  void compare(Check& check, const json& limits) const {
    const std::pair<const char*, const Tensor*> outputs[] = {{"y", &y},   {"sT", &state_out}, {"gr", &dr}, {"gw", &dw},        {"gk", &dk},
                                                             {"gv", &dv}, {"ga", &da},        {"gb", &db}, {"gs0", &dstate_in}};
    for (const auto& [output, tensor] : outputs) {
      const std::string dataset = name_ + "/out/" + output;
      check.dataset(dataset, op_.expected, dataset, op_.values(*tensor), limits.contains("fro") ? limits : limits.at(output));
    }
  }

 private:
  Tensor input(const char* which) { return op_.load(name_ + "/in/" + which, op_.dtype); }
  Tensor like(const Tensor& t) { return op_.zeros(t.dtype, t.shape); }

  OpCase& op_;
  std::string name_;
  Tensor r, w, k, v, a, b, dy, state_in, dstate_out;
  Tensor y, state_out, dr, dw, dk, dv, da, db, dstate_in;
};

// The loss on given logits in its variants.
class LossCase {
 public:
  LossCase(const Case& c, const Options& options, Check& check)
      : json_(c.json), limits_(limits_of(c, options)), op_(c, options, check), check_(check), wide_(options.dtype != DType::bf16) {
    rows_ = json_.at("B").get<int64_t>() * json_.at("T").get<int64_t>();
    vocab_ = json_.at("vocab_size").get<int64_t>();
  }

  void compare_variants() {
    for (const std::string& dataset : op_.expected.datasets()) {
      const std::string ending = "/grad_logits";
      if (!dataset.ends_with(ending)) continue;
      const std::string variant = dataset.substr(0, dataset.size() - ending.size());
      if (!variant.ends_with("legacy_l2wrap")) compare_variant(variant);
    }
    if (op_.expected.has("head_chunk/hidden")) compare_chunked_head();
    check_.all_read(op_.expected, json_.value("informative", json::array()));
  }

 private:
  // What the loss is computed from: targets, weights (null: all 1), how many rows count, the incoming gradient.
  struct Settings {
    Tensor targets, weights;
    double counted = 0, incoming = 1, l2_factor = 0;
  };

  Settings settings(const std::string& variant) {
    Settings s;
    s.l2_factor = json_.at("l2wrap_factor").get<double>();
    s.targets = op_.load("targets", DType::i32);
    s.counted = static_cast<double>(rows_);
    if (variant == "no_l2wrap") {
      s.l2_factor = 0;
    } else if (variant.starts_with("scaled_")) {
      s.incoming = std::stod(variant.substr(7));
    } else if (variant == "pad") {
      s.targets = op_.load("pad/targets", DType::i32);
      s.counted = 0;
      for (double target : op_.values(s.targets)) s.counted += target >= 0 ? 1 : 0;
    } else if (variant == "qa") {
      s.targets = op_.load("qa/targets", DType::i32);
      s.weights = question_mask();
      s.counted = 0;
      for (double weight : op_.values(s.weights)) s.counted += weight;
    } else if (variant != "plain") {
      check_.fail("unknown variant " + variant);
    }
    return s;
  }

  // The mask made from the tokens, which has to be the file's.
  Tensor question_mask() {
    const auto ids = [&](const char* name) {
      const std::vector<int64_t> wide = op_.ints(name);
      return std::vector<int32_t>(wide.begin(), wide.end());
    };
    const std::vector<int32_t> tokens = ids("qa/tokens");
    const std::vector<int64_t> n_real = op_.ints("qa/min_len"), expected = op_.ints("qa/mask");
    const TurnMarkers markers{ids("qa/marker_user"), ids("qa/marker_assistant")};
    std::vector<double> mask;
    const size_t length = tokens.size() / n_real.size();
    bool equal = static_cast<int64_t>(expected.size()) == rows_;
    for (size_t b = 0; b < n_real.size(); ++b) {
      std::vector<float> weights(length - 1);
      mask_qa(std::span(tokens).subspan(b * length, length), n_real[b], markers, {}, weights);
      mask.insert(mask.end(), weights.begin(), weights.end());
    }
    equal = equal && mask.size() == expected.size();
    for (size_t i = 0; equal && i < mask.size(); ++i) equal = mask[i] == static_cast<double>(expected[i]);
    check_.exact("qa/mask", equal);
    const Tensor result = op_.zeros(DType::f32, {rows_});
    if (equal) test::put_doubles(op_.ex(), mask, result);
    return result;
  }

  CrossEntropy cross_entropy(const Settings& s, const Tensor& logits, const Tensor& loss_sum) const {
    return {.logits = logits,
            .targets = s.targets.view({rows_}),
            .weights = s.weights,
            .scale = s.incoming / s.counted,
            .l2_scale = s.incoming * s.l2_factor / static_cast<double>(rows_),
            .want_gradient = true,
            .loss_sum = loss_sum,
            .row_loss = {}};
  }

  void compare_variant(const std::string& variant) {
    const Settings s = settings(variant);
    const Tensor logits = op_.load("logits", op_.acc).view({rows_, vocab_}), loss_sum = op_.zeros(DType::f64, {1});
    run(op_.ex(), cross_entropy(s, logits, loss_sum));
    compare_loss(variant + "/loss", op_.values(loss_sum).at(0) / s.counted);
    compare_gradient(variant + "/grad_logits", logits);
  }

  // Hidden rows times the head in chunks of rows, for every chunk size of the case.
  void compare_chunked_head() {
    for (const json& size : json_.at("head_chunk_rows")) {
      const int64_t chunk = std::min(size.get<int64_t>(), rows_);
      const Settings s = settings("plain");
      const Tensor hidden = op_.load("head_chunk/hidden", op_.dtype).view({rows_, json_.at("n_embd").get<int64_t>()});
      const Tensor weight = op_.load("head_chunk/weight", op_.dtype);
      const Tensor dhidden = op_.zeros(op_.dtype, hidden.shape), dweight = op_.zeros(op_.acc, weight.shape);
      const Tensor logits = op_.zeros(op_.acc, {chunk, vocab_}), dlogits = op_.zeros(op_.dtype, {chunk, vocab_});
      const Tensor loss_sum = op_.zeros(DType::f64, {1});
      for (int64_t first = 0; first < rows_; first += chunk) {
        const int64_t n = std::min(chunk, rows_ - first);
        const Tensor z = logits.rows(0, n), dz = dlogits.rows(0, n);
        run(op_.ex(), Gemm{.a = hidden.rows(first, n), .b = weight, .c = z, .trans_b = true});
        CrossEntropy loss = cross_entropy(s, z, loss_sum);
        loss.targets = loss.targets.slice(first, n);
        run(op_.ex(), loss);
        run(op_.ex(), Cast{.x = z, .y = dz});
        run(op_.ex(), Gemm{.a = dz, .b = weight, .c = dhidden.rows(first, n)});
        run(op_.ex(), Gemm{.a = dz, .b = hidden.rows(first, n), .c = dweight, .trans_a = true, .add = true});
      }
      compare_loss("head_chunk/loss", op_.values(loss_sum).at(0) / s.counted);
      compare_gradient("head_chunk/grad_hidden", dhidden);
      compare_gradient("head_chunk/grad_weight", dweight);
    }
  }

  // The bf16 limits speak of gradients only.
  void compare_loss(const std::string& dataset, double loss) {
    check_.mark_read(dataset);
    if (!limits_.contains("loss_rel")) return;
    const double expected = op_.expected.read_doubles(dataset).at(0);
    check_.at_most(dataset, std::fabs(loss - expected) / std::fabs(expected), limits_.at("loss_rel").get<double>());
  }
  void compare_gradient(const std::string& dataset, const Tensor& gradient) {
    const Tensor stored = op_.zeros(wide_ ? op_.acc : op_.dtype, gradient.shape);
    run(op_.ex(), Cast{.x = gradient, .y = stored});
    json limit;
    if (wide_) {
      limit = limits_.at("grad");
    } else {
      limit["fro"] = limits_.at("grad_fro");
    }
    check_.dataset(dataset, op_.expected, dataset, op_.values(stored), limit);
  }

  const json& json_;
  const json& limits_;
  OpCase op_;
  Check& check_;
  bool wide_;
  int64_t rows_ = 0, vocab_ = 0;
};

}  // namespace

void run_wkv7_op(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json, {"seed", "groups", "modes", "tolerance", "informative"}, "case.json", check);
  OpCase op(c, options, check);
  for (const json& name : c.json.at("groups")) {
    WkvGroup group(op, name.get<std::string>());
    group.compute();
    group.compare(check, limits_of(c, options));
  }
  check.all_read(op.expected, c.json.value("informative", json::array()));
}

void run_loss_variants(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json,
                 {"seed", "B", "T", "vocab_size", "n_embd", "l2wrap_factor", "head_chunk_rows", "definitions", "tolerance", "informative"},
                 "case.json", check);
  LossCase(c, options, check).compare_variants();
}

}  // namespace rk::golden
