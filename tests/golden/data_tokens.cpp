// Golden cases of text: the world tokenizer and the way from .jsonl to binidx.
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>

#include "base/error.h"
#include "data/binidx.h"
#include "data/binidx_writer.h"
#include "data/sampling.h"
#include "data/shipped_files.h"
#include "data/tokenize.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "data/world_vocab.h"
#include "golden/data_support.h"
#include "golden/handlers.h"

namespace rk::golden {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view bytes) {
  std::vector<int32_t> ids;
  tokenizer.encode(bytes, ids);
  return ids;
}

std::string bytes_of_all(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  std::string bytes;
  for (int32_t id : ids) bytes += tokenizer.bytes_of(id);
  return bytes;
}

bool is_utf8(std::string_view bytes) { return valid_utf8_prefix(bytes) == bytes.size(); }

void compare_encode(const Tokenizer& tokenizer, const std::vector<json>& rows, Check& check) {
  for (const json& row : rows) {
    const std::string what = cat("encode row ", row.at("id"));
    refuse_unknown(row, {"id", "cat", "b64", "utf8", "ids", "from_ids"}, what, check);
    const std::string bytes = base64_decode(row.at("b64").get<std::string>());
    const std::vector<int32_t> ids = encode(tokenizer, bytes);
    check.exact(what, row.at("ids") == ids);
    check.exact(what + " utf8", row.at("utf8") == is_utf8(bytes));
    check.exact(what + " decoded", tokenizer.decode(ids) == bytes);
    if (row.contains("from_ids")) check.exact(what + " from_ids", bytes_of_all(tokenizer, row.at("from_ids")) == bytes);
  }
}

void compare_decode(const Tokenizer& tokenizer, const std::vector<json>& rows, Check& check) {
  for (size_t r = 0; r < rows.size(); ++r) {
    const json& row = rows[r];
    const std::string what = cat("decode row ", r);
    refuse_unknown(row, {"ids", "error", "b64", "utf8", "lossy_b64", "upstream_str_b64"}, what, check);
    const std::vector<int32_t> ids = row.at("ids");
    try {
      const std::string bytes = bytes_of_all(tokenizer, ids);
      check.exact(what + " decodes", row.at("error").is_null());
      if (!row.at("error").is_null()) continue;
      check.exact(what, bytes == base64_decode(row.at("b64").get<std::string>()));
      check.exact(what + " utf8", row.at("utf8") == is_utf8(bytes));
      if (row.contains("lossy_b64"))
        check.exact(what + " lossy", lossy_utf8(bytes) == base64_decode(row.at("lossy_b64").get<std::string>()));
    } catch (const Error& e) {
      check.exact(cat(what, " is refused: ", e.what()), !row.at("error").is_null() && e.code() == ExitCode::bad_input);
    }
  }
}

void compare_long_runs(const Tokenizer& tokenizer, const std::vector<json>& rows, Check& check) {
  for (size_t r = 0; r < rows.size(); ++r) {
    const json& row = rows[r];
    const std::string what = cat("long run ", r);
    refuse_unknown(row, {"unit_b64", "repeat", "n_bytes", "n_ids", "head", "tail", "ids_sha256_u16le"}, what, check);
    const std::string unit = base64_decode(row.at("unit_b64").get<std::string>());
    std::string bytes, packed;
    for (int64_t i = 0; i < row.at("repeat"); ++i) bytes += unit;
    const std::vector<int32_t> ids = encode(tokenizer, bytes);
    for (int32_t id : ids) packed += {static_cast<char>(id), static_cast<char>(id >> 8)};
    const std::vector<int32_t> head = row.at("head"), tail = row.at("tail");
    if (row.contains("n_bytes")) check.exact(what + " n_bytes", row.at("n_bytes") == bytes.size());
    check.exact(what + " n_ids", row.at("n_ids") == ids.size());
    check.exact(what + " head", head.size() <= ids.size() && std::equal(head.begin(), head.end(), ids.begin()));
    check.exact(what + " tail", tail.size() <= ids.size() && std::equal(tail.rbegin(), tail.rend(), ids.rbegin()));
    check.exact(what + " ids", sha256_hex(packed) == row.at("ids_sha256_u16le"));
  }
}

// The vocabulary of a case, as a file with the entries of vocab_patch replaced.
std::string patched_vocab(const std::string& text, const json& patch, const ScratchFolder& scratch) {
  const std::vector<int32_t> removed = patch.at("remove_ids");
  const std::string path = scratch.path("vocab.txt");
  std::ofstream out(path, std::ios::binary);
  size_t at = 0;
  for (const VocabEntry& entry : parse_world_vocab(text, "the vocabulary")) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    if (std::find(removed.begin(), removed.end(), entry.id) == removed.end()) out << std::string_view(text).substr(at, end - at);
    at = end;
  }
  if (!text.ends_with('\n')) out << '\n';
  for (const auto& [word, id] : patch.at("add").items()) out << id << " '" << word << "' " << word.size() << '\n';
  return path;
}

void compare_special_tokens(const Case& c, const std::string& vocab, const std::vector<json>& rows, Check& check) {
  const ScratchFolder scratch;
  std::shared_ptr<const Tokenizer> base = make_world_tokenizer(patched_vocab(vocab, c.json.at("vocab_patch"), scratch));
  const auto tokenizer = make_special_tokenizer(base, c.json.at("special_tokens").get<std::map<std::string, int32_t>>());
  for (size_t r = 0; r < rows.size(); ++r) {
    const std::string what = cat("special tokens row ", r);
    refuse_unknown(rows[r], {"b64", "ids"}, what, check);
    const std::string bytes = base64_decode(rows[r].at("b64").get<std::string>());
    const std::vector<int32_t> ids = encode(*tokenizer, bytes);
    check.exact(what, rows[r].at("ids") == ids);
    check.exact(what + " decoded", tokenizer->decode(ids) == bytes);
  }
}

// What the specification promises of every vocabulary.
void check_properties(const Tokenizer& tokenizer, const std::string& vocab, Check& check) {
  bool entries_are_whole = true, bytes_are_entries = true;
  for (const VocabEntry& entry : parse_world_vocab(vocab, "the vocabulary"))
    entries_are_whole &= encode(tokenizer, entry.bytes) == std::vector<int32_t>{entry.id} && tokenizer.bytes_of(entry.id) == entry.bytes;
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    bytes_are_entries &= encode(tokenizer, {&byte, 1}) == std::vector<int32_t>{b + 1};
  }
  check.exact("every entry is one id", entries_are_whole);
  check.exact("byte b is id b + 1", bytes_are_entries);
  check.exact("65536 ids", tokenizer.vocab_size() == 65536);
  check.exact("id 0 ends documents", tokenizer.end_of_document() == 0);
}

}  // namespace

void run_world_tokenizer(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"vocab", "vocab_sha256", "counts", "special_tokens", "vocab_patch", "properties"}, c.label, check);
  const std::string own = c.path(c.json.at("vocab"));
  const bool shipped = !fs::exists(own);
  const std::string vocab = shipped ? std::string(shipped_world_vocab()) : read_whole(own);
  check.exact("vocab_sha256", sha256_hex(vocab) == c.json.at("vocab_sha256"));
  const auto tokenizer = make_world_tokenizer(shipped ? std::string() : own);
  check_properties(*tokenizer, vocab, check);
  for (const auto& [name, count] : c.json.at("counts").items()) {
    const std::vector<json> rows = read_rows(c.path(name + ".jsonl"));
    check.exact(name + " rows", count == rows.size());
    if (name == "encode") {
      compare_encode(*tokenizer, rows, check);
    } else if (name == "decode") {
      compare_decode(*tokenizer, rows, check);
    } else if (name == "long_runs") {
      compare_long_runs(*tokenizer, rows, check);
    } else if (name == "special_tokens") {
      compare_special_tokens(c, vocab, rows, check);
    } else {
      check.fail(cat("unknown rows ", name));
    }
  }
}

namespace {

bool exists(const Tokenizer& tokenizer, int32_t id) {
  try {
    tokenizer.bytes_of(id);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// What the reference decodes: ids that do not exist are left out, special ones only where asked.
std::string text_of(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool with_special) {
  std::vector<int32_t> known;
  for (int32_t id : ids)
    if (exists(tokenizer, id)) known.push_back(id);
  return lossy_utf8(with_special ? bytes_of_all(tokenizer, known) : tokenizer.decode(known));
}

void compare_texts(const Tokenizer& tokenizer, const std::vector<json>& rows, Check& check) {
  for (const json& row : rows) {
    const std::string what = cat("encode row ", row.at("id"));
    refuse_unknown(row, {"id", "cat", "b64", "ids", "decoded_b64", "decoded_skip_special_b64"}, what, check);
    const std::string text = base64_decode(row.at("b64").get<std::string>());
    const std::vector<int32_t> ids = encode(tokenizer, text);
    check.exact(what, row.at("ids") == ids);
    const std::string kept = row.contains("decoded_b64") ? base64_decode(row.at("decoded_b64").get<std::string>()) : text;
    const std::string plain =
        row.contains("decoded_skip_special_b64") ? base64_decode(row.at("decoded_skip_special_b64").get<std::string>()) : kept;
    check.exact(what + " decoded", text_of(tokenizer, ids, true) == kept);
    check.exact(what + " decoded without special tokens", text_of(tokenizer, ids, false) == plain);
    std::vector<int32_t> parts;  // a text may be cut at every place that is named
    std::string_view rest = text;
    for (size_t n = 1; n <= rest.size(); ++n) {
      const size_t cut = tokenizer.split_point(rest.substr(0, n));
      if (cut == 0) continue;
      tokenizer.encode(rest.substr(0, cut), parts);
      rest.remove_prefix(cut);
      n = 0;
    }
    tokenizer.encode(rest, parts);
    check.exact(what + " in parts", parts == ids);
  }
}

void compare_ids(const Tokenizer& tokenizer, const std::vector<json>& rows, Check& check) {
  for (size_t r = 0; r < rows.size(); ++r) {
    const std::string what = cat("decode row ", r);
    refuse_unknown(rows[r], {"ids", "text_b64", "text_skip_special_b64"}, what, check);
    const std::vector<int32_t> ids = rows[r].at("ids");
    check.exact(what, text_of(tokenizer, ids, true) == base64_decode(rows[r].at("text_b64").get<std::string>()));
    check.exact(what + " without special tokens",
                text_of(tokenizer, ids, false) == base64_decode(rows[r].at("text_skip_special_b64").get<std::string>()));
  }
}

}  // namespace

void run_neox_tokenizer(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"vocab", "vocab_sha256", "vocab_size", "padded_vocab_size_used_by_models", "counts"}, c.label, check);
  const std::string own = c.path(c.json.at("vocab"));
  const bool shipped = !fs::exists(own);
  check.exact("vocab_sha256", sha256_hex(shipped ? std::string(shipped_neox_tokenizer()) : read_whole(own)) == c.json.at("vocab_sha256"));
  const auto tokenizer = make_bpe_tokenizer(shipped ? std::string() : own);
  check.exact("vocab_size", c.json.at("vocab_size") == tokenizer->vocab_size());
  check.exact("vocabulary of models", c.json.at("padded_vocab_size_used_by_models") == tokenizer->vocab_size());
  check.exact("id 0 ends documents", tokenizer->end_of_document() == 0);
  for (const auto& [name, count] : c.json.at("counts").items()) {
    const std::vector<json> rows = read_rows(c.path(name + ".jsonl"));
    check.exact(name + " rows", count == rows.size());
    if (name == "encode") {
      compare_texts(*tokenizer, rows, check);
    } else if (name == "decode") {
      compare_ids(*tokenizer, rows, check);
    } else if (name == "long_runs") {
      compare_long_runs(*tokenizer, rows, check);
    } else {
      check.fail(cat("unknown rows ", name));
    }
  }
}

namespace {

TokenizeArgs world_args(const std::string& input, const std::string& prefix, const Options& options) {
  TokenizeArgs args;
  args.inputs = {input};
  args.prefix = prefix;
  args.tokenizer = make_world_tokenizer();
  args.threads = options.threads;
  return args;
}

// The documents of all passes in an order that is given instead of drawn.
void write_in_order(const TokenizeArgs& args, const std::vector<int64_t>& order, int64_t n_epoch) {
  TokenizeArgs once = args;
  once.prefix = args.prefix + "-once";
  tokenize(once);
  const Binidx data(once.prefix);
  auto at = order.begin();
  write_passes({data, args.prefix, n_epoch, [&](std::span<int64_t> documents) {
                  require(order.end() - at >= std::ssize(documents), "the order names every document of every pass");
                  std::copy_n(at, documents.size(), documents.begin());
                  at += std::ssize(documents);
                }});
}

bool is_file_order(const std::vector<int64_t>& order, int64_t n_epoch) {
  const int64_t n = std::ssize(order) / n_epoch;
  for (int64_t i = 0; i < std::ssize(order); ++i) {
    if (order[i] != i % n) return false;
  }
  return true;
}

}  // namespace

void run_make_data(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json, {"runs"}, c.label, check);
  const std::string input = input_file(c, ".jsonl");
  for (const json& run : c.json.at("runs")) {
    const std::string what = run.at("files").at(0);
    refuse_unknown(run, {"n_epoch", "ctx_len", "python_seed", "order", "tokens", "items", "magic_prime", "sha256_bin", "sha256_idx", "idx"},
                   what, check);
    const ScratchFolder scratch;
    TokenizeArgs args = world_args(input, scratch.path("data"), options);
    args.n_epoch = run.at("n_epoch");
    if (!run.at("python_seed").is_null()) args.shuffle_seed = run.at("python_seed");
    const std::vector<int64_t> order = run.at("order");
    if (args.shuffle_seed || is_file_order(order, args.n_epoch)) {
      const TokenizeReport report = tokenize(args);
      check.exact(what + " tokens", run.at("tokens") == report.tokens);
      check.exact(what + " items", run.at("items") == report.documents);
      compare_pair(c, run, args.prefix, check);
    }
    args.prefix = scratch.path("given");
    args.shuffle_seed.reset();
    const int64_t n_epoch = std::exchange(args.n_epoch, 1);
    write_in_order(args, order, n_epoch);
    compare_pair(c, run, args.prefix, check);
    const auto prime = find_magic_prime(Binidx(args.prefix).n_tokens(), run.at("ctx_len"));
    check.exact(what + " magic_prime", run.at("magic_prime") == (prime ? json(*prime) : json()));
  }
}

void run_json2binidx(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json, {"runs"}, c.label, check);
  const std::string input = input_file(c, ".jsonl");
  for (const json& run : c.json.at("runs")) {
    const std::string what = run.at("files").at(0);
    refuse_unknown(run, {"tokenizer", "append_eod", "sha256_bin", "sha256_idx", "idx"}, what, check);
    const ScratchFolder scratch;
    const bool world = run.at("tokenizer") == "RWKVTokenizer";
    check.exact(what + " tokenizer", world || run.at("tokenizer") == "HFTokenizer");
    TokenizeArgs args = world_args(input, scratch.path("data"), options);
    if (!world) args.tokenizer = make_bpe_tokenizer();
    args.dtype = preprocessed_dtype(args.tokenizer->vocab_size());
    args.end_documents = run.at("append_eod");
    args.paragraphs = args.drop_empty = true;
    tokenize(args);
    compare_pair(c, run, args.prefix, check);
  }
}

void run_corpus_small(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json, {"documents", "tokens", "text_bytes", "jsonl_bytes", "magic_prime", "sha256"}, c.label, check);
  const std::string input = input_file(c, ".jsonl");
  const ScratchFolder scratch;
  const TokenizeArgs args = world_args(input, scratch.path("data"), options);
  const TokenizeReport report = tokenize(args);
  check.exact("documents", c.json.at("documents") == report.documents);
  check.exact("tokens", c.json.at("tokens") == report.tokens);
  check.exact("jsonl_bytes", c.json.at("jsonl_bytes") == report.input_bytes);
  for (const auto& [name, hash] : c.json.at("sha256").items()) {
    const std::string path = name == "jsonl" ? input : args.prefix + "." + name;
    check.exact("sha256 of " + name, sha256_hex(read_whole(path)) == hash);
  }
  const Binidx data(args.prefix);
  std::vector<int32_t> ids(static_cast<size_t>(data.n_tokens()));
  data.read_flat(0, ids, 65536);
  check.exact("text_bytes", c.json.at("text_bytes") == args.tokenizer->decode(ids).size());
  for (const auto& [ctx_len, prime] : c.json.at("magic_prime").items())
    check.exact("magic_prime at " + ctx_len, prime == find_magic_prime(data.n_tokens(), std::stoll(ctx_len)).value_or(0));
}

void run_malformed_jsonl(const Case& c, const Options& options, Check& check) {
  refuse_unknown(c.json, {"cases"}, c.label, check);
  for (const json& one : c.json.at("cases")) {
    const std::string file = one.at("file");
    refuse_unknown(one, {"file", "accept", "line"}, file, check);
    const ScratchFolder scratch;
    const TokenizeArgs args = world_args(c.path(file), scratch.path("data"), options);
    std::string outcome, message;
    try {
      const TokenizeReport report = tokenize(args);
      outcome = report.warnings.empty() ? "ok" : "warning";
      for (const std::string& warning : report.warnings) message += warning;
    } catch (const Error& e) {
      outcome = e.code() == ExitCode::bad_input ? "error" : "failure";
      message = e.what();
      check.exact(file + " leaves nothing behind", fs::is_empty(fs::path(args.prefix).parent_path()));
    }
    const json& accepted = one.at("accept");
    check.exact(cat(file, ": ", outcome, " ", message), std::find(accepted.begin(), accepted.end(), outcome) != accepted.end());
    if (outcome == "ok") continue;
    check.exact(cat(file, " is named: ", message), message.find(file) != message.npos);
    if (!one.at("line").is_null())
      check.exact(cat(file, ": its line is named: ", message), message.find(cat(file, ":", one.at("line"), ":")) != message.npos);
  }
}

}  // namespace rk::golden
