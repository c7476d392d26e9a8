// A part of a run made again and compared with what the run has written down.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/trainer.h"

namespace rk {

// Where the replay of a step begins: the newest complete checkpoint before it.
struct ReplayStart {
  std::string folder;              // proj_dir/step-NNNNNNNN
  int64_t step = 0;                // that many steps are done in it
  int64_t n_files = 1;             // as many ranks have written it
  std::vector<std::string> words;  // the options of the run that wrote it, as words of a command line
};
// fail()s where proj_dir holds none.
ReplayStart find_replay_start(const std::string& proj_dir, int64_t step);

// The options that a checkpoint's text of options (RunConfig::text) holds, as words "--name=value"; empty values are defaults and left out.
std::vector<std::string> words_of_options(const std::string& text);

// What a run has written down of its steps after `first` up to `last`.
class RecordedSteps {
 public:
  // Reads proj_dir/metrics.jsonl and the hashes of checkpoints; fail()s where a step is missing.
  RecordedSteps(const std::string& proj_dir, int64_t first, int64_t last);

  // "step 12: loss 3.61 equal, norm 0.44 equal, hash 00ff... equal"; DIFFERENT where a number is not the same to the last bit, and what it
  // was. Hashes are compared where one was written.
  std::string compare(const StepReport& r);
  bool all_equal() const { return all_equal_; }
  int64_t n_hashes() const { return n_hashes_; }  // compared so far

 private:
  struct Recorded {
    std::optional<double> loss, grad_norm;  // absent: not finite
    std::string hash;
  };
  std::string judged(const char* what, double now, std::optional<double> then);

  std::map<int64_t, Recorded> steps_;
  bool all_equal_ = true;
  int64_t n_hashes_ = 0;
};

}  // namespace rk
