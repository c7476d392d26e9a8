// Snapshots: the state of a run in a folder of each host, usually in its memory, for quick restarts on the hosts that are left.
//
//   DIR/step-NNNNNNNN/shard-RRRRR.h5    as in a checkpoint; shards of other hosts' ranks, too, where partners hold them
//   DIR/step-NNNNNNNN/shard-RRRRR.json  a manifest of this shard alone: there only when the shard is complete
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "comm/comm.h"
#include "train/checkpoint_manifest.h"

namespace rk {

// Of CheckpointState::extra in a snapshot: whose it is, and of how many shards.
inline constexpr const char* kRunOfSnapshot = "run";
inline constexpr const char* kWorldOfSnapshot = "shards";

// The folder of a run in `base`, /dev/shm where that is empty: a name of its own, so that nothing else is in the way of what is removed.
std::string snapshot_folder(const std::string& base, const std::string& proj_dir);
bool lies_in_memory(const std::string& folder);  // of what exists of it
std::string manifest_name(int rank);             // "shard-00003.json"

// The run in proj_dir: what its snapshots carry. "": it has no name yet.
std::string run_name(const std::string& proj_dir);
std::string make_run_name(const std::string& proj_dir);

// A snapshot that is complete over all hosts, in this host's folder.
struct FoundSnapshot {
  int64_t step = -1;
  std::string folder;  // with a manifest.json: a checkpoint folder to its readers
};
struct SnapshotSearch {
  std::string dir, run;
  int64_t newer_than = -1;  // step
  int node = 0;             // of this rank
};
// Collective. The newest snapshot of the run of which every shard is whole on some host. What this host lacks is sent to it. Nothing: step
// -1, with the reason in `remarks` where one was there.
FoundSnapshot find_snapshot(Comm& comm, const SnapshotSearch& search, std::vector<std::string>& remarks);

// Removes snapshots: those of steps that `doomed` says, or all and the folder itself.
void remove_snapshots(const std::string& dir, const std::function<bool(int64_t step)>& doomed);
void remove_all_snapshots(const std::string& dir);

}  // namespace rk
