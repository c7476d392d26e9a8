// rookery verify PATH...: reads files and checkpoints wholly and says whether they are intact.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "data/binidx.h"
#include "io/tensor_file.h"
#include "launch/subcommands.h"
#include "launch/words.h"
#include "train/checkpoint_folders.h"
#include "train/checkpoint_tensors.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

std::string verify_tokens(const std::string& prefix) {
  const Binidx data(prefix);
  std::string said = cat("tokens up to ", data.largest_token(), ", and an index that fits them (", data.n_tokens(), " tokens in ",
                         data.n_documents(), " documents); this format has no checksums");
  for (const std::string& warning : data.warnings()) said += "; " + warning;
  return said;
}

// What was checked; fail()s where it is damaged.
std::string verify_one(const std::string& path) {
  if (fs::is_directory(path)) return open_checkpoint(path, CheckpointParts::all)->verify();
  if (fs::exists(path)) return open_tensor_file(path)->verify();
  if (fs::exists(path + ".idx")) return verify_tokens(path);
  fail(cat(path, " does not exist; give a file of weights, a checkpoint, a run's folder, or token data without .bin and .idx"));
}

// A run's folder stands for its checkpoints, the oldest first.
std::vector<std::string> expand(const std::string& path) {
  if (!fs::is_directory(path) || fs::exists(path + "/manifest.json")) return {path};
  std::vector<std::string> all;
  for (const StepFolder& f : step_folders(path)) all.insert(all.begin(), f.path);
  return all.empty() ? std::vector<std::string>{path} : all;
}

}  // namespace

int verify_main(int argc, char** argv) {
  std::vector<std::string> paths;
  CLI::App app{"Reads everything and checks the checksums that there are; a line for each. Exit code 2: something is damaged",
               "rookery verify"};
  app.add_option("paths", paths, ".pth, .safetensors, .h5, checkpoint folders, a run's folder (all its checkpoints), token data")
      ->required();
  if (!parse_words(app, argc, argv)) return static_cast<int>(ExitCode::done);
  bool intact = true;
  for (const std::string& given : paths)
    for (const std::string& path : expand(given)) {
      try {
        std::printf("intact    %s: %s\n", path.c_str(), verify_one(path).c_str());
      } catch (const Error& e) {
        intact = false;
        std::printf("damaged   %s: %s\n", path.c_str(), e.what());
      }
      std::fflush(stdout);
    }
  return static_cast<int>(intact ? ExitCode::done : ExitCode::bad_input);
}

}  // namespace rk
