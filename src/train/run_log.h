// What a run leaves for people and programs in proj_dir: train_log.txt, metrics.jsonl, wandb-events.jsonl.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "train/trainer.h"
#include "train/validation.h"

namespace rk {

// Only rank 0 makes one. A line that cannot be written (full disk) waits for the next one, with one warning; training goes on.
class RunLog {
 public:
  // steps_kept: on resume, lines of metrics.jsonl beyond this step are cut off; 0 = a new file.
  RunLog(const std::string& proj_dir, const RunConfig& config, int64_t steps_kept);

  void start(const RunConfig& config, const std::string& strategy);     // the three lines of a new run in train_log.txt
  void step(const StepReport& r, const Validation::Result* validated);  // validated: null where this step was not followed by one
  // "%d %.6f %.4f %.8f <date time> %d"
  void mini_epoch(int64_t name, double mean_loss, double lr, int64_t since_launch);

 private:
  void append(const std::string& file, const std::string& line);
  std::string proj_dir_, wandb_;
  std::map<std::string, std::string> waiting_;  // by file: lines that are not yet written
  bool warned_ = false;
};

}  // namespace rk
