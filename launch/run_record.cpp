#include "launch/run_record.h"

#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.h"
#include "comm/places.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

std::string record_path(const std::string& folder) { return folder + "/run.pid"; }
std::string stop_path(const std::string& folder) { return folder + "/stop"; }

// Field 22 of /proc/PID/stat; the name in field 2 may hold blanks and parentheses. Empty when there is no such process, or only what is
// left of one that nobody waits for (state Z; containers often lack a reaping init).
std::string start_time(long pid) {
  std::ifstream in(cat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(in, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(line.substr(name_end + 1));
  std::string field;
  rest >> field;
  if (field == "Z" || field == "X") return {};
  for (int i = 4; i <= 22; ++i) rest >> field;
  return field;
}

}  // namespace

bool RunRecord::here() const { return host == host_name(); }
bool RunRecord::alive() const { return pid > 0 && !started.empty() && start_time(pid) == started; }

RunRecord read_run_record(const std::string& folder) {
  RunRecord record;
  std::ifstream in(record_path(folder));
  if (!(in >> record.pid >> record.host >> record.started)) return {};
  return record;
}

void write_stop_file(const std::string& folder) {
  std::ofstream out(stop_path(folder));
  out << "stop\n";
  if (!out.flush()) fail(cat("cannot write ", stop_path(folder)));
}

RunRecordFile::RunRecordFile(const std::string& folder) : folder_(folder) {
  const RunRecord other = read_run_record(folder);
  if (other.pid > 0 && other.here() && other.alive())
    fail(cat("process ", other.pid, " of this host is training in --proj_dir ", folder, "; stop it with `rookery stop ", folder,
             "`, or choose another folder"));
  std::error_code error;
  made_folder_ = fs::create_directories(folder, error);
  if (error) fail(cat("cannot create --proj_dir ", folder, ": ", error.message()));
  fs::remove(stop_path(folder), error);
  const std::string unfinished = record_path(folder) + ".tmp";
  std::ofstream out(unfinished);
  out << ::getpid() << ' ' << host_name() << ' ' << start_time(::getpid()) << '\n';
  out.close();
  if (!out) fail(cat("cannot write in --proj_dir ", folder));
  fs::rename(unfinished, record_path(folder), error);
  if (error) fail(cat("cannot write ", record_path(folder), ": ", error.message()));
}

RunRecordFile::~RunRecordFile() {
  std::error_code ignored;
  fs::remove(record_path(folder_), ignored);
  fs::remove(stop_path(folder_), ignored);
  if (made_folder_) fs::remove(folder_, ignored);  // fails, as it should, where the run has left something
}

}  // namespace rk
