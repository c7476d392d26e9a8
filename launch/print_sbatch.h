// A Slurm script for a run.
#pragma once
#include <string>

#include "launch/rendezvous/launch_options.h"

namespace rk {

std::string quoted_for_shell(const std::string& word);
// Built as slurm/README.md explains. program: path of rookery.
std::string sbatch_script(const LaunchOptions& options, const std::string& program);

}  // namespace rk
