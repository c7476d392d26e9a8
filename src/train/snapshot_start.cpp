#include "train/snapshot_start.h"

#include "base/error.h"
#include "comm/agree.h"
#include "comm/texts.h"
#include "train/checkpoint.h"
#include "train/snapshot_folder.h"

namespace rk {

std::string snapshot_dir(const RunConfig& config) { return snapshot_folder(config.snapshot_dir, config.proj_dir); }

void prefer_snapshot(Start& start, const RunConfig& config, Comm& comm, int node) {
  if (config.snapshot_every.every <= 0 || !start.automatic) return;
  SnapshotSearch search{.dir = snapshot_dir(config), .node = node};
  std::string run;
  agree(comm, [&] {
    if (start.kind == Start::Kind::checkpoint) search.newer_than = CheckpointReader(start.path).state().step;
    run = run_name(config.proj_dir);
  });
  search.run = gather_texts(comm.host(), run)[0];
  if (search.run.empty()) return;
  std::vector<std::string> remarks;
  const FoundSnapshot found = find_snapshot(comm, search, remarks);
  if (found.step < 0) {
    start.remarks.insert(start.remarks.end(), remarks.begin(), remarks.end());
    return;
  }
  remarks.push_back(cat("the newest state is the snapshot of step ", found.step, " in ", search.dir,
                        start.kind == Start::Kind::checkpoint ? cat("; the newest checkpoint is ", start.path) : ""));
  start.kind = Start::Kind::checkpoint;
  start.path = found.folder;
  start.snapshot = true;
  start.remarks = remarks;
}

}  // namespace rk
