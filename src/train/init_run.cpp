#include "train/init_run.h"

#include <filesystem>

#include "comm/agree.h"
#include "train/build.h"
#include "train/initial_weights.h"
#include "train/open_run.h"

namespace rk {

void make_proj_dir(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(cat("cannot create --proj_dir ", folder, ": ", error.message()));
}

ExitCode write_init(const RunConfig& config, Comm& comm, const Machine& machine, Observer& observer) {
  ThreadPool pool(machine.threads);
  agree(comm, [&] {
    decide_start(config);  // refuses a folder with a run in it
    make_proj_dir(config.proj_dir);
    if (comm.rank() != 0) return;
    std::unique_ptr<DataSet> data;
    if (!config.data_file.empty() && config.vocab_size == 0) {
      prepare_data(config, {.folder = token_folder(config), .threads = machine.threads, .say = [&](const auto& s) { observer.line(s); }});
      data = open_data(config, token_folder(config));
    }
    observer.line(write_initial_weights(config, data.get(), model_dtype(config), config.proj_dir + "/rwkv-init.pth", pool));
  });
  return ExitCode::done;
}

}  // namespace rk
