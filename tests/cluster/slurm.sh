#!/usr/bin/env bash
# The scripts of slurm/ on a Slurm cluster of two nodes: interrupted runs are saved, queue again, and end as if nothing had happened.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
needs slurm
slurm up 2
cd "$root" || exit 1
make_data "$work/data" 40000
steps=400
options=(--data_file "$work/data" "${tiny[@]}" --max_steps "$steps")
forever=("${options[@]}" --max_steps 1000000)
export ROOKERY=$rookery
declare -A job

# submit RUN SCRIPT SBATCH-OPTIONS... -- WORDS...: a job on 2 nodes of 2 ranks, unless they say otherwise; its log is RUN.log.
submit() {
  local run=$1 script=$2 placing=()
  shift 2
  while [ "$1" != -- ]; do
    placing+=("$1")
    shift
  done
  job[$run]=$(slurm sbatch --parsable --cpus-per-task=1 --time=10 -o "$work/$run.log" "${placing[@]}" "slurm/$script" "${@:2}")
}
of_job() { slurm scontrol show job "$1" 2> /dev/null | sed -n "s/.*$2=\([A-Z0-9_]*\).*/\1/p" | head -n 1; }  # of_job JOB FIELD
ended() { case "$(of_job "$1" JobState)" in RUNNING | COMPLETING | PENDING | CONFIGURING) false ;; esac; }
ends_as() {  # ends_as RUN STATE RESTARTS
  check "$1: it ends" wait_for 90 ended "${job[$1]}"
  check "$1: $2" equal "$(of_job "${job[$1]}" JobState)" "$2"
  check "$1: restarts" equal "$(of_job "${job[$1]}" Restarts)" "$3"
}
in_steps() { check "$1: it trains" wait_for 60 past_step "$work/$1" 20; }
resumed() {
  ends_as "$1" COMPLETED 1
  check "$1: resumed" says "$work/$1.log" "resumed from"
  same_run "$1" "$work/$1" "$work/whole"
}

mpirun --oversubscribe --bind-to none -n 4 "$rookery" train --proj_dir "$work/whole" --threads 1 "${options[@]}" > "$work/whole.log" 2>&1
check "the run without Slurm" equal $? 0

# Asked to stop in three ways, all at the same time.
submit by_usr1 train.sbatch -- --proj_dir "$work/by_usr1" "${options[@]}"
submit by_requeue train.sbatch -- --proj_dir "$work/by_requeue" "${options[@]}"
submit mpirun mpirun.sbatch -- --proj_dir "$work/mpirun" "${options[@]}"
in_steps by_usr1
slurm scancel -s USR1 "${job[by_usr1]}"
in_steps by_requeue
slurm scontrol requeue "${job[by_requeue]}"
in_steps mpirun
slurm scancel -b -s USR1 "${job[mpirun]}"
for run in by_usr1 by_requeue mpirun; do resumed $run; done

# Pushed off their nodes by an urgent job.
submit pushed train.sbatch -- --proj_dir "$work/pushed" "${options[@]}"
submit mpirun_pushed mpirun.sbatch -- --proj_dir "$work/mpirun_pushed" "${options[@]}"
in_steps pushed
in_steps mpirun_pushed
submit urgent train.sbatch -p urgent --exclusive -- --proj_dir "$work/urgent" "${options[@]}" --max_steps 5
ends_as urgent COMPLETED 0
for run in pushed mpirun_pushed; do resumed $run; done

# A user who cancels, and a rank that dies: no restart, and the checkpoints stay.
submit cancelled train.sbatch -- --proj_dir "$work/cancelled" "${forever[@]}"
submit died train.sbatch -- --proj_dir "$work/died" "${forever[@]}" --save_every 10
in_steps cancelled
slurm scancel "${job[cancelled]}"
in_steps died
kill -KILL "$(pgrep -n -f -- "--proj_dir $work/died ")"
ends_as died FAILED 0
ends_as cancelled CANCELLED 0
for run in died cancelled; do
  check "$run: saved" exists "$work/$run/step-*/manifest.json"
  check "$run: no process left" wait_for 10 no_process_of "$work/$run"
done

# Ranks that cannot find each other; --kill-on-bad-exit must not silence the one that says so.
for kill in 0 1; do
  slurm srun -N2 -n2 --mpi=none --kill-on-bad-exit=$kill "$rookery" train --proj_dir "$work/none" "${options[@]}" > "$work/none.log" 2>&1
  code=$?
  if [ $kill = 0 ]; then check "--mpi=none: exit code" equal $code 2; fi
  check "--mpi=none: one sentence" equal "$(grep -c 'srun --mpi=pmix' "$work/none.log")" 1
  check "--mpi=none: nothing was trained" gone "$work/none/metrics.jsonl"
done

# Two tasks with options of their own, one of them put back into the queue for itself, and a third without a line.
printf '%s\n' "--lr_init 2e-3 --wandb 'first of two'" "--lr_init 1e-3 # slower" > "$work/lines"
submit sweep sweep.sbatch --array=1-3 -o "$work/sweep-%a.log" -- "$work/lines" "$work/sweep" "${options[@]}"
submit one one_node.sbatch -- --proj_dir "$work/one" "${options[@]}"
in_steps sweep/1
slurm scancel -b -s USR1 "${job[sweep]}_1"
for task in 1 2 3; do job[sweep/$task]=${job[sweep]}_$task; done
ends_as sweep/1 COMPLETED 1
ends_as sweep/2 COMPLETED 0
ends_as sweep/3 FAILED 0
check "sweep: all steps" equal "$(last_step "$work/sweep/1") $(last_step "$work/sweep/2")" "$steps $steps"
check "sweep: other options, another run" [ "$(numbers "$work/sweep/1")" != "$(numbers "$work/sweep/2")" ]
check "sweep: a line that is not there" says "$work/sweep-3.log" "no options in line 3"

ends_as one COMPLETED 0
if [ $failures != 0 ]; then tail -n 20 "$work"/*.log; fi
finish
