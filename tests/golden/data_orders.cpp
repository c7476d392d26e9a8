// Golden cases of RWKV-LM's samples: windows, lists of token files, questions and answers, plain arrays and texts of characters.
#include <filesystem>

#include "base/error.h"
#include "data/char_vocab.h"
#include "data/mt19937.h"
#include "data/open_data.h"
#include "data/samples/array_tokens.h"
#include "data/samples/pile_list.h"
#include "data/samples/sample_source.h"
#include "data/sampling.h"
#include "golden/handlers.h"
#include "golden/sample_row.h"

namespace rk::golden {
namespace {

using nlohmann::json;

std::string u16_hash(const std::vector<int32_t>& tokens) {
  std::string bytes;
  for (int32_t t : tokens) bytes += static_cast<char>(t & 0xFF), bytes += static_cast<char>(t >> 8);
  return sha256_hex(bytes);
}

// The place that np.random.seed(seed); np.random.randint(0, n) gives.
int64_t numpy_place(const json& seed, int64_t n) { return NumpyRandom(seed.get<uint32_t>()).below(n); }

int64_t sample_number(const json& query) {
  return 1 + query.at("epoch").get<int64_t>() * 40320 +
         item_of_rank(query.at("idx").get<int64_t>(), query.at("world").get<int64_t>(), query.at("rank").get<int64_t>());
}

void compare_positions(const json& queries, const TokenData& data, const Layout& windows, int64_t ctx_len, const std::string& what,
                       Check& check) {
  FilledRow row(ctx_len);
  for (const json& query : queries) {
    const std::string where = cat(what, " seed ", query.at("numpy_seed").dump());
    const int64_t place = numpy_place(query.at("numpy_seed"), n_random_places(data.n_tokens(), ctx_len));
    check.exact(where + " i", query.at("i") == place);
    compare_window(query, row.fill(windows, place), where, check);
  }
}

}  // namespace

void run_pile_stage(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"ctx_len", "data_size", "magic_prime", "samples_per_epoch"}, c.label, check);
  const int64_t ctx_len = c.json.at("ctx_len"), prime = c.json.at("magic_prime");
  const SharedTokens data = open_binidx_tokens(case_prefix(c), false);
  const auto windows = make_window_layout(data, {.ctx_len = ctx_len});
  check.exact("data_size", c.json.at("data_size") == data->n_tokens());
  check.exact("magic_prime", prime == find_magic_prime(data->n_tokens(), ctx_len));
  FilledRow row(ctx_len);
  for (const json& query : read_rows(c.path("queries.jsonl"))) {
    refuse_unknown(query,
                   {"dataset", "stage", "shift", "random_steps", "world", "micro_bsz", "rank", "epoch", "idx", "ii", "i", "numpy_seed",
                    "x_sha256_u16le", "y_last", "error"},
                   query.dump(), check);
    const int64_t stage = query.at("stage");
    if (query.contains("error") && !query.at("error").is_null()) {  // a window past the end, which is refused before the first sample
      const std::string message = refusal([&] {
        window_order(*data,
                     {.ctx_len = ctx_len, .magic_prime = prime, .shift = query.at("shift"), .random_steps = query.at("random_steps")});
      });
      check.exact(cat("refused: ", message, " ", query.dump()), !message.empty());
      continue;
    }
    int64_t place = 0;
    bool random = stage == 0 || stage == 4;
    if (stage > 0) {
      const int64_t number = sample_number(query);
      check.exact("number of " + query.dump(), query.at("ii") == number);
      const SampleOrder order = window_order(
          *data, {.ctx_len = ctx_len, .magic_prime = prime, .shift = query.at("shift"), .random_steps = query.at("random_steps")});
      random |= number < order.random_steps;
      place = order.index(number);
    }
    check.exact("drawn at random: " + query.dump(), random == !query.at("numpy_seed").is_null());
    if (random) place = numpy_place(query.at("numpy_seed"), n_random_places(data->n_tokens(), ctx_len));
    check.exact("place of " + query.dump(), query.at("i") == place);
    row.fill(*windows, place);
    check.exact("x of " + query.dump(), query.at("x_sha256_u16le") == u16_hash(row.tokens));
    check.exact("y of " + query.dump(), query.at("y_last") == row.targets.back());
  }
}

void run_pile_version2(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"ctx_len", "magic_prime", "total"}, c.label, check);
  const int64_t ctx_len = c.json.at("ctx_len");
  const PileList list = open_pile_list(c.path("list.txt"), ctx_len);
  check.exact("total", c.json.at("total") == list.total());
  const auto layout = make_listed_layout(list, {.ctx_len = ctx_len});
  const SampleOrder order = listed_order(list, {.ctx_len = ctx_len});
  check.exact("magic_prime", c.json.at("magic_prime") == order.n && order.kind == SampleOrder::Kind::prime);
  FilledRow row(ctx_len);
  for (const json& query : read_rows(c.path("queries.jsonl"))) {
    refuse_unknown(query, {"stage", "rank", "world", "epoch", "idx", "numpy_seed", "x", "y_last"}, query.dump(), check);
    const bool random = query.at("stage") == 0;
    check.exact("drawn at random: " + query.dump(), random == !query.at("numpy_seed").is_null());
    row.fill(*layout, random ? numpy_place(query.at("numpy_seed"), order.n_random) : order.index(sample_number(query)));
    check.exact("x of " + query.dump(), query.at("x") == row.tokens);
    check.exact("y of " + query.dump(), query.at("y_last") == row.targets.back());
  }
}

void run_rwkv_qa_mask(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"ctx_len", "data_size", "pile_size", "magic_prime", "my_pile_stage"}, c.label, check);
  const int64_t ctx_len = c.json.at("ctx_len");
  const SharedTokens data = open_binidx_tokens(case_prefix(c), false), pile = open_binidx_tokens(case_prefix(c, "pile"), false);
  check.exact("data_size", c.json.at("data_size") == data->n_tokens());
  check.exact("pile_size", c.json.at("pile_size") == pile->n_tokens());
  QaPile both{.main = make_window_layout(data, {.ctx_len = ctx_len}),
              .pile = make_window_layout(pile, {.ctx_len = ctx_len}),
              .order = window_order(*data, {.ctx_len = ctx_len, .magic_prime = c.json.at("magic_prime")}),
              .n_random = n_random_places(pile->n_tokens(), ctx_len),
              .main_tokens = data->n_tokens()};
  FilledRow row(ctx_len);
  for (const json& query : read_rows(c.path("queries.jsonl"))) {
    refuse_unknown(query, {"dataset", "my_qa_mask", "rank", "world", "idx", "epoch", "ii", "numpy_seed", "x", "y", "z"}, query.dump(),
                   check);
    const int64_t number = sample_number(query);
    check.exact("number of " + query.dump(), query.at("ii") == number);
    both.masked = query.at("my_qa_mask") == 1;
    const json& seed = query.at("numpy_seed");
    row.offset = both.fill(number, seed.is_null() ? 0 : numpy_place(seed, both.n_random), row.row());
    check.exact("x of " + query.dump(), query.at("x") == row.tokens);
    json y = query.at("y");
    if (query.contains("z")) {
      check.exact("z of " + query.dump(), query.at("z") == row.mask());
      for (size_t i = 0; i < y.size(); ++i)
        if (query.at("z").at(i) == 0) y.at(i) = -100;
    }
    check.exact("y of " + query.dump(), y == row.targets);
  }
}

namespace {

// A text of characters through the whole way: prepared below a scratch folder, opened, and its vocab.json.
struct CharData {
  CharData(const DataOptions& options, const ScratchFolder& scratch) {
    const std::string folder = scratch.path("data");
    prepare_data(options, {.folder = folder});
    set = open_data(options, folder);
    const std::string bin = set->token_files().at(0);
    data = open_binidx_tokens(bin.substr(0, bin.size() - 4), false);
    vocab = read_whole(scratch.path("vocab.json"));
    ids.resize(static_cast<size_t>(data->n_tokens()));
    data->read(0, ids, set->vocabulary());
  }
  std::unique_ptr<DataSet> set;
  SharedTokens data;
  std::string vocab;
  std::vector<int32_t> ids;
};

}  // namespace

void run_text_types(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"ctx_len", "items", "errors"}, c.label, check);
  const int64_t ctx_len = c.json.at("ctx_len");
  for (const json& item : c.json.at("items")) {
    const std::string file = item.at("file");
    refuse_unknown(item, {"file", "data_type", "data_size", "vocab_size", "chars", "ids", "queries"}, file, check);
    const ScratchFolder scratch;
    const CharData text({.data_file = c.path(file), .data_type = item.at("data_type"), .ctx_len = ctx_len}, scratch);
    check.exact(file + " data_size", item.at("data_size") == text.set->n_tokens());
    check.exact(file + " vocab_size", item.at("vocab_size") == text.set->vocabulary());
    check.exact(file + " ids", item.at("ids") == text.ids);
    check.exact(file + " vocab.json", text.vocab == read_whole(c.path(file + ".vocab.json")));
    json chars;
    for (char32_t character : read_char_vocab(scratch.path("vocab.json"))) chars.push_back(static_cast<int64_t>(character));
    check.exact(file + " chars", item.at("chars") == chars);
    compare_positions(item.at("queries"), *text.data, *make_window_layout(text.data, {.ctx_len = ctx_len}), ctx_len, file, check);
  }
  for (const json& error : c.json.at("errors")) {
    const std::string file = error.at("file");
    refuse_unknown(error, {"file", "data_type", "upstream", "required"}, file, check);
    const ScratchFolder scratch;
    const std::string message =
        refusal([&] { CharData({.data_file = c.path(file), .data_type = error.at("data_type"), .ctx_len = ctx_len}, scratch); });
    check.exact(cat(file, " is refused: ", message), message.find(file) != message.npos);
    const bool offset = error.at("required").get<std::string>().find("byte offset") != std::string::npos;
    if (offset) check.exact(cat(file, " names the byte: ", message), message.find(": byte ") != message.npos);
    check.exact(file + " leaves nothing behind",
                !std::filesystem::exists(scratch.path("data")) || std::filesystem::is_empty(scratch.path("data")));
  }
}

void run_dummy(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"data_size", "vocab_size", "vocab", "text_head", "text_tail", "ids_sha256_u8", "ctx_len", "queries"}, c.label,
                 check);
  const int64_t ctx_len = c.json.at("ctx_len");
  const ScratchFolder scratch;
  const CharData dummy({.data_type = "dummy", .ctx_len = ctx_len}, scratch);
  check.exact("data_size", c.json.at("data_size") == dummy.set->n_tokens());
  check.exact("vocab_size", c.json.at("vocab_size") == dummy.set->vocabulary());
  check.exact("vocab", c.json.at("vocab") == json::parse(dummy.vocab));
  std::string bytes, text;
  const std::vector<char32_t> characters = read_char_vocab(scratch.path("vocab.json"));
  for (int32_t id : dummy.ids) bytes += static_cast<char>(id), text += static_cast<char>(characters.at(static_cast<size_t>(id)));
  check.exact("ids", c.json.at("ids_sha256_u8") == sha256_hex(bytes));
  check.exact("text_head", text.starts_with(c.json.at("text_head").get<std::string>()));
  check.exact("text_tail", text.ends_with(c.json.at("text_tail").get<std::string>()));
  compare_positions(c.json.at("queries"), *dummy.data, *make_window_layout(dummy.data, {.ctx_len = ctx_len}), ctx_len, "dummy", check);
}

namespace {

void compare_rows(const Case& c, const json& item, Check& check) {
  const int64_t row_tokens = item.at("my_sample_len");
  refuse_unknown(item, {"file", "my_sample_len", "data_size", "rows", "queries", "note"}, "uint16", check);
  const SharedTokens data = open_uint16_rows(c.path(item.at("file")), row_tokens);
  check.exact("uint16 data_size", item.at("data_size") == data->n_documents());
  std::vector<int32_t> tokens(static_cast<size_t>(row_tokens));
  for (int64_t d = 0; d < data->n_documents(); ++d) {
    data->read(data->document_begin(d), tokens, 65536);
    check.exact(cat("uint16 row ", d), item.at("rows").at(static_cast<size_t>(d)) == tokens);
  }
  const auto rows = make_document_layout(data, {.ctx_len = row_tokens - 1}, false);
  FilledRow row(row_tokens - 1);
  for (const json& query : item.at("queries")) {
    const std::string what = cat("uint16 seed ", query.at("numpy_seed").dump());
    const int64_t place = numpy_place(query.at("numpy_seed"), data->n_documents() - 1);
    check.exact(what + " i", query.at("i") == place);
    compare_window(query, row.fill(*rows, place), what, check);
  }
}

}  // namespace

void run_numpy_uint16(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"ctx_len", "items", "uint16", "errors"}, c.label, check);
  const int64_t ctx_len = c.json.at("ctx_len");
  for (const json& item : c.json.at("items")) {
    const std::string file = item.at("file"), required = item.at("required");
    refuse_unknown(item, {"file", "dtype", "data_size", "first", "queries", "required"}, file, check);
    if (required.find("may refuse") != required.npos) {
      const std::string message = refusal([&] { open_numpy_tokens(c.path(file)); });
      check.exact(cat(file, " is refused: ", message), message.find(file) != message.npos);
      continue;
    }
    const SharedTokens data = open_numpy_tokens(c.path(file));
    check.exact(file + " data_size", item.at("data_size") == data->n_tokens());
    std::vector<int32_t> first(item.at("first").size());
    data->read(0, first, 65536);
    check.exact(file + " first", item.at("first") == first);
    if (item.contains("queries"))
      compare_positions(item.at("queries"), *data, *make_window_layout(data, {.ctx_len = ctx_len, .vocab = 65536}), ctx_len, file, check);
  }
  compare_rows(c, c.json.at("uint16"), check);
  for (const json& error : c.json.at("errors")) {
    const std::string file = error.at("file");
    refuse_unknown(error, {"file", "my_sample_len", "required"}, file, check);
    const std::string message = refusal([&] {
      if (error.contains("my_sample_len")) {
        open_uint16_rows(c.path(file), error.at("my_sample_len"));
      } else {
        open_numpy_tokens(c.path(file));
      }
    });
    check.exact(cat(file, " is refused: ", message), message.find(file) != message.npos);
  }
}

void compare_dealing(const json& rules, const json& warmups, Check& check) {
  for (const json& rule : rules)
    check.exact("line of " + rule.dump(), rule.at("line") == item_of_rank(rule.at("idx"), rule.at("world"), rule.at("rank")));
  for (const json& warmup : warmups) {
    const ContextWarmup lengths{
        .initial = warmup.at("initial_ctx_len"),
        .final = warmup.at("ctx_len"),
        .steps = warmup.at("ctx_warmup_steps"),
        .samples_per_step = warmup.at("micro_bsz").get<int64_t>() * warmup.at("accumulate_grad_batches").get<int64_t>()};
    json computed = json::array();
    for (size_t k = 0; k < warmup.at("sample_lengths").size(); ++k) computed.push_back(lengths.length(static_cast<int64_t>(k)));
    check.exact("lengths of " + warmup.dump(), warmup.at("sample_lengths") == computed);
  }
}

}  // namespace rk::golden
