// rookery data audit: whether a pass uses every sample once, and what is odd about the documents.
#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "data/samples/audit.h"
#include "launch/data/commands.h"
#include "launch/data/run_options.h"

namespace rk {

int data_audit_main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (std::find(words.begin(), words.end(), "--help") != words.end() || std::find(words.begin(), words.end(), "-h") != words.end()) {
    std::printf(
        "rookery data audit OPTIONS: goes through the first pass of the training data and through the validation data. Says how many\n"
        "tokens are targets and whether any is one twice, which documents are equal, long or empty, and which lie on both sides.\n"
        "OPTIONS are those of rookery train, or the --proj_dir of a run. Exit code 2 where a promise does not hold.\n");
    return static_cast<int>(ExitCode::done);
  }
  const RunOptions run = run_options_of("rookery data audit", words);
  if (!run.origin.empty()) log_info("# " + run.origin);
  prepare_run_data(run.config);
  const DataAudit audit = audit_data(run.config, run_data_folder(run.config));
  for (const std::string& line : audit.lines) log_info(line);
  if (!audit.breaches.empty()) {
    std::string all;
    for (const std::string& breach : audit.breaches) all += cat(all.empty() ? "" : "\n", breach);
    fail(all);
  }
  log_info("all promises hold");
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk
