// PROJ_DIR/run.pid and PROJ_DIR/stop: how `rookery stop` finds a run.
#pragma once
#include <string>

namespace rk {

// Who runs in a folder: rank 0 of the run.
struct RunRecord {
  long pid = 0;
  std::string host;
  std::string started;  // the kernel's start time of that process, since process ids come again

  bool here() const;   // whether it is this host's
  bool alive() const;  // whether the process still runs; only meaningful here
};

// The record in `folder`; pid 0 when there is none or it cannot be understood.
RunRecord read_run_record(const std::string& folder);

// Asks the run in `folder` to save and stop at its next step.
void write_stop_file(const std::string& folder);

// Writes the record of this process for as long as it lives, and takes record and stop file away at the end. A stop file of an earlier
// run is removed; a folder in which another process of this host runs is refused. A folder made here goes away again when it stays empty.
class RunRecordFile {
 public:
  explicit RunRecordFile(const std::string& folder);
  RunRecordFile(const RunRecordFile&) = delete;
  RunRecordFile& operator=(const RunRecordFile&) = delete;
  ~RunRecordFile();

 private:
  std::string folder_;
  bool made_folder_ = false;
};

}  // namespace rk
