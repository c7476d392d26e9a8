#include "launch/data/text_to_tokens.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "data/binidx_writer.h"
#include "data/char_vocab.h"
#include "data/staged_file.h"
#include "launch/data/progress_line.h"
#include "launch/data/report.h"

namespace rk {
namespace {

std::shared_ptr<const Tokenizer> with_special_tokens(std::shared_ptr<const Tokenizer> base, const std::string& path) {
  const MappedFile file(path);
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  const nlohmann::json json = nlohmann::json::parse(text, text + file.size(), nullptr, false);
  std::map<std::string, int32_t> specials;
  if (json.is_object()) {
    for (const auto& [word, id] : json.items()) {
      if (!id.is_number_integer()) fail(cat(path, ": the id of \"", word, "\" is not a whole number"));
      specials[word] = id;
    }
  }
  if (specials.empty()) fail(cat(path, ": special tokens are a JSON object {\"text\": id, ...}"));
  return make_special_tokenizer(std::move(base), specials);
}

std::shared_ptr<const Tokenizer> tokenizer_of(const TokenizeOptions& o) {
  if (!o.vocab.empty() && o.tokenizer != "world") fail(cat("--vocab is the vocabulary file of --tokenizer world, not of ", o.tokenizer));
  std::shared_ptr<const Tokenizer> tokenizer = o.vocab.empty() ? make_tokenizer(o.tokenizer) : make_world_tokenizer(o.vocab);
  return o.special_tokens.empty() ? tokenizer : with_special_tokens(std::move(tokenizer), o.special_tokens);
}

// Which files the tokenizer comes from, and which version of them.
std::string request_of(const TokenizeOptions& o) {
  std::string text = cat("rookery " ROOKERY_VERSION " --tokenizer ", o.tokenizer);
  const std::string char_file = o.tokenizer.starts_with("char:") ? o.tokenizer.substr(5) : "";
  for (const std::string& file : {o.tokenizer, char_file, o.vocab, o.special_tokens}) {
    std::error_code error;
    if (file.empty() || !std::filesystem::is_regular_file(file, error)) continue;
    text += cat(" ", file, " ", std::filesystem::file_size(file), " bytes of ",
                std::filesystem::last_write_time(file).time_since_epoch().count());
  }
  return text;
}

void report(const TokenizeOptions& o, const TokenizeReport& done, double seconds) {
  const Tokenizer& tokenizer = *o.args.tokenizer;
  for (const std::string& warning : done.warnings) log_warning(warning);
  for (const std::string& line : done.left_out_named) log_warning(line);
  if (done.left_out > 0)
    log_warning(cat(done.left_out, done.left_out == 1 ? " line or file" : " lines or files", " could not be used and ",
                    done.left_out == 1 ? "was" : "were", " left out",
                    done.left_out > std::ssize(done.left_out_named) ? "; the first are named" : ""));
  if (done.empty > 0)
    log_info(cat(done.empty, done.empty == 1 ? " text was empty" : " texts were empty", o.args.drop_empty ? " and left out" : ""));
  const DType dtype = o.args.dtype.value_or(token_dtype(tokenizer.vocab_size()));
  log_info(cat(o.args.prefix, ".bin, ", o.args.prefix, ".idx: ", done.documents, " documents, ", done.tokens, " tokens (", name_of(dtype),
               "); ", bytes_text(static_cast<double>(done.input_bytes)), " read in ", static_cast<int64_t>(seconds + 0.5), " s"));
  log_info(cat("train with: --data_file ", o.args.prefix, " --data_type binidx --vocab_size ", tokenizer.vocab_size(), " ",
               prime_text(done.tokens, o.ctx_len)));
}

}  // namespace

TokenizeOptions::TokenizeOptions() { args.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

void add_common_options(CLI::App& app, TokenizeOptions& o) {
  app.add_option("--threads,--workers", o.args.threads, "threads; the result does not depend on them")->capture_default_str();
  app.add_option("--on_error", o.on_error, "stop at the first line that cannot be used, or skip and count such lines (.txt: files)")
      ->check(CLI::IsMember({"stop", "skip"}))
      ->capture_default_str();
}

void text_to_tokens(TokenizeOptions o) {
  TokenizeArgs& args = o.args;
  if (args.threads < 1) fail(cat("--threads ", args.threads, ": at least one is needed"));
  check_ctx_len(o.ctx_len);
  ProgressLine progress;
  args.skip_errors = o.on_error == "skip";
  args.request = request_of(o);
  args.progress = [&progress](int64_t bytes_done, int64_t in_all) { progress.show(bytes_done, in_all); };
  args.say = log_info;
  if (o.tokenizer != "char") {
    args.tokenizer = tokenizer_of(o);
    const TokenizeReport done = tokenize(args);
    return report(o, done, progress.seconds());
  }
  if (!o.vocab.empty()) fail(cat("--vocab ", o.vocab, ": for a vocabulary of characters give --tokenizer char:", o.vocab));
  if (!o.special_tokens.empty()) fail("--special_tokens does not go with --tokenizer char, whose vocabulary is the characters of the text");
  const std::vector<char32_t> characters = collect_characters(args).sorted();
  StagedFile vocab(args.prefix + ".vocab.json");
  const std::string json = char_vocab_json(characters);
  vocab.write(json.data(), json.size());
  vocab.finish();
  args.tokenizer = make_char_tokenizer(characters, vocab.path());
  const TokenizeReport done = tokenize(args);
  vocab.commit();
  report(o, done, progress.seconds());
  log_info(cat(vocab.path(), ": ", characters.size(), " characters; --tokenizer char:", vocab.path(), " uses them for more text"));
}

}  // namespace rk
