// rookery data tokenize and make_data: text to token files.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "data/binidx_writer.h"
#include "data/char_vocab.h"
#include "data/staged_file.h"
#include "data/tokenize.h"
#include "launch/data/commands.h"
#include "launch/data/report.h"
#include "launch/words.h"

namespace rk {
namespace {

// One line on a terminal, rewritten a few times a second; nothing elsewhere.
class ProgressLine {
 public:
  void show(int64_t bytes_done) {
    if (!visible_ || seconds() - shown_at_ < 0.2) return;
    shown_at_ = seconds();
    std::fprintf(stderr, "\r%s, %s/s   ", bytes_text(static_cast<double>(bytes_done)).c_str(),
                 bytes_text(static_cast<double>(bytes_done) / shown_at_).c_str());
  }
  ~ProgressLine() {
    if (shown_at_ > 0) std::fputs("\r\033[K", stderr);
  }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  const bool visible_ = isatty(STDERR_FILENO) != 0;
  double shown_at_ = 0;
};

struct TokenizeOptions {
  std::vector<std::string> inputs;
  std::string prefix, tokenizer = "world", vocab, special_tokens;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  int64_t n_epoch = 1, ctx_len = 1024;
  std::optional<int64_t> shuffle_seed;
};

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

void report(const TokenizeOptions& o, const Tokenizer& tokenizer, const TokenizeReport& done, double seconds) {
  for (const std::string& warning : done.warnings) log_warning(warning);
  log_info(cat(o.prefix, ".bin, ", o.prefix, ".idx: ", done.documents, " documents, ", done.tokens, " tokens (",
               name_of(token_dtype(tokenizer.vocab_size())), "); ", bytes_text(static_cast<double>(done.input_bytes)), " read at ",
               bytes_text(static_cast<double>(done.input_bytes) / seconds), "/s"));
  log_info(cat("train with: --data_file ", o.prefix, " --data_type binidx --vocab_size ", tokenizer.vocab_size(), " ",
               prime_text(done.tokens, o.ctx_len)));
}

void run_tokenize(const TokenizeOptions& o) {
  if (o.threads < 1) fail(cat("--threads ", o.threads, ": at least one is needed"));
  check_ctx_len(o.ctx_len);
  ProgressLine progress;
  TokenizeArgs args;
  args.inputs = o.inputs;
  args.prefix = o.prefix;
  args.threads = o.threads;
  args.n_epoch = o.n_epoch;
  args.shuffle_seed = o.shuffle_seed;
  args.progress = [&progress](int64_t bytes_done) { progress.show(bytes_done); };
  if (o.tokenizer != "char") {
    args.tokenizer = tokenizer_of(o);
    const TokenizeReport done = tokenize(args);
    return report(o, *args.tokenizer, done, progress.seconds());
  }
  if (!o.vocab.empty()) fail(cat("--vocab ", o.vocab, ": for a vocabulary of characters give --tokenizer char:", o.vocab));
  if (!o.special_tokens.empty()) fail("--special_tokens does not go with --tokenizer char, whose vocabulary is the characters of the text");
  const std::vector<char32_t> characters = collect_characters(o.inputs, o.threads).sorted();
  StagedFile vocab(o.prefix + ".vocab.json");
  const std::string json = char_vocab_json(characters);
  vocab.write(json.data(), json.size());
  vocab.finish();
  args.tokenizer = make_char_tokenizer(characters, vocab.path());
  const TokenizeReport done = tokenize(args);
  vocab.commit();
  report(o, *args.tokenizer, done, progress.seconds());
  log_info(cat(vocab.path(), ": ", characters.size(), " characters; --tokenizer char:", vocab.path(), " uses them for more text"));
}

// make_data.py IN.jsonl N_EPOCH CTX_LEN: shuffled passes, output in the working folder. That program's order is never the same twice;
// ours is, for a seed.
void run_make_data(TokenizeOptions o) {
  o.prefix = std::filesystem::path(o.inputs.at(0)).stem().string();
  if (!o.shuffle_seed) o.shuffle_seed = 42;
  log_info(cat("documents are shuffled for each of ", o.n_epoch, " passes with --shuffle_seed ", *o.shuffle_seed));
  run_tokenize(o);
}

}  // namespace

int data_tokenize_main(int argc, char** argv) {
  CLI::App app{"Text to PREFIX.bin and PREFIX.idx", "rookery data tokenize"};
  TokenizeOptions o;
  app.add_option("inputs", o.inputs, ".txt (one document), .jsonl (one document a line, key \"text\"), - (standard input)")->required();
  app.add_option("-o,--output", o.prefix, "PREFIX of the files to write")->required();
  app.add_option("--tokenizer", o.tokenizer,
                 "world, bytes, char (makes PREFIX.vocab.json), char:VOCAB.json, or a vocabulary file of the world form")
      ->capture_default_str();
  app.add_option("--vocab", o.vocab, "vocabulary file of --tokenizer world; default: the one inside this program");
  app.add_option("--special_tokens", o.special_tokens, "JSON file {\"text\": id}: texts that are one token each");
  app.add_option("--threads", o.threads, "threads; the result does not depend on them")->capture_default_str();
  app.add_option("--n_epoch", o.n_epoch, "passes over the documents")->capture_default_str();
  app.add_option("--shuffle_seed", o.shuffle_seed,
                 "shuffle before each pass, in the order of Python's random.seed(S); default: file order");
  app.add_option("--ctx_len", o.ctx_len, "context length for which training flags are suggested")->capture_default_str();
  if (parse_words(app, argc, argv)) run_tokenize(o);
  return static_cast<int>(ExitCode::done);
}

int data_make_data_main(int argc, char** argv) {
  CLI::App app{"make_data.py's form: FILE.jsonl N_EPOCH CTX_LEN, shuffled, output beside you", "rookery data make_data"};
  TokenizeOptions o;
  app.add_option("file", o.inputs.emplace_back(), "FILE.jsonl")->required();
  app.add_option("n_epoch", o.n_epoch, "passes over the documents")->required();
  app.add_option("ctx_len", o.ctx_len, "context length for which training flags are suggested")->required();
  app.add_option("--shuffle_seed", o.shuffle_seed, "order of the documents; default: 42");
  app.add_option("--threads", o.threads, "threads; the result does not depend on them")->capture_default_str();
  if (parse_words(app, argc, argv)) run_make_data(o);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
