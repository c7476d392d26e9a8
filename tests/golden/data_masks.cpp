// Golden cases of samples that are documents, and of masks: RWKV-PEFT and TrainChatGalRWKV.
#include <filesystem>

#include "base/error.h"
#include "data/mt19937.h"
#include "data/open_data.h"
#include "data/sample_encoder.h"
#include "data/samples/layout.h"
#include "data/samples/order.h"
#include "golden/handlers.h"
#include "golden/sample_row.h"
#include "kernels/cross_entropy/op.h"
#include "support/on_device.h"

namespace rk::golden {
namespace {

using nlohmann::json;

const std::vector<int32_t> user_marker{24281, 59}, assistant_marker{5585, 41693, 59};

RowRules rules_of(const std::string& loss_mask, int64_t ctx_len) {
  RowRules rules{.ctx_len = ctx_len, .markers = {user_marker, assistant_marker}};
  if (loss_mask == "qa") rules.turns = RowRules::Turns::qa;
  if (loss_mask == "se") rules.turns = RowRules::Turns::se;
  return rules;
}

// y where mask is 1, else -100.
json masked(const json& y, const json& mask) {
  json out = y;
  for (size_t i = 0; i < out.size(); ++i)
    if (mask.at(i) == 0) out.at(i) = -100;
  return out;
}

void compare_padded(const json& sample, const SharedTokens& data, Check& check) {
  const int64_t ctx_len = sample.at("ctx_len");
  const std::string what = cat(sample.at("version"), " pad ", sample.value("loss_mask", "head"), " ", ctx_len, " idx ", sample.at("idx"));
  FilledRow row(ctx_len);
  row.fill(*make_document_layout(data, rules_of(sample.value("loss_mask", "none"), ctx_len), true), sample.at("idx"));
  check.exact(what + " x", sample.at("x") == row.tokens);
  if (sample.contains("dix")) {
    const int64_t min_len = sample.at("min_len"), size = data->document_size(sample.at("idx"));
    check.exact(what + " min_len", min_len == std::min(size, ctx_len + 1));
    check.exact(what + " dix", std::equal(row.tokens.begin(), row.tokens.end(), sample.at("dix").begin()));
    if (min_len == ctx_len + 1) check.exact(what + " last of dix", sample.at("dix").back() == row.targets.back());
  }
  if (sample.contains("mask")) {
    check.exact(what + " mask", sample.at("mask") == row.mask());
    check.exact(what + " y", masked(sample.at("y"), sample.at("mask")) == row.targets);
  } else if (sample.at("version") == "head") {
    check.exact(what + " y", sample.at("y") == row.targets);
  } else {  // no mask at all: what it trains beyond the document does not count here
    for (size_t i = 0; i < row.targets.size(); ++i)
      if (row.weights[i] != 0) check.exact(what + " y", sample.at("y").at(i) == row.targets[i]);
  }
}

void compare_alone(const json& sample, const SharedTokens& data, Check& check) {
  const int64_t ctx_len = sample.at("ctx_len");
  const std::string what = cat("only ", ctx_len, " idx ", sample.at("idx"));
  FilledRow row(ctx_len);
  row.fill(*make_document_layout(data, {.ctx_len = ctx_len}, false), sample.at("idx"));
  const size_t n = sample.at("x").size();
  check.exact(what + " x", std::equal(sample.at("x").begin(), sample.at("x").end(), row.tokens.begin()));
  json y = sample.at("y");
  for (size_t i = n; i < row.targets.size(); ++i) y.push_back(-100);
  check.exact(what + " y", y == row.targets);
}

void compare_got(const json& sample, const SharedTokens& data, Check& check) {
  const int64_t ctx_len = sample.at("ctx_len"), i = sample.at("i");
  const std::string what = cat("get ", ctx_len, " i ", i);
  check.exact(what, i == NumpyRandom(sample.at("numpy_seed").get<uint32_t>()).below(n_random_places(data->n_tokens(), ctx_len)));
  FilledRow row(ctx_len);
  compare_window(sample, row.fill(*make_window_layout(data, {.ctx_len = ctx_len}), i), what, check);
}

}  // namespace

void run_peft_binidx(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"doc_lengths", "index_manager"}, c.label, check);
  const SharedTokens data = open_binidx_tokens(case_prefix(c), false);
  json lengths = json::array();
  for (int64_t d = 0; d < data->n_documents(); ++d) lengths.push_back(data->document_size(d));
  check.exact("doc_lengths", c.json.at("doc_lengths") == lengths);
  for (const json& manager : c.json.at("index_manager")) {
    refuse_unknown(manager, {"devices", "rank", "shuffle", "requested", "idx"}, manager.dump(), check);
    json idx = json::array();
    for (size_t counter = 0; counter < manager.at("requested").size(); ++counter) {
      const int64_t asked = manager.at("requested").at(counter);
      idx.push_back(manager.at("shuffle") == 1 ? asked
                                               : item_of_rank(static_cast<int64_t>(counter), manager.at("devices"), manager.at("rank")));
    }
    check.exact("idx of " + manager.dump(), manager.at("idx") == idx);
  }
  for (const json& sample : read_rows(c.path("samples.jsonl"))) {
    refuse_unknown(
        sample,
        {"version", "dataload", "ctx_len", "idx", "dix", "min_len", "x", "y", "upstream_error", "loss_mask", "mask", "numpy_seed", "i"},
        sample.dump(), check);
    if (sample.contains("upstream_error")) continue;
    const std::string dataload = sample.at("dataload");
    if (dataload == "pad") {
      compare_padded(sample, data, check);
    } else if (dataload == "only") {
      compare_alone(sample, data, check);
    } else {
      compare_got(sample, data, check);
    }
  }
}

void run_qa_pad(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"texts", "markers"}, c.label, check);
  const SharedTokens data = open_binidx_tokens(case_prefix(c), false);
  const std::shared_ptr<const Tokenizer> tokenizer = make_world_tokenizer();
  TurnMarkers markers;
  for (const auto& [name, ids] : c.json.at("markers").items())
    (name.starts_with("mask0") ? markers.user : markers.assistant) = ids.get<std::vector<int32_t>>();
  for (size_t d = 0; d < c.json.at("texts").size(); ++d) {
    std::vector<int32_t> ids, stored(static_cast<size_t>(data->document_size(static_cast<int64_t>(d))));
    tokenizer->encode(c.json.at("texts").at(d).get<std::string>(), ids);
    ids.push_back(0);
    data->read(data->document_begin(static_cast<int64_t>(d)), stored, 65536);
    check.exact(cat("text ", d), ids == stored);
  }
  for (const json& sample : read_rows(c.path("samples.jsonl"))) {
    refuse_unknown(sample, {"loss_mask", "ctx_len", "idx", "min_len", "x", "y", "mask", "upstream_mask_len"}, sample.dump(), check);
    const int64_t ctx_len = sample.at("ctx_len");
    const std::string what = cat(sample.at("loss_mask"), " ", ctx_len, " idx ", sample.at("idx"));
    FilledRow row(ctx_len);
    RowRules rules = rules_of(sample.at("loss_mask"), ctx_len);
    rules.markers = markers;
    row.fill(*make_document_layout(data, rules, true), sample.at("idx"));
    check.exact(what + " x", sample.at("x") == row.tokens);
    check.exact(what + " mask", sample.at("mask") == row.mask());
    check.exact(what + " y", masked(sample.at("y"), sample.at("mask")) == row.targets);
  }
}

void run_mask_direct(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {}, c.label, check);
  for (const json& sample : read_rows(c.path("masks.jsonl"))) {
    refuse_unknown(sample, {"seq", "mask0", "mask1", "min_len", "qa", "se"}, sample.dump(), check);
    const std::vector<int32_t> tokens = sample.at("seq");
    const TurnMarkers markers{sample.at("mask0"), sample.at("mask1")};
    std::vector<float> qa(tokens.size() - 1), se(tokens.size() - 1);
    mask_qa(std::span<const int32_t>(tokens), sample.at("min_len"), markers, {}, qa);
    mask_se(std::span<const int32_t>(tokens), sample.at("min_len"), markers, {}, se);
    check.exact("qa of " + sample.dump(), sample.at("qa") == std::vector<int>(qa.begin(), qa.end()));
    check.exact("se of " + sample.dump(), sample.at("se") == std::vector<int>(se.begin(), se.end()));
    // the same in two pieces, as rows keep them
    const std::span<const int32_t> head = std::span(tokens).first(tokens.size() - 1);
    std::vector<float> again(qa.size());
    mask_qa({head, tokens.back()}, sample.at("min_len"), markers, {}, again);
    check.exact("qa in pieces", again == qa);
  }
}

void run_script_mask(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"ctx_len", "doc_lengths"}, c.label, check);
  const int64_t ctx_len = c.json.at("ctx_len");
  const SharedTokens data = open_binidx_tokens(case_prefix(c), false);
  for (const json& sample : read_rows(c.path("samples.jsonl"))) {
    refuse_unknown(sample, {"spec", "numpy_seed", "i", "x", "y", "z"}, sample.dump(), check);
    const std::string spec = sample.at("spec");
    const ScriptMask script{.cut = spec[0] == '1', .prefix = std::stoll(spec.substr(2))};
    const auto windows = make_window_layout(data, {.ctx_len = ctx_len, .script = script, .script_mask = true});
    const int64_t i = NumpyRandom(sample.at("numpy_seed").get<uint32_t>()).below(n_random_places(data->n_tokens(), ctx_len));
    check.exact("i of " + sample.dump(), sample.at("i") == i);
    FilledRow row(ctx_len);
    compare_window(sample, row.fill(*windows, i), sample.dump(), check);
    check.exact("z of " + sample.dump(), sample.at("z") == row.mask());
  }
}

void run_peft_jsonl(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {}, c.label, check);
  const ScratchFolder scratch;
  std::vector<int64_t> row_of_line;  // an empty text is left out
  DataOptions options{.data_file = input_file(c, ".jsonl"), .data_type = "jsonl", .data_shuffle = false};
  options.append_eod = false;
  int64_t next = 0;
  for (const json& line : read_rows(options.data_file)) row_of_line.push_back(line.at("text") == "" ? -1 : next++);
  prepare_data(options, {.folder = scratch.path("data")});
  for (const json& sample : read_rows(c.path("samples.jsonl"))) {
    refuse_unknown(sample, {"ctx_len", "idx", "n_tokens", "x", "y", "note"}, sample.dump(), check);
    const int64_t row_number = row_of_line.at(sample.at("idx").get<size_t>());
    check.exact("empty: " + sample.dump(), (row_number < 0) == (sample.at("n_tokens") == 0));
    if (row_number < 0) continue;
    options.ctx_len = sample.at("ctx_len");
    FilledRow row(options.ctx_len);
    row.draw(*open_data(options, scratch.path("data"))->train_source(65536), row_number + 1);
    compare_window(sample, row, sample.dump(), check);
  }
}

void run_peft_sft(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"sft_field", "prompt", "eot"}, c.label, check);
  const std::vector<std::string> fields = c.json.at("sft_field");
  const std::vector<json> samples = read_rows(c.path("samples.jsonl"));
  for (const json& sample : samples) {
    refuse_unknown(sample, {"ctx_len", "idx", "x", "y", "attention_mask"}, sample.dump(), check);
    const ScratchFolder scratch;
    DataOptions options{.data_file = input_file(c, ".jsonl"), .data_type = "sft", .ctx_len = sample.at("ctx_len"), .data_shuffle = false};
    options.sft_field = fields.at(0) + " " + fields.at(1);
    prepare_data(options, {.folder = scratch.path("data")});
    const auto data = open_data(options, scratch.path("data"));
    FilledRow row(options.ctx_len);
    const std::string what = cat("ctx_len ", sample.at("ctx_len"), " idx ", sample.at("idx"));
    row.draw(*data->train_source(65536), sample.at("idx").get<int64_t>() + 1);
    // the reference pads to its longest sample, a row to ctx_len
    const size_t n = sample.at("x").size();
    check.exact(what + " fits", n <= row.tokens.size());
    if (n > row.tokens.size()) continue;
    check.exact(what + " padding",
                std::all_of(row.targets.begin() + static_cast<int64_t>(n), row.targets.end(), [](int32_t t) { return t == -100; }));
    row.tokens.resize(n);
    row.targets.resize(n);
    compare_window(sample, row, what, check);
    for (size_t i = 0; i < n; ++i) check.exact(what + " attention_mask", (sample.at("attention_mask").at(i) != 0) == (row.tokens[i] != 0));
  }
}

void run_masked_loss(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json, {"shapes"}, c.label, check);
  const int64_t rows = c.json.at("shapes").at("B").get<int64_t>() * c.json.at("shapes").at("T").get<int64_t>(),
                V = c.json.at("shapes").at("V");
  const Hdf5Reader expected(c.path("expected.h5"));
  ThreadPool pool(options.threads);
  Arena scratch(Buffer(Device::cpu, size_t{16} << 20));
  const Exec ex{.device = Device::cpu, .pool = &pool, .scratch = &scratch};
  const std::vector<int64_t> targets = expected.read_ints("targets"), mask = expected.read_ints("mask"),
                             joined = expected.read_ints("targets_100");
  for (const char* name : {"logits", "targets", "mask", "targets_100", "loss", "grad/logits"}) check.mark_read(name);
  const std::vector<double> logits = expected.read_doubles("logits");
  double counted = 0;
  for (int64_t m : mask) counted += static_cast<double>(m);

  // by weights, and by targets that are -100
  for (const bool by_weights : {true, false}) {
    const Buffer logits_memory(Device::cpu, static_cast<size_t>(rows * V) * 4), targets_memory(Device::cpu, static_cast<size_t>(rows) * 4),
        weights_memory(Device::cpu, static_cast<size_t>(rows) * 4), sum_memory(Device::cpu, 8);
    const Tensor x = logits_memory.tensor(DType::f32, {rows, V}), y = targets_memory.tensor(DType::i32, {rows}),
                 w = weights_memory.tensor(DType::f32, {rows}), sum = sum_memory.tensor(DType::f64, {1});
    test::put_doubles(ex, logits, x);
    test::put_doubles(ex, std::vector<double>(by_weights ? targets.begin() : joined.begin(), by_weights ? targets.end() : joined.end()), y);
    test::put_doubles(ex, std::vector<double>(mask.begin(), mask.end()), w);
    test::put_doubles(ex, std::vector<double>{0.0}, sum);
    run(ex, CrossEntropy{.logits = x,
                         .targets = y,
                         .weights = by_weights ? w : Tensor{},
                         .scale = 1 / counted,
                         .l2_scale = 0,
                         .want_gradient = true,
                         .loss_sum = sum,
                         .row_loss = {}});
    const std::string what = by_weights ? "weights" : "targets";
    const double loss = expected.read_doubles("loss").at(0), computed = test::get_doubles(ex, sum).at(0) / counted;
    check.at_most(what + " loss", std::abs(computed - loss), 1e-6 + 1e-5 * std::abs(loss));
    const std::vector<double> gradient = expected.read_doubles("grad/logits"), ours = test::get_doubles(ex, x);
    for (size_t i = 0; i < gradient.size(); ++i)
      check.at_most(cat(what, " gradient ", i), std::abs(ours.at(i) - gradient[i]), 1e-6 + 1e-5 * std::abs(gradient[i]));
  }
  check.all_read(expected, c.json.value("informative", json::array()));
}

}  // namespace rk::golden
