// A run that begins from a snapshot, where that is newer than what its folder holds.
#pragma once
#include "comm/comm.h"
#include "train/start.h"

namespace rk {

std::string snapshot_dir(const RunConfig& config);
// Collective; node: of this rank. Changes `start` where it was chosen automatically and a newer snapshot is complete.
void prefer_snapshot(Start& start, const RunConfig& config, Comm& comm, int node);

}  // namespace rk
