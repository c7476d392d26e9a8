// Golden cases of token data: binidx files, magic primes, sample positions and the schedule.
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "base/error.h"
#include "data/batch_source.h"
#include "data/binidx.h"
#include "data/binidx_writer.h"
#include "data/sampling.h"
#include "golden/data_support.h"
#include "golden/handlers.h"
#include "train/schedule.h"

namespace rk::golden {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string prefix_of(const Case& c, const json& run) {
  const std::string bin = run.at("files").at(0);
  return c.path(bin.substr(0, bin.rfind('.')));
}

std::vector<int32_t> read_sequence(const Binidx& data, int64_t seq, int64_t offset, std::optional<int64_t> length) {
  std::vector<int32_t> tokens(static_cast<size_t>(length.value_or(data.size_of_sequence(seq) - offset)));
  data.read(seq, offset, tokens, 0);
  return tokens;
}

// The error of an action, if it has one.
template <class Action>
std::optional<std::string> refusal_of(Action&& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return std::nullopt;
}

void compare_documents(const json& docs, const Binidx& data, const std::string& what, Check& check) {
  json read = json::array();
  for (int64_t d = 0; d < data.n_documents(); ++d) {
    json& document = read.emplace_back(json::array());
    for (int64_t s = data.document_begin(d); s < data.document_begin(d + 1); ++s)
      document.push_back(read_sequence(data, s, 0, std::nullopt));
  }
  check.exact(what + " docs", docs == read);
}

void write_again(const json& run, const Binidx& like, const std::string& prefix) {
  const bool with_modes = run.contains("modes") && !run.at("modes").is_null();
  BinidxWriter writer({.prefix = prefix, .dtype = like.dtype(), .modes = with_modes});
  size_t sequence = 0;
  for (const json& document : run.at("docs")) {
    for (const json& tokens : document) {
      writer.append(tokens.get<std::vector<int32_t>>());
      writer.end_sequence(with_modes ? run.at("modes").at(sequence++).get<int8_t>() : int8_t{0});
    }
    writer.end_document();
  }
  writer.finish();
  writer.commit();
}

void merge(const Case& c, const json& run, DType dtype, const std::string& prefix) {
  BinidxWriter writer({.prefix = prefix, .dtype = dtype});
  for (const json& name : run.at("merged_from")) {
    const Binidx part(c.path(name));
    for (int64_t d = 0; d < part.n_documents(); ++d) copy_document(part, d, writer);
  }
  writer.finish();
  writer.commit();
}

void compare_modes(const json& run, const Binidx& data, const std::string& what, Check& check) {
  if (!run.contains("modes")) return;
  json modes;
  for (int64_t s = 0; data.has_modes() && s < data.n_sequences(); ++s) modes.push_back(data.mode_of_sequence(s));
  check.exact(what + " modes", run.at("modes") == modes);
}

void compare_accepted(const Case& c, const json& run, Check& check) {
  const std::string what = run.at("files").at(0);
  compare_pair(c, run, prefix_of(c, run), check);
  const auto data = std::make_shared<const Binidx>(prefix_of(c, run));
  check.exact(what + " has no warnings", data->warnings().empty());
  compare_modes(run, *data, what, check);
  if (run.contains("docs")) compare_documents(run.at("docs"), *data, what, check);
  const ScratchFolder scratch;
  const std::string again = scratch.path("again");
  if (run.contains("merged_from")) {
    merge(c, run, data->dtype(), again);
  } else {
    write_again(run, *data, again);
  }
  compare_pair(c, run, again, check);
  if (data->n_tokens() != 0) return;
  const auto refusal = refusal_of([&] { make_pile_source(data, 16, 0, 65536); });
  check.exact(what + " cannot be trained on", refusal && refusal->find("no tokens") != refusal->npos);
}

void compare_reads(const json& reads, const std::string& prefix, Check& check) {
  const Binidx data(prefix);
  for (const json& read : reads) {
    const std::string what = "read " + read.dump();
    refuse_unknown(read, {"idx", "offset", "length", "tokens", "error"}, what, check);
    std::optional<int64_t> length;
    if (!read.at("length").is_null()) length = read.at("length");
    json tokens;
    const auto refusal = refusal_of([&] { tokens = read_sequence(data, read.at("idx"), read.at("offset"), length); });
    check.exact(what + refusal.value_or(""), read.at("tokens") == tokens && read.at("error").is_null() == !refusal);
  }
}

}  // namespace

void run_megatron(const Case& c, const Options&, Check& check) {
  for (const auto& [key, value] : c.json.items()) {
    if (key.starts_with("reads_")) compare_reads(value, c.path(key.substr(6)), check);
  }
  for (const json& run : c.json.at("runs")) {
    const std::string what = run.at("files").at(0), outcome = run.at("outcome");
    refuse_unknown(run, {"docs", "modes", "sha256_bin", "sha256_idx", "idx", "outcome", "merged_from"}, what, check);
    if (outcome.starts_with("ok")) {
      compare_accepted(c, run, check);
    } else if (outcome == "refuse") {
      const auto refusal = refusal_of([&] { Binidx data(prefix_of(c, run)); });
      check.exact(what + " is refused at its type", refusal && refusal->find(".idx: byte 17: ") != refusal->npos);
    } else {
      check.fail(cat(what, ": unknown outcome ", outcome));
    }
  }
}

namespace {

bool names(const std::string& message, const json& file, const json& offset) {
  const std::string at = offset.is_null() ? file.get<std::string>() + ": " : cat(file.get<std::string>(), ": byte ", offset, ": ");
  return message.find(at) != message.npos;
}

void compare_tokens(const Case& c, const Binidx& data, const std::string& name, Check& check) {
  const std::vector<int32_t> expected = c.json.at("tokens");
  std::vector<int32_t> tokens(expected.size());
  data.read_flat(0, tokens, 65536);
  check.exact(name + " tokens", tokens == expected);
}

void run_malformed_one(const Case& c, const json& one, Check& check) {
  const std::string name = one.at("name"), outcome = one.at("outcome");
  refuse_unknown(one, {"name", "outcome", "file", "offset"}, name, check);
  std::optional<Binidx> data;
  const auto refusal = refusal_of([&] { data.emplace(c.path(name)); });
  if (outcome == "error") {
    check.exact(cat(name, " is refused: ", refusal.value_or("no")), refusal && names(*refusal, one.at("file"), one.at("offset")));
    return;
  }
  check.exact(cat(name, " opens ", refusal.value_or("")), !refusal);
  if (!data) return;
  std::string warnings;
  for (const std::string& warning : data->warnings()) warnings += warning + "\n";
  if (outcome == "ok") {
    check.exact(cat(name, " has no warning: ", warnings), warnings.empty());
    compare_tokens(c, *data, name, check);
  } else if (outcome == "warning") {
    check.exact(cat(name, " has its warning: ", warnings), names(warnings, one.at("file"), one.at("offset")));
    compare_tokens(c, *data, name, check);
  } else if (outcome == "error at use") {
    std::vector<int32_t> tokens(static_cast<size_t>(data->n_tokens()));
    const auto use = refusal_of([&] { data->read_flat(0, tokens, 65535); });
    check.exact(cat(name, " is refused when read: ", use.value_or("no")), use && names(*use, one.at("file"), one.at("offset")));
  } else {
    check.fail(cat(name, ": unknown outcome ", outcome));
  }
}

}  // namespace

void run_malformed(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"sizes", "tokens", "cases"}, c.label, check);
  for (const json& one : c.json.at("cases")) run_malformed_one(c, one, check);
}

void run_large_sparse(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"total_bytes", "itemsize", "sizes", "pointers", "writes", "reads"}, c.label, check);
  const ScratchFolder scratch;
  fs::copy_file(input_file(c, ".idx"), scratch.path("large.idx"));
  std::ofstream(scratch.path("large.bin")).close();
  fs::resize_file(scratch.path("large.bin"), c.json.at("total_bytes"));
  {
    std::fstream out(scratch.path("large.bin"), std::ios::in | std::ios::out | std::ios::binary);
    for (const json& write : c.json.at("writes")) {
      refuse_unknown(write, {"offset", "tokens", "bytes_hex"}, "write", check);
      const std::string hex = write.at("bytes_hex");
      out.seekp(write.at("offset").get<int64_t>());
      for (size_t i = 0; i < hex.size(); i += 2) out.put(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    }
  }
  const Binidx data(scratch.path("large"));
  check.exact("itemsize", c.json.at("itemsize") == size_of(data.dtype()));
  json sizes = json::array(), pointers = json::array();
  for (int64_t i = 0; i < data.n_sequences(); ++i) sizes.push_back(data.size_of_sequence(i)), pointers.push_back(data.byte_pointer(i));
  check.exact("sizes", c.json.at("sizes") == sizes);
  check.exact("pointers", c.json.at("pointers") == pointers);
  for (const json& write : c.json.at("writes")) {
    std::vector<int32_t> tokens(write.at("tokens").size());
    data.read_flat(write.at("offset").get<int64_t>() / c.json.at("itemsize").get<int64_t>(), tokens, 65536);
    check.exact("written " + write.dump(), write.at("tokens") == tokens);
  }
  for (const json& read : c.json.at("reads")) {
    refuse_unknown(read, {"get", "tokens"}, "read", check);
    const json& get = read.at("get");
    std::optional<int64_t> length;
    if (!get.at(2).is_null()) length = get.at(2);
    check.exact("read " + get.dump(), read.at("tokens") == read_sequence(data, get.at(0), get.at(1), length));
  }
}

void run_magic_prime(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {}, c.label, check);
  for (const json& row : read_rows(c.path("primes.jsonl"))) {
    refuse_unknown(row, {"data_size", "ctx_len", "magic_prime", "slots"}, row.dump(), check);
    const int64_t tokens = row.at("data_size"), ctx_len = row.at("ctx_len");
    const auto prime = find_magic_prime(tokens, ctx_len);
    check.exact("prime of " + row.dump(), row.at("magic_prime") == (prime ? json(*prime) : json()));
    check.exact("slots of " + row.dump(), row.at("slots") == tokens / ctx_len);
  }
  for (const json& row : read_rows(c.path("formula.jsonl"))) {
    refuse_unknown(row, {"magic_prime", "factor", "ii", "ctx_len", "i"}, row.dump(), check);
    const int64_t prime = row.at("magic_prime");
    check.exact("factor of " + row.dump(), row.at("factor") == magic_factor(prime));
    check.exact("i of " + row.dump(), row.at("i") == sample_offset(row.at("ii"), prime, row.at("ctx_len")));
  }
}

namespace {

void compare_samples(const Hdf5Reader& expected, Check& check) {
  const std::vector<int64_t> rows = expected.read_ints("sample");
  check.mark_read("sample");
  for (size_t r = 0; r + 10 <= rows.size(); r += 10) {
    const int64_t prime = rows[r], ctx_len = rows[r + 1], per_epoch = rows[r + 2], epoch = rows[r + 3], idx = rows[r + 4],
                  rank = rows[r + 5], world = rows[r + 6], ii = rows[r + 7];
    const int64_t offset = sample_offset(ii, prime, ctx_len);
    check.exact(cat("sample row ", r / 10, " ii"), ii == 1 + epoch * per_epoch + idx * world + rank);
    check.exact(cat("sample row ", r / 10, " slot"), offset / ctx_len == rows[r + 8]);
    check.exact(cat("sample row ", r / 10, " offset"), offset == rows[r + 9]);
  }
}

void compare_primes(const Hdf5Reader& expected, Check& check) {
  const std::vector<int64_t> rows = expected.read_ints("magic_prime");
  check.mark_read("magic_prime");
  for (size_t r = 0; r + 4 <= rows.size(); r += 4) {
    const auto prime = find_magic_prime(rows[r], rows[r + 1]);
    check.exact(cat("prime of ", rows[r], " tokens at ", rows[r + 1]), prime.value_or(-1) == rows[r + 2]);
    const bool accepted = prime && !refusal_of([&] { check_magic_prime(*prime, rows[r], rows[r + 1]); });
    check.exact(cat("check of ", rows[r], " tokens at ", rows[r + 1]), accepted == (rows[r + 3] != 0));
  }
}

Schedule schedule_of(json settings, const json& defaults, Check& check) {
  for (const auto& [key, value] : defaults.items()) {
    if (!settings.contains(key)) settings[key] = value;
  }
  refuse_unknown(settings,
                 {"group", "lr_init", "lr_final", "warmup_steps", "ctx_len", "real_bsz", "my_exit_tokens", "epoch_begin", "epoch_steps",
                  "epoch_count"},
                 settings.at("group"), check);
  Schedule rate;
  rate.lr_init = settings.at("lr_init");
  rate.lr_final = settings.at("lr_final");
  rate.warmup_steps = settings.at("warmup_steps");
  rate.ctx_len = settings.at("ctx_len");
  rate.real_bsz = settings.at("real_bsz");
  rate.my_exit_tokens = settings.value("my_exit_tokens", int64_t{0});
  rate.epoch_begin = settings.at("epoch_begin");
  rate.epoch_steps = settings.at("epoch_steps");
  rate.epoch_count = settings.at("epoch_count");
  return rate;
}

double relative(double x, double reference) { return reference == 0 ? std::abs(x) : std::abs(x - reference) / std::abs(reference); }

void compare_rates(const Case& c, const Hdf5Reader& expected, const json& settings, Check& check) {
  const std::string group = settings.at("group");
  const Schedule rate = schedule_of(settings, c.json.at("defaults"), check);
  const double limit = c.json.at("tolerance").at("lr_rel");
  const std::vector<int64_t> steps = expected.read_ints(group + "/step"), stops = expected.read_ints(group + "/stop");
  const std::vector<double> rates = expected.read_doubles(group + "/lr"), w0_rates = expected.read_doubles(group + "/lr_w0");
  for (const char* name : {"/step", "/stop", "/lr", "/lr_w0"}) check.mark_read(group + name);
  constexpr double w0_scale = 2;  // lr_scale of att.w0
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string what = cat(group, " step ", steps[i]);
    check.at_most(what + " lr", relative(rate.lr(steps[i]), rates[i]), limit);
    check.at_most(what + " lr_w0", relative(w0_scale * rate.lr(steps[i]), w0_rates[i]), limit);
    check.exact(what + " stop", rate.past_horizon(steps[i]) == (stops[i] != 0));
  }
}

}  // namespace

void run_schedule_sampling(const Case& c, const Options&, Check& check) {
  refuse_unknown(c.json, {"lr_settings", "defaults", "columns", "informative"}, c.label, check);
  const Hdf5Reader expected(c.path("expected.h5"));
  compare_samples(expected, check);
  compare_primes(expected, check);
  for (const json& settings : c.json.at("lr_settings")) compare_rates(c, expected, settings, check);
  check.all_read(expected, c.json.value("informative", json::array()));
}

}  // namespace rk::golden
