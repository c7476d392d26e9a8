// rookery: the table of subcommands, and the only place that catches.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "comm/backends.h"
#include "comm/leave.h"
#include "launch/launch.h"
#include "launch/subcommands.h"

namespace rk {

std::span<const Subcommand> subcommands() {
  static constexpr Subcommand table[] = {
      {"train", train_main, "train a model"},
      {"launch", launch_main, "start a run on several hosts"},
      {"stop", stop_main, "ask a run to save its state and leave"},
      {"replay", replay_main, "make steps of a run again and compare"},
      {"plan", plan_main, "memory and time of a run before it is started"},
      {"bench", bench_main, "measure this machine for rookery plan"},
      {"init", init_main, "write fresh weights"},
      {"generate", generate_main, "continue a text with a model"},
      {"eval", eval_main, "loss of a model over data; LAMBADA"},
      {"inspect", inspect_main, "show what a file or checkpoint holds"},
      {"verify", verify_main, "read files or checkpoints wholly and say whether they are intact"},
      {"convert", convert_main, "weights from one file format to another"},
      {"data", data_main, "prepare and examine training data"},
  };
  return table;
}

namespace {

// A rank whose error the others share waits this long for them at most; a lone one ends the job then.
constexpr double meeting_timeout_s = 3;

void print_usage(std::FILE* to) {
  std::fprintf(to, "rookery %s trains RWKV language models.\n\n", ROOKERY_VERSION);
  for (const Subcommand& s : subcommands()) std::fprintf(to, "  rookery %-10s %s\n", s.name, s.description);
  std::fprintf(to, "\nrookery COMMAND --help tells more.\n");
}

int run(int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == "--help" || word == "-h" || word == "help") {
    print_usage(stdout);
    return 0;
  }
  if (word == "--version") {
    std::printf("rookery %s\n", ROOKERY_VERSION);
    return 0;
  }
  if (word.empty()) {
    print_usage(stderr);
    return static_cast<int>(ExitCode::bad_input);
  }
  if (word == agent_command) return agent_main(argc - 2, argv + 2);  // not for people
  // Pasted lines begin with the name of the script that they are for.
  const std::string_view name = word == "train.py" || word == "pretrain" ? "train" : word;
  for (const Subcommand& s : subcommands())
    if (name == s.name) return s.run(argc - 1, argv + 1);
  std::string known;
  for (const Subcommand& s : subcommands()) known += cat(known.empty() ? "" : ", ", s.name);
  fail(cat("rookery has no command '", word, "'; there are ", known));
}

int leave(ExitCode code, const char* message) {
  const Place place = place_in_mpi();
  if (all_ranks_leave(meeting_timeout_s)) {
    // All ranks have the same to say, so one says it.
    if (place.rank == 0) {
      set_log_voice(true, "");
      log_error(message);
    }
    finalize_mpi();
    return static_cast<int>(code);
  }
  log_error(message);
  abort_job(static_cast<int>(code));
}

}  // namespace
}  // namespace rk

int main(int argc, char** argv) {
  rk::install_sigbus_handler();
  try {
    const int code = rk::run(argc, argv);
    rk::finalize_mpi();
    return code;
  } catch (const rk::Error& e) {
    return rk::leave(e.code(), e.what());
  } catch (const std::bad_alloc&) {
    return rk::leave(rk::ExitCode::failure,
                     "this machine has not enough memory for the run; a smaller --micro_bsz or --ctx_len needs less");
  } catch (const std::exception& e) {
    return rk::leave(rk::ExitCode::failure, e.what());
  }
}
