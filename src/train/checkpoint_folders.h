// The folders step-NNNNNNNN of a proj_dir.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "train/checkpoint.h"

namespace rk {

std::string step_name(int64_t step);  // "step-00000012"
std::string shard_name(int rank);     // "shard-00003.h5"

struct StepFolder {
  int64_t step = 0;
  std::string path;
};
// Newest first.
std::vector<StepFolder> step_folders(const std::string& proj_dir);

// Makes `temporary` the folder of `step`, durably; an older folder of the same step gives way. Then `latest` names it.
void install_folder(const std::string& proj_dir, const std::string& temporary, int64_t step);
// Removes what the rule does not keep, never the folder of `step` itself, newer ones (of a history that was left) or those of `kept`, and
// leftovers of saves that were cut off.
void apply_keep_rule(const std::string& proj_dir, int64_t step, KeepRule rule, const std::set<int64_t>& kept = {});
// The file `name` in proj_dir names the folder of `step`.
void name_folder(const std::string& proj_dir, const std::string& name, int64_t step);

}  // namespace rk
