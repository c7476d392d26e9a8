// Where a run begins: fresh weights, a weights file, or an exact checkpoint.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "train/run_config.h"

namespace rk {

struct Start {
  enum class Kind : uint8_t { fresh, weights, checkpoint };
  Kind kind = Kind::fresh;
  std::string path;        // of the weights or the checkpoint folder
  bool automatic = false;  // it was chosen as the newest: an older one may take its place
  bool snapshot = false;   // the folder is no checkpoint of proj_dir (train/snapshot_start.h)
  int64_t epoch_begin = 0;
  int64_t warmup_steps = -1;  // 10 (old trainers, stage 3: 30) after a weights-only restart from a trained file, where none is given
  std::vector<std::string> remarks;
};

// Looks at proj_dir and at the flags (decisions: --resume, --train_stage; golden rwkv7 §13). Refuses a proj_dir that holds a run when
// nothing says that it is to be resumed. Only reads; the same answer on every rank that sees the same files.
Start decide_start(const RunConfig& config);

}  // namespace rk
