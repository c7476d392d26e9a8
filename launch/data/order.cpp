// rookery data order: which samples a step of a run is made of.
#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "data/batch_source.h"
#include "launch/data/commands.h"
#include "launch/data/run_options.h"
#include "launch/own_words.h"
#include "train/bad_steps.h"
#include "train/config.h"
#include "train/config_values.h"

namespace rk {
namespace {

struct Steps {
  int64_t first = 0, last = 0;
};

Steps read_steps(const std::string& text) {
  const size_t colon = text.find(':');
  const auto first = read_whole(text.substr(0, colon)), last = read_whole(colon == std::string::npos ? text : text.substr(colon + 1));
  if (!first || !last || *first < 1 || *last < *first)
    fail(cat("--steps ", text, " is not accepted; it takes A:B, two steps from 1 on, or one step"));
  return {*first, *last};
}

void print_usage() {
  std::printf(
      "rookery data order --steps A:B OPTIONS: a line for each sample of these steps: step, row of the global batch, sample number,\n"
      "token offset. OPTIONS are those of rookery train, or the --proj_dir of a run, whose newest checkpoint has them.\n");
}

// words: --steps A:B and either options of rookery train or the --proj_dir of a run.
void print_data_order(std::vector<std::string> words) {
  const auto given = take_word(words, "steps");
  if (!given) fail("rookery data order needs --steps A:B");
  const Steps steps = read_steps(*given);
  const RunOptions order = run_options_of("rookery data order", words);
  const RunConfig& config = order.config;
  const auto source = open_run_data(config)->train_source(0);
  if (!order.origin.empty()) log_info("# " + order.origin);
  log_info(cat("# ", config.data_file, ", ", order.samples_per_step, " samples of ", config.ctx_len, " tokens a step"));
  std::printf("# step row sample token_offset\n");
  for (int64_t step = steps.first; step <= steps.last; ++step) {
    const StepReport of{.first_sample = 1 + (step - 1) * order.samples_per_step, .samples = order.samples_per_step};
    const std::vector<int64_t> offsets = token_offsets(of, *source, config.ctx_len, of.samples);
    for (size_t row = 0; row < offsets.size(); ++row)
      std::printf("%lld %zu %lld %lld\n", static_cast<long long>(step), row,
                  static_cast<long long>(of.first_sample) + static_cast<long long>(row), static_cast<long long>(offsets[row]));
  }
}

}  // namespace

int data_order_main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (std::find(words.begin(), words.end(), "--help") != words.end() || std::find(words.begin(), words.end(), "-h") != words.end()) {
    print_usage();
  } else {
    print_data_order(words);
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
