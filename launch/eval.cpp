// rookery eval ppl|lambada|logits: how well a model predicts text.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "data/json_text.h"
#include "data/open_data.h"
#include "data/text_blocks.h"
#include "data/text_error.h"
#include "io/tensor_file.h"
#include "launch/model_options.h"
#include "launch/mpirun.h"
#include "launch/subcommands.h"
#include "launch/words.h"
#include "train/build.h"
#include "train/config.h"
#include "train/evaluation.h"
#include "train/run_plan.h"

namespace rk {
namespace {

// Token files of the text that is evaluated, for as long as that takes.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rookery-eval-XXXXXX").string();
    if (!::mkdtemp(pattern.data()))
      fail(cat("cannot make a folder like ", pattern, " for tokens; set TMPDIR to one that can be written to"));
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr const char* ppl_usage =
    "rookery eval ppl MODEL --data_file DATA [options of rookery train]: the loss per token and the perplexity of a model over data.\n"
    "MODEL is a file of weights (.pth, .safetensors, .h5), a checkpoint folder or a proj_dir. Of the options those count that say what "
    "the\n"
    "data is (--data_type, --tokenizer, --template, --loss_mask, --dataload, --ctx_len, ...), --micro_bsz, --precision, --accelerator and\n"
    "--threads.\n";

int eval_ppl(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    std::fputs(ppl_usage, words.empty() ? stderr : stdout);
    return static_cast<int>(words.empty() ? ExitCode::bad_input : ExitCode::done);
  }
  if (words[0].starts_with("-"))
    fail(cat("rookery eval ppl takes the model first, not ", words[0], "; rookery eval ppl --help tells more"));
  const std::string path = words[0];
  words.erase(words.begin());
  RunConfig config = parse_config(words);
  validate(config, 1, {.model = false});
  config.val_file = config.data_file;
  const TemporaryFolder temporary;
  const std::string folder = temporary.path() + "/data";  // beside it a vocab.json may be written
  const int threads = config.threads > 0 ? config.threads : n_cores();
  prepare_data(config, {.folder = folder, .threads = threads, .say = [](const std::string& line) { log_info(line); }});
  const auto data = open_data(config, folder);
  for (const std::string& remark : data->remarks()) log_info(remark);
  std::optional<Gpu> gpu;
  if (config.accelerator == "cuda") gpu.emplace(GpuOptions{});
  LoadedModel model(path, model_dtype(config), {.threads = threads, .gpu = gpu ? &*gpu : nullptr});
  const auto result = evaluate(model, data->validation_source(model.model().n_vocab), batch_shape(config));
  if (result.tokens == 0) fail(cat(config.data_file, ": no token of it counts; look at it with rookery data peek"));
  std::printf("loss %.6f  perplexity %.4f  tokens %lld\n", result.loss, std::exp(result.loss), static_cast<long long>(result.tokens));
  return 0;
}

struct LambadaOptions {
  ModelOptions model;
  std::string file;
  int64_t most = 0;
};

int eval_lambada(int argc, char** argv) {
  LambadaOptions o;
  CLI::App app{"The last words of texts: how probable they are, and how often a model guesses them", "rookery eval lambada"};
  add_model_options(app, o.model);
  app.add_option("FILE", o.file, "lambada_test.jsonl: lines {\"text\": ...}")->required();
  app.add_option("--max_eval_samples", o.most, "texts that are used; 0 = all")->check(CLI::NonNegativeNumber);
  if (!parse_words(app, argc, argv)) return 0;
  const MappedFile file(o.file);
  const OpenedModel opened(o.model);
  Generator& model = *opened.generator;
  int64_t n = 0, right = 0;
  double sum = 0;
  std::string unescaped;
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  for_each_line(text, [&](std::string_view line, size_t, int64_t number) {
    if (strip_white_space(line).empty() || (o.most > 0 && n == o.most)) return;
    try {
      const AnswerScore score = score_last_word(model, *opened.tokenizer, json_text(line, "text", unescaped));
      ++n;
      sum += score.log_probability;
      right += score.greedy ? 1 : 0;
    } catch (const TextError& e) {
      fail(cat(o.file, ":", number + 1, ":", e.offset() + 1, ": ", e.what()));
    }
    if (n % 500 == 0)
      log_info(cat(n, " texts: perplexity ", std::exp(-sum / static_cast<double>(n)), ", accuracy ",
                   100 * static_cast<double>(right) / static_cast<double>(n), " %"));
  });
  if (n == 0) fail(cat(o.file, ": no text in it; LAMBADA is a file of lines {\"text\": ...}"));
  std::printf("perplexity %.4f  accuracy %.2f  texts %lld\n", std::exp(-sum / static_cast<double>(n)),
              100 * static_cast<double>(right) / static_cast<double>(n), static_cast<long long>(n));
  return 0;
}

struct LogitsOptions {
  ModelOptions model;
  std::string text, out;
};

int eval_logits(int argc, char** argv) {
  LogitsOptions o;
  CLI::App app{"The logits after every token of a text, for comparisons with other programs", "rookery eval logits"};
  add_model_options(app, o.model);
  app.add_option("TEXT", o.text, "what the model reads; with --tokenizer ids numbers with blanks")->required();
  app.add_option("OUT", o.out, "NAME.safetensors, .h5 or .pth: tokens [T] i64, logits [T,V] fp32")->required();
  if (!parse_words(app, argc, argv)) return 0;
  const OpenedModel opened(o.model);
  std::vector<int32_t> ids;
  opened.tokenizer->encode(o.text, ids);
  if (ids.empty()) fail("the text has no token; give one");
  const auto T = static_cast<int64_t>(ids.size()), V = opened.generator->vocab_size();
  const auto writer = create_tensor_file(o.out, {{"tokens", DType::i64, {T}}, {"logits", DType::f32, {T, V}}}, {});
  const std::vector<int64_t> tokens(ids.begin(), ids.end());
  writer->write(tokens.data(), tokens.size() * sizeof(int64_t));
  std::vector<float> row(static_cast<size_t>(V));
  for (const int32_t id : ids) {
    const std::span<const double> logits = opened.generator->feed({&id, 1});
    std::transform(logits.begin(), logits.end(), row.begin(), [](double x) { return static_cast<float>(x); });
    writer->write(row.data(), row.size() * sizeof(float));
  }
  writer->finish();
  log_info(cat("wrote ", o.out, ": logits after each of ", T, " tokens"));
  return 0;
}

struct EvalCommand {
  const char* name;
  const char* usage;
  int (*run)(int argc, char** argv);
};
constexpr EvalCommand commands[] = {{"ppl", "ppl MODEL ...            loss and perplexity over data", eval_ppl},
                                    {"lambada", "lambada MODEL FILE       last words of texts", eval_lambada},
                                    {"logits", "logits MODEL TEXT OUT    logits after every token", eval_logits}};

}  // namespace

int eval_main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  for (const EvalCommand& c : commands)
    if (what == c.name) return c.run(argc - 1, argv + 1);
  if (what == "--help" || what == "-h") {
    for (const EvalCommand& c : commands) std::printf("rookery eval %s\n", c.usage);
    return 0;
  }
  fail(cat("rookery eval ", what.empty() ? "needs" : cat(what, " is not known; it takes"),
           " ppl, lambada or logits; rookery eval --help tells more"));
}

}  // namespace rk
