// rookery stop RUN_DIR
#include <csignal>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "launch/run_record.h"
#include "launch/subcommands.h"

namespace rk {

int stop_main(int argc, char** argv) {
  const std::string folder = argc == 2 ? argv[1] : "";
  if (folder.empty() || folder.starts_with("-")) {
    const bool asked = folder == "-h" || folder == "--help";
    if (!asked) fail("rookery stop takes one word, the --proj_dir of the run");
    log_info("rookery stop PROJ_DIR asks the run in PROJ_DIR to save its state and leave (exit code 75).");
    return 0;
  }
  if (!std::filesystem::is_directory(folder)) fail(cat(folder, " is not a folder; give the --proj_dir of the run"));
  const RunRecord run = read_run_record(folder);
  write_stop_file(folder);
  const std::string by_file = cat("; wrote ", folder, "/stop, which a run sees at its next step");
  if (run.pid == 0) {
    log_info(cat("no run is recorded in ", folder, by_file));
  } else if (!run.here()) {
    log_info(cat("the run is process ", run.pid, " on host ", run.host, by_file));
  } else if (!run.alive() || ::kill(static_cast<pid_t>(run.pid), SIGUSR1) != 0) {
    log_info(cat("process ", run.pid, ", which ran here, has ended or cannot be reached", by_file));
  } else {
    log_info(cat("asked process ", run.pid, " to save and stop"));
  }
  return 0;
}

}  // namespace rk
