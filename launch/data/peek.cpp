// rookery data peek: a sample, token by token.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "data/samples/settings.h"
#include "launch/data/commands.h"
#include "launch/data/run_options.h"
#include "launch/own_words.h"
#include "train/config_values.h"

namespace rk {
namespace {

// The text of single tokens, on one line.
class TokenText {
 public:
  explicit TokenText(const RunConfig& config) {
    const std::string characters = config.proj_dir + "/vocab.json";
    if (is_lines(config) || config.data_type == "binidx" || !config.tokenizer.empty()) {
      tokenizer_ = data_tokenizer(config);
    } else if (is_text(config) && std::filesystem::exists(characters)) {
      tokenizer_ = make_tokenizer("char:" + characters);
    }
  }
  std::string of(int32_t id) const {
    if (tokenizer_ == nullptr || id < 0) return {};
    try {
      if (id == tokenizer_->end_of_document()) return "<end>";
      return escaped(lossy_utf8(tokenizer_->decode({&id, 1})));
    } catch (const Error&) {
      return "<unknown>";
    }
  }

 private:
  static std::string escaped(const std::string& text) {
    std::string out;
    for (char c : text) {
      if (c == '\n') {
        out += "\\n";
      } else if (c == '\r') {
        out += "\\r";
      } else if (c == '\t') {
        out += "\\t";
      } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
        out += "?";
      } else {
        out += c;
      }
    }
    return out;
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
};

struct Row {
  explicit Row(int64_t ctx_len)
      : tokens(static_cast<size_t>(ctx_len)), targets(tokens.size()), weights(tokens.size()), resets(tokens.size()) {}
  std::vector<int32_t> tokens, targets;
  std::vector<float> weights;
  std::vector<uint8_t> resets;
};

void show_sample(const BatchSource& source, int64_t number, const TokenText& text, Row& row) {
  const int64_t offset =
      source.sample(number, {.tokens = row.tokens, .targets = row.targets, .weights = row.weights, .resets = row.resets});
  const auto counted = std::count_if(row.targets.begin(), row.targets.end(), [](int32_t t) { return t >= 0; });
  const auto documents = std::count(row.resets.begin(), row.resets.end(), uint8_t{1});
  std::printf("sample %lld: token offset %lld, %zu places, %lld targets count, states start anew at %lld places\n",
              static_cast<long long>(number), static_cast<long long>(offset), row.tokens.size(), static_cast<long long>(counted),
              static_cast<long long>(documents));
  const bool colour = isatty(STDOUT_FILENO) != 0;
  const char* const green = colour ? "\033[32m" : "";
  const char* const grey = colour ? "\033[90m" : "";
  const char* const bold = colour ? "\033[1m" : "";
  const char* const plain = colour ? "\033[0m" : "";
  size_t n_shown = row.tokens.size();  // padding is not listed
  while (n_shown > 1 && row.targets[n_shown - 1] < 0 && row.tokens[n_shown - 1] == 0 && row.resets[n_shown - 1] == 0) --n_shown;
  for (size_t i = 0; i < n_shown; ++i) {
    if (row.resets[i] != 0) std::printf("%s-- a document begins, or a piece of one --%s\n", bold, plain);
    const bool counts = row.targets[i] >= 0;
    std::printf("%s%6zu %7d  %-24s -> %s%s\n", counts ? green : grey, i, row.tokens[i], text.of(row.tokens[i]).c_str(),
                counts ? cat(row.targets[i], "  ", text.of(row.targets[i])).c_str() : "-", plain);
  }
  if (n_shown < row.tokens.size()) std::printf("%s%6zu to the end: token 0, no target%s\n", grey, n_shown, plain);
}

int64_t take_number(std::vector<std::string>& words, const char* name, int64_t otherwise) {
  const auto given = take_word(words, name);
  if (!given) return otherwise;
  const auto number = read_whole(*given);
  if (!number || *number < 1) fail(cat("--", name, " ", *given, " is not accepted; it takes a whole number from 1 on"));
  return *number;
}

}  // namespace

int data_peek_main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (std::find(words.begin(), words.end(), "--help") != words.end() || std::find(words.begin(), words.end(), "-h") != words.end()) {
    std::printf(
        "rookery data peek [--sample N] [--count K] OPTIONS: K samples from number N on (1 and 1), a line a token: its place, its id, its\n"
        "text, and the target; - where none counts. OPTIONS are those of rookery train, or the --proj_dir of a run.\n");
    return static_cast<int>(ExitCode::done);
  }
  const int64_t first = take_number(words, "sample", 1), count = take_number(words, "count", 1);
  const RunOptions run = run_options_of("rookery data peek", words);
  if (!run.origin.empty()) log_info("# " + run.origin);
  const auto data = open_run_data(run.config);
  for (const std::string& remark : data->remarks()) log_info("# " + remark);
  const auto source = data->train_source(0);
  log_info(cat("# ", data->n_documents(), " documents, ", data->n_tokens(), " tokens, ", source->n_samples_per_pass(), " samples a pass"));
  const TokenText text(run.config);
  Row row(run.config.ctx_len);
  for (int64_t number = first; number < first + count; ++number) show_sample(*source, number, text, row);
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
