// rookery generate: a text goes on as a model would have it.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/rng.h"
#include "data/utf8.h"
#include "launch/model_options.h"
#include "launch/subcommands.h"
#include "launch/words.h"
#include "train/token_choice.h"

namespace rk {
namespace {

struct GenerateOptions {
  ModelOptions model;
  std::string prompt, prompt_file;
  int64_t length = 256;
  uint64_t seed = 42;
  bool ignore_end = false;
  TokenChoice choice;
};

bool read_options(GenerateOptions& o, int argc, char** argv) {
  CLI::App app{"Continues a text with a model", "rookery generate"};
  add_model_options(app, o.model);
  auto* prompt = app.add_option("--prompt", o.prompt, "text to continue");
  app.add_option("--prompt_file", o.prompt_file, "file with the text to continue")->excludes(prompt);
  app.add_option("--length", o.length, "tokens to make at most")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--temperature", o.choice.temperature, "0 = always the most probable token")
      ->check(CLI::Range(0.0, 1e3))
      ->capture_default_str();
  app.add_option("--top_p", o.choice.top_p, "keep the most probable tokens up to this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--top_k", o.choice.top_k, "keep this many most probable tokens; 0 = all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--seed", o.seed, "the same seed gives the same text")->capture_default_str();
  app.add_flag("--ignore_end", o.ignore_end, "go on behind the end of a document");
  return parse_words(app, argc, argv);
}

std::string prompt_of(const GenerateOptions& o) {
  if (o.prompt_file.empty()) return o.prompt;
  std::ifstream in(o.prompt_file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  if (!in) fail(cat("--prompt_file ", o.prompt_file, " cannot be read"));
  return text.str();
}

// Bytes to valid UTF-8 as they come: the bytes of a character that is not complete yet are held back.
class Utf8Output {
 public:
  void write(std::string_view bytes) {
    held_ += bytes;
    const size_t complete = held_.size() - n_unfinished();
    put(std::string_view(held_).substr(0, complete));
    held_.erase(0, complete);
  }
  void finish() {
    put(held_);
    held_.clear();
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }

 private:
  // How many last bytes are the beginning of a character: behind the first byte of one at most two more are missing the last.
  size_t n_unfinished() const {
    for (size_t n = 1; n <= std::min<size_t>(3, held_.size()); ++n) {
      const auto byte = static_cast<unsigned char>(held_[held_.size() - n]);
      if ((byte & 0xc0) == 0x80) continue;
      const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
      const CodePoint first = first_code_point(std::string_view(held_).substr(held_.size() - n));
      return length > n && !first.valid && static_cast<size_t>(first.n_bytes) == n ? n : 0;
    }
    return 0;
  }
  static void put(std::string_view bytes) {
    const std::string text = lossy_utf8(bytes);
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  std::string held_;
};

// Ids beyond the vocabulary, or unused ones, have no bytes; an untrained model may choose them.
std::string_view bytes_or_mark(const Tokenizer& tokenizer, int32_t id) {
  if (id == tokenizer.end_of_document()) return "";
  try {
    if (id < tokenizer.vocab_size()) return tokenizer.bytes_of(id);
  } catch (const Error&) {
  }
  return "\xef\xbf\xbd";
}

}  // namespace

int generate_main(int argc, char** argv) {
  GenerateOptions o;
  if (!read_options(o, argc, argv)) return 0;
  const std::string prompt = prompt_of(o);
  const OpenedModel opened(o.model);
  Generator& model = *opened.generator;
  const Tokenizer* tokenizer = opened.tokenizer.get();
  std::vector<int32_t> ids;
  tokenizer->encode(prompt, ids);
  if (ids.empty()) {
    if (tokenizer->end_of_document() < 0) fail("--prompt is empty; --tokenizer ids needs at least one id");
    ids.push_back(tokenizer->end_of_document());  // a text begins where another has ended
  }

  using Clock = std::chrono::steady_clock;
  const auto seconds = [began = Clock::now()] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  auto logits = model.feed(ids);
  const double prompt_s = seconds();
  Utf8Output out;
  out.write(prompt);
  const Random random(o.seed, stream_of("generate"));
  int64_t made = 0;
  while (made < o.length) {
    const int32_t id = choose_token(logits, o.choice, random.uniform(static_cast<uint64_t>(made)));
    ++made;
    if (id == tokenizer->end_of_document() && !o.ignore_end) break;
    out.write(bytes_or_mark(*tokenizer, id));
    if (made < o.length) logits = model.feed({&id, 1});
  }
  out.finish();
  const double made_s = seconds() - prompt_s;
  std::fprintf(stderr, "prompt: %zu tokens, %.0f tokens/s; text: %lld tokens, %.1f tokens/s\n", ids.size(),
               static_cast<double>(ids.size()) / prompt_s, static_cast<long long>(made),
               made_s > 0 ? static_cast<double>(made) / made_s : 0);
  return 0;
}

}  // namespace rk
