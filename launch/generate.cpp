// rookery generate: a text goes on as a model would have it.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/error.h"
#include "base/rng.h"
#include "data/chat/stop_text.h"
#include "data/chat/template.h"
#include "data/utf8.h"
#include "launch/model_options.h"
#include "launch/subcommands.h"
#include "launch/words.h"
#include "train/token_choice.h"

namespace rk {
namespace {

struct GenerateOptions {
  ModelOptions model;
  std::string prompt, prompt_file, template_name, system_prompt;
  std::vector<std::string> stops;
  bool chat = false;
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
  auto* chat = app.add_flag("--chat", o.chat,
                            "the prompt is a question in a conversation of the form that the model was trained on; the answer alone is "
                            "shown, and ends where the form ends answers");
  app.add_option("--template", o.template_name, "the same for a form by its name (rwkv, chatml, ...) or file")->excludes(chat);
  app.add_option("--system_prompt", o.system_prompt, "first words of the conversation; default: the form's");
  app.add_option("--stop", o.stops, "a text that ends the output where it begins; may be repeated")->allow_extra_args(false);
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

Template template_of(const Generator& model, const std::string& path) {
  const auto own = model.metadata().find("template");
  if (own == model.metadata().end()) fail(cat(path, " does not tell the form of conversations it was trained on; give --template NAME"));
  return find_template(own->second);
}

// What is asked, and what surrounds it.
struct Request {
  std::string prompt;
  std::string lead;  // stands in front of an answer and is not shown
  std::vector<std::string> stops;
};

Request request_of(const GenerateOptions& o, const std::optional<Template>& form) {
  for (const std::string& stop : o.stops) {
    if (stop.empty()) fail("--stop is empty; it takes the text in front of which the output ends");
  }
  Request request{prompt_of(o), "", o.stops};
  if (!form) {
    if (!o.system_prompt.empty()) fail("--system_prompt begins a conversation; give --chat or --template, too");
    return request;
  }
  if (request.prompt.empty()) fail("a conversation needs a question; give --prompt or --prompt_file");
  request.prompt = open_prompt(*form, {o.system_prompt, {{request.prompt, ""}}});
  request.lead = form->lead;
  if (!form->stop.empty()) request.stops.push_back(form->stop);
  return request;
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

// What is made without what stands in front of it and what ends it.
class AnswerText {
 public:
  explicit AnswerText(const Request& request) : lead_(request.lead), stop_(request.stops) {}
  std::string feed(std::string_view bytes) { return without_lead(stop_.feed(bytes)); }
  bool ended() const { return stop_.ended(); }
  std::string rest() { return without_lead(stop_.rest()); }

 private:
  std::string without_lead(std::string text) {
    size_t n = 0;
    while (n < text.size() && n < lead_.size() && text[n] == lead_[n]) ++n;
    if (!text.empty()) lead_.erase(0, n == text.size() ? n : lead_.size());
    return text.substr(n);
  }
  std::string lead_;
  StopText stop_;
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
  std::optional<Template> form;
  if (!o.template_name.empty()) form = find_template(o.template_name);
  const OpenedModel opened(o.model);
  Generator& model = *opened.generator;
  const Tokenizer* tokenizer = opened.tokenizer.get();
  if (o.chat) form = template_of(model, o.model.path);
  const Request request = request_of(o, form);
  std::vector<int32_t> ids;
  tokenizer->encode(request.prompt, ids);
  if (ids.empty()) {
    if (tokenizer->end_of_document() < 0) fail("--prompt is empty; --tokenizer ids needs at least one id");
    ids.push_back(tokenizer->end_of_document());  // a text begins where another has ended
  }

  using Clock = std::chrono::steady_clock;
  const auto seconds = [began = Clock::now()] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  auto logits = model.feed(ids);
  const double prompt_s = seconds();
  Utf8Output out;
  if (!form) out.write(request.prompt);
  AnswerText answer(request);
  const Random random(o.seed, stream_of("generate"));
  int64_t made = 0;
  while (made < o.length && !answer.ended()) {
    const int32_t id = choose_token(logits, o.choice, random.uniform(static_cast<uint64_t>(made)));
    ++made;
    if (id == tokenizer->end_of_document() && !o.ignore_end) break;
    out.write(answer.feed(bytes_or_mark(*tokenizer, id)));
    if (made < o.length && !answer.ended()) logits = model.feed({&id, 1});
  }
  out.write(answer.rest());
  out.finish();
  const double made_s = seconds() - prompt_s;
  std::fprintf(stderr, "prompt: %zu tokens, %.0f tokens/s; text: %lld tokens, %.1f tokens/s\n", ids.size(),
               static_cast<double>(ids.size()) / prompt_s, static_cast<long long>(made),
               made_s > 0 ? static_cast<double>(made) / made_s : 0);
  return 0;
}

}  // namespace rk
