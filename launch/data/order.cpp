// rookery data order: which samples a step of a run is made of.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "data/batch_source.h"
#include "data/sampling.h"
#include "launch/data/commands.h"
#include "launch/own_words.h"
#include "train/bad_steps.h"
#include "train/checkpoint_folders.h"
#include "train/config.h"
#include "train/config_values.h"
#include "train/replay.h"

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

// What decides the order: the data and samples of a step.
struct Order {
  RunConfig config;
  int64_t samples_per_step = 0;
  std::string origin;
};

// Typed options overrule those of the run.
Order order_of(const std::vector<std::string>& typed) {
  Order order;
  std::vector<std::string> words;
  const std::string folder = word_of(typed, "proj_dir");
  std::vector<std::string> warnings;
  const auto checkpoint = folder.empty() ? std::nullopt : newest_checkpoint(folder, warnings);
  if (checkpoint) {
    const CheckpointReader reader(*checkpoint);
    for (const std::string& word : words_of_options(reader.state().config))
      if (word_of(typed, word.substr(2, word.find('=') - 2)).empty()) words.push_back(word);
    order.origin = cat("options of ", *checkpoint);
    const auto kept = reader.state().extra.find("real_bsz");
    if (kept != reader.state().extra.end()) order.samples_per_step = std::stoll(kept->second);
  } else if (word_of(typed, "data_file").empty() && word_of(typed, "config").empty()) {
    fail(folder.empty() ? "rookery data order needs the options of rookery train, or --proj_dir DIR of a run that has saved"
                        : cat("--proj_dir ", folder, " holds no checkpoint whose options could be taken; give those of rookery train"));
  }
  words.insert(words.end(), typed.begin(), typed.end());
  order.config = parse_config(words);
  const int64_t ranks = std::max<int64_t>(order.config.devices, 1) * std::max<int64_t>(order.config.num_nodes, 1);
  if (!checkpoint) {
    validate(order.config, static_cast<int>(ranks), {.plan = true});
    order.samples_per_step = order.config.global_bsz;
  }
  return order;
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
  const Order order = order_of(words);
  const RunConfig& config = order.config;
  const auto data = std::make_shared<const Binidx>(config.data_file);
  if (config.magic_prime > 0) check_magic_prime(config.magic_prime, data->n_tokens(), config.ctx_len);
  const auto source = make_pile_source(data, config.ctx_len, config.magic_prime, 0);
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
