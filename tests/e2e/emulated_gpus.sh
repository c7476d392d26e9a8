#!/usr/bin/env bash
# Ranks with an emulated GPU each (tests/emulator), which exchange what GPUs exchange over NCCL: the CPU's losses under every ZeRO stage, nodes
# that are told apart, and what is refused. Passes where the program was built without CUDA or NCCL.
. "$(dirname "$0")/lib.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
emulated=$(dirname "$rookery")/rookery_emulated
make_data "$work/data" 5000
options=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --ctx_len 20 --epoch_steps 100000 --epoch_save 0 --precision fp32
  --warmup_steps 2 --lr_init 2e-3 --lr_final 2e-4 --max_steps 5 --global_bsz 8)
mpirun=(mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 --timeout 300)
gpus() { # gpus RANKS RUN MORE...
  local ranks=$1 run=$2
  shift 2
  "${mpirun[@]}" -n "$ranks" "$emulated" train --accelerator cuda --proj_dir "$work/$run" "${options[@]}" "$@" > "$work/$run.log" 2>&1
}
# Two nodes of two ranks each.
nodes() { # nodes RUN MORE...
  local run=$1
  shift
  local words=("$emulated" train --accelerator cuda --proj_dir "$work/$run" "${options[@]}" "$@")
  "${mpirun[@]}" -n 2 -x NCCL_HOSTID=first "${words[@]}" : -n 2 -x NCCL_HOSTID=second "${words[@]}" > "$work/$run.log" 2>&1
}
# "step loss norm" of every step of a run.
numbers() { sed -E 's/^\{"step":([0-9]+),"loss":([^,]+),.*"grad_norm":([^,]+),.*/\1 \2 \3/' "$work/$1/metrics.jsonl"; }
near() { # near RUN: losses and norms within 2e-5 of the CPU's
  local verdict
  verdict=$(paste -d' ' <(numbers "$1") <(numbers cpu) | awk '
    function apart(a, b) { return a > b ? (a - b) / b : (b - a) / b }
    { if (apart($2, $5) > worst) worst = apart($2, $5); if (apart($3, $6) > worst) worst = apart($3, $6) }
    END { print (NR == 5 && worst <= 2e-5) ? "near" : "apart by " worst " over " NR " steps" }')
  equal "$verdict" near
}

if [ ! -x "$emulated" ]; then
  echo "built without CUDA: nothing to run"
  finish
  exit
fi
gpus 2 zero0 --zero 0
if grep -q "which this build does not have" "$work/zero0.log"; then
  echo "built without NCCL: nothing to run"
  finish
  exit
fi
check "two GPUs" [ -e "$work/zero0/rwkv-final.pth" ]
check "they speak over NCCL" contains "$(cat "$work/zero0.log")" "2 ranks (2 on this host, nccl "
"$rookery" train --accelerator cpu --proj_dir "$work/cpu" "${options[@]}" > "$work/cpu.log" 2>&1
check "a run on the CPU" equal $? 0
check "ZeRO-0: losses and norms of the CPU" near zero0
for zero in 1 2 3; do
  gpus 2 "zero$zero" --zero "$zero"
  check "ZeRO-$zero" equal $? 0
  check "ZeRO-$zero: losses and norms of the CPU" near "zero$zero"
done
gpus 3 three --zero 2 --global_bsz 6 --max_steps 2
check "three GPUs" equal $? 0

nodes node3 --zero 3 --zero_group node
check "two nodes that divide the model each for itself" equal $? 0
check "they are seen" contains "$(cat "$work/node3.log")" "4 ranks (4 on this host, nccl "
check "as two" contains "$(cat "$work/node3.log")" "), 2 nodes"
check "the same numbers" near node3
"${mpirun[@]}" -n 2 -x NCCL_HOSTID=first "$emulated" train --accelerator cuda --proj_dir "$work/uneven" "${options[@]}" --zero_group node \
  --global_bsz 6 : -n 1 -x NCCL_HOSTID=second "$emulated" train --accelerator cuda --proj_dir "$work/uneven" "${options[@]}" --zero_group node \
  --global_bsz 6 > "$work/uneven.log" 2>&1
check "nodes of different sizes are refused" equal $? 2
check "with their sizes" contains "$(cat "$work/uneven.log")" "between 1 and 2"

# CUDA_VISIBLE_DEVICES as launchers set it.
CUDA_VISIBLE_DEVICES=0 gpus 2 doubled
check "two ranks on one GPU are refused" equal $? 2
check "with both ranks" contains "$(cat "$work/doubled.log")" "ranks 0 and 1 on "
CUDA_VISIBLE_DEVICES=4,5 gpus 3 few --global_bsz 6
check "more ranks than GPUs are refused" equal $? 2
check "with both numbers" contains "$(cat "$work/few.log")" "3 ranks run on "
words=("$emulated" train --accelerator cuda --proj_dir "$work/own" "${options[@]}")
"${mpirun[@]}" -n 1 -x CUDA_VISIBLE_DEVICES=3 "${words[@]}" : -n 1 -x CUDA_VISIBLE_DEVICES=6 "${words[@]}" > "$work/own.log" 2>&1
check "a GPU of its own shown to each rank" equal $? 0
check "and the same numbers" near own

# A rank that hangs, and one that is killed: all are gone within 30 s, and the message says where.
rank_of() { pgrep -f -- "--proj_dir $work/$1 " | while read -r p; do tr '\0' '\n' < "/proc/$p/environ" 2> /dev/null | grep -q '^OMPI_COMM_WORLD_RANK=1$' && echo "$p"; done; }
begin() { # begin RUN MORE...: two ranks without end, in the background
  gpus 2 "$@" --max_steps 100000 --micro_bsz 2 &
  job=$!
  check "$1: it runs" wait_for 60 says "$work/$1.log" "step *3/"
}
ends() { # ends RUN
  check "$1: all are gone within 30 s" wait_for 30 no_process_of "$work/$1"
  wait "$job"
  check "$1: it ends badly" [ $? != 0 ]
}
begin hangs --comm_timeout 4 --zero 2
kill -STOP "$(rank_of hangs | head -n 1)"
ends hangs
check "the watchdog says who waited" contains "$(cat "$work/hangs.log")" "[rank 0] no progress for "
check "and what its GPU waits for" contains "$(cat "$work/hangs.log")" "; on the GPU: "
begin dies --zero 3
kill -KILL "$(rank_of dies | head -n 1)"
ends dies
check "the rank that is left says what it waited for" contains "$(cat "$work/dies.log")" "told to end; no progress for "
finish
