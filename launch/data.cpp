// rookery data tokenize|make_data|info|prime|order: token data before training.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
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
#include "data/binidx.h"
#include "data/binidx_writer.h"
#include "data/char_vocab.h"
#include "data/sampling.h"
#include "data/staged_file.h"
#include "data/tokenize.h"
#include "launch/data_order.h"
#include "launch/subcommands.h"

namespace rk {
namespace {

std::string bytes_text(double n) {
  static constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  for (; n >= 1024 && unit < 4; ++unit) n /= 1024;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", n, units[unit]);
  return text;
}

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

std::string prime_text(int64_t n_tokens, int64_t ctx_len) {
  const auto prime = find_magic_prime(n_tokens, ctx_len);
  // a prime that the check of given primes would refuse is computed again by --magic_prime 0
  return cat("--ctx_len ", ctx_len, " --magic_prime ", prime && prime_covers(*prime, n_tokens, ctx_len) ? *prime : 0, " --my_exit_tokens ",
             n_tokens);
}

void check_ctx_len(int64_t ctx_len) {
  if (ctx_len < 1) fail(cat("--ctx_len ", ctx_len, ": a context has at least one token"));
}

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

std::string without_ending(std::string path) {
  if (path.ends_with(".bin") || path.ends_with(".idx")) path.resize(path.size() - 4);
  return path;
}

void run_info(const std::string& path, int64_t ctx_len, bool scan) {
  const Binidx data(without_ending(path));
  for (const std::string& warning : data.warnings()) log_warning(warning);
  log_info(cat(data.prefix(), ": ", data.n_documents(), " documents, ", data.n_sequences(), " sequences, ", data.n_tokens(), " tokens, ",
               name_of(data.dtype()), ", ", bytes_text(static_cast<double>(data.n_tokens()) * static_cast<double>(size_of(data.dtype())))));
  int64_t shortest = data.n_tokens(), longest = 0, total = 0;
  for (int64_t d = 0; d < data.n_documents(); ++d) {
    int64_t size = 0;
    for (int64_t s = data.document_begin(d); s < data.document_begin(d + 1); ++s) size += data.size_of_sequence(s);
    shortest = std::min(shortest, size), longest = std::max(longest, size), total += size;
  }
  if (data.n_documents() > 0) {
    const double mean = static_cast<double>(total) / static_cast<double>(data.n_documents());
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", mean);
    log_info(cat("tokens in a document: at least ", shortest, ", on average ", text, ", at most ", longest));
  }
  if (scan) {
    const int64_t largest = data.largest_token();
    log_info(cat("largest token: ", largest, "; a model needs --vocab_size ", largest + 1, " or more"));
  }
  if (ctx_len != 0) return log_info(prime_text(data.n_tokens(), ctx_len));
  for (const int64_t common : {512, 1024, 2048, 4096, 8192}) log_info(prime_text(data.n_tokens(), common));
}

void run_prime(const std::string& data_or_tokens, int64_t ctx_len) {
  check_ctx_len(ctx_len);
  int64_t n_tokens = 0;
  const auto [end, error] = std::from_chars(data_or_tokens.data(), data_or_tokens.data() + data_or_tokens.size(), n_tokens);
  if (error != std::errc() || end != data_or_tokens.data() + data_or_tokens.size())
    n_tokens = Binidx(without_ending(data_or_tokens)).n_tokens();
  const auto prime = find_magic_prime(n_tokens, ctx_len);
  if (!prime)
    fail(cat(n_tokens, " tokens have no magic prime at --ctx_len ", ctx_len, ": at least ", 3 * ctx_len,
             " tokens are needed; training on less needs none"));
  if (!prime_covers(*prime, n_tokens, ctx_len)) {
    log_warning(cat("the magic prime of so little data, ", *prime, " of ", n_tokens / ctx_len,
                    " slots, is refused when given; leave --magic_prime out"));
  }
  log_info(prime_text(n_tokens, ctx_len));
}

void add_tokenize(CLI::App& data, TokenizeOptions& o) {
  CLI::App* app = data.add_subcommand("tokenize", "text to PREFIX.bin and PREFIX.idx");
  app->add_option("inputs", o.inputs, ".txt (one document), .jsonl (one document a line, key \"text\"), - (standard input)")->required();
  app->add_option("-o,--output", o.prefix, "PREFIX of the files to write")->required();
  app->add_option("--tokenizer", o.tokenizer,
                  "world, bytes, char (makes PREFIX.vocab.json), char:VOCAB.json, or a vocabulary file of the world form")
      ->capture_default_str();
  app->add_option("--vocab", o.vocab, "vocabulary file of --tokenizer world; default: the one inside this program");
  app->add_option("--special_tokens", o.special_tokens, "JSON file {\"text\": id}: texts that are one token each");
  app->add_option("--threads", o.threads, "threads; the result does not depend on them")->capture_default_str();
  app->add_option("--n_epoch", o.n_epoch, "passes over the documents")->capture_default_str();
  app->add_option("--shuffle_seed", o.shuffle_seed,
                  "shuffle before each pass, in the order of Python's random.seed(S); default: file order");
  app->add_option("--ctx_len", o.ctx_len, "context length for which training flags are suggested")->capture_default_str();
  app->callback([&o] { run_tokenize(o); });
}

void add_make_data(CLI::App& data, TokenizeOptions& o) {
  CLI::App* app = data.add_subcommand("make_data", "make_data.py's form: FILE.jsonl N_EPOCH CTX_LEN, shuffled, output beside you");
  app->add_option("file", o.inputs.emplace_back(), "FILE.jsonl")->required();
  app->add_option("n_epoch", o.n_epoch, "passes over the documents")->required();
  app->add_option("ctx_len", o.ctx_len, "context length for which training flags are suggested")->required();
  app->add_option("--shuffle_seed", o.shuffle_seed, "order of the documents; default: 42");
  app->add_option("--threads", o.threads, "threads; the result does not depend on them")->capture_default_str();
  app->callback([&o] { run_make_data(o); });
}

struct InspectOptions {
  std::string data;
  int64_t ctx_len = 0;
  bool scan = false;
};

void add_info(CLI::App& data, InspectOptions& o) {
  CLI::App* app = data.add_subcommand("info", "what PREFIX.bin and PREFIX.idx hold");
  app->add_option("prefix", o.data, "PREFIX")->required();
  app->add_option("--ctx_len", o.ctx_len, "suggest training flags for this context length only")->check(CLI::PositiveNumber);
  app->add_flag("--scan", o.scan, "also look for the largest token");
  app->callback([&o] { run_info(o.data, o.ctx_len, o.scan); });
}

void add_prime(CLI::App& data, InspectOptions& o) {
  CLI::App* app = data.add_subcommand("prime", "the magic prime of PREFIX, or of a number of tokens");
  app->add_option("data", o.data, "PREFIX or number of tokens")->required();
  app->add_option("--ctx_len", o.ctx_len, "context length")->required();
  app->callback([&o] { run_prime(o.data, o.ctx_len); });
}

void add_order(CLI::App& data) {
  CLI::App* app = data.add_subcommand("order", "the samples of --steps A:B, by the options of rookery train or the --proj_dir of a run");
  app->prefix_command();
  app->callback([app] { print_data_order(app->remaining()); });
}

}  // namespace

int data_main(int argc, char** argv) {
  CLI::App app{"Token data: make it, look at it", "rookery data"};
  app.require_subcommand(1);
  TokenizeOptions tokenize_options, make_data_options;
  InspectOptions info_options, prime_options;
  add_tokenize(app, tokenize_options);
  add_make_data(app, make_data_options);
  add_info(app, info_options);
  add_prime(app, prime_options);
  add_order(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0) fail(cat("rookery data: ", e.what(), "; rookery data --help shows the options"));
    app.exit(e);
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
