// The subcommands of `rookery`; main.cpp holds the table.
#pragma once
#include <span>

namespace rk {

// argv[0] is the subcommand's name. Returns the exit code; errors are thrown as rk::Error and printed by main().
using SubcommandMain = int (*)(int argc, char** argv);
struct Subcommand {
  const char* name;
  SubcommandMain run;
  const char* description;
};
std::span<const Subcommand> subcommands();

int launch_main(int argc, char** argv);
int train_main(int argc, char** argv);
int plan_main(int argc, char** argv);
int bench_main(int argc, char** argv);
int init_main(int argc, char** argv);
int generate_main(int argc, char** argv);
int eval_main(int argc, char** argv);
int inspect_main(int argc, char** argv);
int convert_main(int argc, char** argv);
int data_main(int argc, char** argv);
int replay_main(int argc, char** argv);
int verify_main(int argc, char** argv);
int stop_main(int argc, char** argv);

}  // namespace rk
