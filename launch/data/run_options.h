// The options of a run, for commands that look at its data.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/open_data.h"
#include "train/config.h"

namespace rk {

struct RunOptions {
  RunConfig config;
  int64_t samples_per_step = 0;
  std::string origin;  // "options of CHECKPOINT", or empty
};
// Typed options overrule those of the newest checkpoint below --proj_dir. `command` names who asks.
RunOptions run_options_of(const std::string& command, const std::vector<std::string>& typed);

// As rookery train opens it: text becomes token files in proj_dir/data first.
std::string run_data_folder(const RunConfig& config);
void prepare_run_data(const RunConfig& config);
std::unique_ptr<DataSet> open_run_data(const RunConfig& config);

}  // namespace rk
