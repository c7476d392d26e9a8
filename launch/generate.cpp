// rookery generate: a text goes on as a model would have it.
#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "data/tokenizer.h"
#include "data/utf8.h"
#include "launch/mpirun.h"
#include "launch/subcommands.h"
#include "launch/words.h"
#include "train/generator.h"
#include "train/token_choice.h"

namespace rk {
namespace {

struct GenerateOptions {
  std::string model, tokenizer, prompt, prompt_file, precision = "fp32", accelerator = "auto";
  int64_t length = 256;
  uint64_t seed = 42;
  int threads = 0;
  bool ignore_end = false;
  TokenChoice choice;
};

bool read_options(GenerateOptions& o, int argc, char** argv) {
  CLI::App app{"Continues a text with a model", "rookery generate"};
  app.add_option("MODEL", o.model, "weights (.pth, .safetensors, .h5), a checkpoint folder, or a proj_dir")->required();
  app.add_option(
      "--tokenizer", o.tokenizer,
      "world, neox, bytes, char:VOCAB.json, a tokenizer.json or vocabulary file, or ids (numbers with blanks); default: the model's own");
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
  app.add_option("--threads", o.threads, "0 = all cores")->check(CLI::Range(0, 4096))->capture_default_str();
  app.add_option("--precision", o.precision, "what is computed in; fp16 on a GPU only, fp64 on the CPU only")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16", "fp64"}))
      ->capture_default_str();
  app.add_option("--accelerator", o.accelerator, "where it is computed; auto = on a GPU where there is one")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_flag("--ignore_end", o.ignore_end, "go on behind the end of a document");
  return parse_words(app, argc, argv);
}

DType dtype_named(const std::string& precision) {
  if (precision == "fp64") return DType::f64;
  if (precision == "fp16") return DType::f16;
  return precision == "bf16" ? DType::bf16 : DType::f32;
}

bool wants_gpu(const GenerateOptions& o) {
  if (o.accelerator == "cuda" && o.precision == "fp64") fail("--precision fp64 exists on the CPU only; use --accelerator cpu, or fp32");
  const bool gpu = o.accelerator == "cuda" || (o.accelerator == "auto" && o.precision != "fp64" && n_gpus() > 0);
  if (!gpu && o.precision == "fp16") fail("--precision fp16 does not exist on the CPU; use fp32, bf16 or fp64");
  return gpu;
}

// Token ids written as numbers, for models whose vocabulary is not at hand.
class NumberTokenizer : public Tokenizer {
 public:
  explicit NumberTokenizer(int64_t vocab_size) {
    for (int64_t id = 0; id < vocab_size; ++id) numbers_.push_back(" " + std::to_string(id));
  }
  void encode(std::string_view bytes, std::vector<int32_t>& ids) const override {
    std::istringstream in{std::string(bytes)};
    for (std::string word; in >> word;) {
      int32_t id = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
      if (error != std::errc{} || end != word.data() + word.size())
        fail(cat("the prompt word '", word, "' is no token id; --tokenizer ids takes whole numbers with blanks between them"));
      ids.push_back(id);
    }
  }
  size_t split_point(std::string_view) const override { return 0; }
  std::string_view bytes_of(int32_t id) const override { return numbers_.at(static_cast<size_t>(id)); }
  int64_t vocab_size() const override { return static_cast<int64_t>(numbers_.size()); }
  int32_t end_of_document() const override { return -1; }
  std::string name() const override { return "ids"; }

 private:
  std::vector<std::string> numbers_;
};

std::unique_ptr<Tokenizer> tokenizer_of(const GenerateOptions& o, const Generator& model) {
  std::string spec = o.tokenizer;
  if (spec.empty())
    if (const auto own = model.metadata().find("tokenizer"); own != model.metadata().end()) spec = own->second;
  if (spec.empty() && model.vocab_size() >= 65530) spec = "world";
  if (spec.empty() && model.vocab_size() == 50277) spec = "neox";
  if (spec.empty() && model.vocab_size() == 257) spec = "bytes";
  if (spec.empty())
    fail(cat(o.model, " does not tell its tokenizer, and ", model.vocab_size(),
             " ids fit neither world, neox nor bytes; give --tokenizer world, neox, bytes, char:VOCAB.json, FILE, or ids"));
  if (spec == "ids") return std::make_unique<NumberTokenizer>(model.vocab_size());
  return make_tokenizer(spec);
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
  const DType dtype = dtype_named(o.precision);
  const std::string prompt = prompt_of(o);
  std::optional<Gpu> gpu;
  if (wants_gpu(o)) gpu.emplace(GpuOptions{});
  Generator model(o.model, dtype, {.threads = o.threads > 0 ? o.threads : n_cores(), .gpu = gpu ? &*gpu : nullptr});
  const auto tokenizer = tokenizer_of(o, model);
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
