#include "launch/print_sbatch.h"

#include <string_view>

#include "base/error.h"
#include "launch/run_and_requeue.h"

namespace rk {

std::string quoted_for_shell(const std::string& word) {
  constexpr char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

namespace {

// What slurm/run_and_requeue does, for one command in the place of its words.
std::string run_and_requeue(const std::string& command) {
  constexpr std::string_view words = "\"$@\"";
  std::string text = run_and_requeue_text;
  text.erase(0, text.find("set -u\n"));  // how it is called
  return text.replace(text.find(words), words.size(), command);
}

}  // namespace

std::string sbatch_script(const LaunchOptions& o, const std::string& program) {
  std::string words;
  for (const std::string& word : without_options(o.program, {"resume", "resume_from_checkpoint"})) words += " " + quoted_for_shell(word);
  const std::string script =
      run_and_requeue("srun --mpi=pmix --kill-on-bad-exit=1 " + quoted_for_shell(program) + words + " --resume auto");
  return cat(
      "#!/usr/bin/env bash\n"
      "#SBATCH --job-name=rookery\n"
      "#SBATCH --nodes=",
      o.nnodes,
      "\n"
      "#SBATCH --ntasks-per-node=",
      o.nproc_per_node,
      "\n"
      "#SBATCH --cpus-per-task=8\n"
      "##SBATCH --gpus-per-node=",
      o.nproc_per_node,
      "\n"
      "#SBATCH --time=24:00:00\n"
      "#SBATCH --requeue\n"
      "#SBATCH --signal=USR1@120\n"
      "#SBATCH --open-mode=append\n"
      "#SBATCH --output=%x-%j.log\n"
      "# Edit cores, time and, for GPUs, the line with ##. Interrupted by the time limit, pre-emption or a requeue, the run saves (exit "
      "code\n"
      "# 75), queues again and goes on from its newest checkpoint.\n\n",
      script);
}

}  // namespace rk
