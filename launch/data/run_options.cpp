#include "launch/data/run_options.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "launch/own_words.h"
#include "train/checkpoint_folders.h"
#include "train/replay.h"

namespace rk {

RunOptions run_options_of(const std::string& command, const std::vector<std::string>& typed) {
  RunOptions order;
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
  } else if (word_of(typed, "data_file").empty() && word_of(typed, "data_type") != "dummy" && word_of(typed, "config").empty()) {
    fail(folder.empty() ? command + " needs the options of rookery train, or --proj_dir DIR of a run that has saved"
                        : cat("--proj_dir ", folder, " holds no checkpoint whose options could be taken; give those of rookery train"));
  }
  words.insert(words.end(), typed.begin(), typed.end());
  order.config = parse_config(words);
  const int64_t ranks = std::max<int64_t>(order.config.devices, 1) * std::max<int64_t>(order.config.num_nodes, 1);
  if (!checkpoint) {
    validate(order.config, static_cast<int>(ranks), {.plan = true, .model = false});
    order.samples_per_step = order.config.global_bsz;
  }
  return order;
}

std::string run_data_folder(const RunConfig& config) { return config.proj_dir + "/data"; }

void prepare_run_data(const RunConfig& config) {
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  prepare_data(config,
               {.folder = run_data_folder(config), .threads = cores, .say = [](const std::string& line) { log_info("# " + line); }});
}

std::unique_ptr<DataSet> open_run_data(const RunConfig& config) {
  prepare_run_data(config);
  return open_data(config, run_data_folder(config));
}

}  // namespace rk
