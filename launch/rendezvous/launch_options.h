// What `rookery launch` is told, by flags, environment or Slurm.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace rk {

struct LaunchOptions {
  int nnodes = 1;      // at most, and what the run begins with
  int min_nnodes = 1;  // with fewer the run neither begins nor goes on; nnodes unless told otherwise
  int node_rank = 0;
  int nproc_per_node = 1;
  std::string master_addr;
  int master_port = 29500;
  std::string secret_file;
  int max_restarts = -1;  // -1: what the program's own --max_restarts says
  std::string interface;  // empty: the one on the way to master_addr
  double timeout_s = 300;
  bool print_sbatch = false;
  bool help = false;
  std::vector<std::string> program;  // what follows --
};

// The value of an environment variable; empty where it is not set.
using Environment = std::function<std::string(const char*)>;

// words: what follows `rookery launch`. A flag goes before an environment variable of torchrun's (NNODES, NODE_RANK, MASTER_ADDR,
// MASTER_PORT) or ROOKERY_SECRET_FILE, and that before Slurm's. Refuses what does not fit together.
LaunchOptions parse_launch(const std::vector<std::string>& words, const Environment& environment);
std::string launch_help();

// The hosts of Slurm's lists: "n[1-3,07],login" -> n1 n2 n3 n07 login.
std::vector<std::string> expand_hosts(const std::string& list);

// The program's words without some options and their values. `names` are spelled with _, without --.
std::vector<std::string> without_options(const std::vector<std::string>& words, const std::vector<std::string>& names);

}  // namespace rk
