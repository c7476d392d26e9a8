#include "launch/print_sbatch.h"

#include "base/error.h"

namespace rk {

std::string quoted_for_shell(const std::string& word) {
  constexpr char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=,:+@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string sbatch_script(const LaunchOptions& o, const std::string& program) {
  std::string words;
  for (const std::string& word : without_options(o.program, {"resume", "resume_from_checkpoint"})) words += " " + quoted_for_shell(word);
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
      "# 75), queues again and goes on from its newest checkpoint.\n\n"
      "srun --mpi=pmix --kill-on-bad-exit=1 ",
      quoted_for_shell(program), words,
      " --resume auto &\n"
      "training=$!\n\n"
      "trap 'kill -USR1 $training' USR1 # sent to this script alone: srun passes it on to every rank\n"
      "trap : TERM                      # srun gets its own; stay to see the exit code\n\n"
      "wait \"$training\"\n"
      "code=$?\n"
      "while kill -0 \"$training\" 2>/dev/null; do # a signal ended the wait, not the run\n"
      "  wait \"$training\"\n"
      "  code=$?\n"
      "done\n\n"
      "# 75: stopped with the state saved. A job that the user cancelled is no longer RUNNING and must not come back.\n"
      "if [ \"$code\" = 75 ] && scontrol show job \"$SLURM_JOB_ID\" | grep -q JobState=RUNNING; then\n"
      "  scontrol requeue \"$SLURM_JOB_ID\"\n"
      "fi\n"
      "exit \"$code\"\n");
}

}  // namespace rk
