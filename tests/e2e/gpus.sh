#!/usr/bin/env bash
# Training on several GPUs of one machine: the losses of one GPU under every ZeRO stage, offloaded or not, on one node or two; resuming with
# other ranks and stages; the same bits in every run; ranks that die or hang. Passes where there are fewer than two GPUs.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
unset CUDA_VISIBLE_DEVICES
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
n_gpus=$(nvidia-smi -L 2> /dev/null | grep -c '^GPU')
if [ "$n_gpus" -lt 2 ]; then
  echo "fewer than two GPUs here: nothing to run"
  finish
  exit
fi
worlds=(1 2)
[ "$n_gpus" -lt 4 ] || worlds+=(4)
at_once=$((3 * n_gpus))  # runs at the same time, one rank counted like several
mpirun=(mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 --timeout 300)
make_data "$work/data" 200000
options=(--accelerator cuda --data_file "$work/data" --vocab_size 64 --n_layer 3 --n_embd 128 --ctx_len 64 --global_bsz 8 --warmup_steps 5
  --lr_init 6e-4 --lr_final 6e-4 --epoch_steps 100000 --epoch_save 0 --threads 2)
fp32=(--precision fp32 --max_steps 20)
bf16=(--precision bf16 --max_steps 50)
declare -A stage=([zero0]="--zero 0" [zero1]="--zero 1" [zero2]="--zero 2" [zero3]="--zero 3"
  [offload2]="--strategy deepspeed_stage_2_offload" [offload3]="--zero 3 --offload optimizer,params")

# start RANKS RUN OPTIONS...: a run in the background, on the next GPUs in turn. Its exit code goes to RUN.code.
next=0
start() {
  local ranks=$1 run=$2 first
  shift 2
  while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; done
  first=$(((next + ranks - 1) / ranks * ranks % n_gpus))
  next=$((first + ranks))
  {
    CUDA_VISIBLE_DEVICES=$(seq -s, "$first" $((next - 1))) "$rookery" train --proj_dir "$work/$run" --devices "$ranks" "${options[@]}" "$@" \
      > "$work/$run.log" 2>&1
    echo $? > "$work/$run.code"
  } &
}
# nodes RUN OPTIONS...: on all GPUs, as if they belonged to two nodes, between and inside which NCCL has sockets only.
nodes() {
  local run=$1 words
  shift
  words=("$rookery" train --proj_dir "$work/$run" "${options[@]}" "$@")
  while [ "$(jobs -rp | wc -l)" -ge "$at_once" ]; do wait -n; done
  {
    NCCL_P2P_DISABLE=1 NCCL_SHM_DISABLE=1 NCCL_SOCKET_IFNAME=lo "${mpirun[@]}" -n $((n_gpus / 2)) -x NCCL_HOSTID=first "${words[@]}" : \
      -n $((n_gpus / 2)) -x NCCL_HOSTID=second "${words[@]}" > "$work/$run.log" 2>&1
    echo $? > "$work/$run.code"
  } &
}
runs() { # runs RUN...: they ended well
  local run
  for run in "$@"; do
    check "$run" equal "$(cat "$work/$run.code")" 0 || tail -n 3 "$work/$run.log"
  done
}
# "step loss norm" of every step of a run.
numbers() { sed -E 's/^\{"step":([0-9]+),"loss":([^,]+),.*"grad_norm":([^,]+),.*/\1 \2 \3/' "$work/$1/metrics.jsonl"; }
# near RUN OTHER STEPS relative|absolute LIMIT: the losses of the last STEPS steps of both.
near() {
  local verdict
  verdict=$(paste -d' ' <(numbers "$1" | tail -n "$3") <(numbers "$2" | tail -n "$3") | awk -v n="$3" -v kind="$4" -v limit="$5" '
    { d = $2 - $5; if (d < 0) d = -d; if (kind == "relative") d /= $5; if (d > worst) worst = d; if ($1 != $4) ++others }
    { e = $3 - $6; if (e < 0) e = -e; e /= $6; if (e > norm) norm = e }
    END { printf "%s: apart by %.3g (%s), norms by %.3g over %d steps\n",
          NR == n && !others && worst <= limit ? "near" : "FAR", worst, kind, norm, NR }')
  echo "     $1 and $2 are $verdict"
  [ "${verdict%%:*}" = near ]
}
past_step() { grep -q "\"step\":$2," "$work/$1/metrics.jsonl" 2> /dev/null; }
rank_pid() { # rank_pid RUN RANK
  local pid
  for pid in $(pgrep -f -- "--proj_dir $work/$1 "); do
    if tr '\0' '\n' < "/proc/$pid/environ" 2> /dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$2"; then echo "$pid"; fi
  done
}
# lose RUN SIGNAL OPTIONS...: sends SIGNAL to rank 1 of two in the middle of a run; writes after how many seconds no process was left.
lose() {
  local run=$1 signal=$2 job began pid
  shift 2
  "${mpirun[@]}" -n 2 "$rookery" train --proj_dir "$work/$run" "${options[@]}" --max_steps 1000000 "$@" > "$work/$run.log" 2>&1 &
  job=$!
  wait_for 120 past_step "$run" 5
  kill -"$signal" "$(rank_pid "$run" 1)"
  began=$SECONDS
  if wait_for 60 no_process_of "$work/$run"; then echo $((SECONDS - began)) > "$work/$run.seconds"; fi
  for pid in $(pgrep -f -- "--proj_dir $work/$run "); do kill -KILL "$pid"; done
  wait "$job"
  echo $? > "$work/$run.code"
}

began=$SECONDS
lose killed KILL --zero 3 &
lose stopped STOP --zero 3 --comm_timeout 10 &
CUDA_VISIBLE_DEVICES=0 "$rookery" train --proj_dir "$work/doubled" --devices 2 "${options[@]}" > "$work/doubled.log" 2>&1
check "two ranks on one GPU are refused" equal $? 2
check "with both ranks" contains "$(cat "$work/doubled.log")" "ranks 0 and 1 on "

# Everything that depends on nothing.
for ranks in "${worlds[@]}"; do
  for name in zero0 zero1 zero2 zero3 offload2 offload3; do
    # shellcheck disable=SC2086  # words
    start "$ranks" "fp32-$ranks-$name" ${stage[$name]} "${fp32[@]}" --save_every 10
    # shellcheck disable=SC2086
    start "$ranks" "bf16-$ranks-$name" ${stage[$name]} "${bf16[@]}"
  done
done
for name in zero2 offload3; do
  # shellcheck disable=SC2086
  start 2 "again-$name" ${stage[$name]} "${bf16[@]}"
done
start 2 narrow --zero 2 --reduce_dtype bf16 "${bf16[@]}"
for zero in 1 2 3; do
  start 2 "accumulated-$zero" --zero $zero --accumulate_grad_batches 2 "${fp32[@]}"
  start 2 "recomputed-$zero" --zero $zero --grad_cp 1 "${fp32[@]}"
  for order in layer segment; do start 2 "$order-$zero" --zero $zero --chunk_ctx 16 --plan_order $order "${fp32[@]}"; done
done
start 2 buckets-2 --zero 2 --bucket_mib 1 "${fp32[@]}"
start 2 buckets-3 --zero 3 --bucket_mib 1 "${fp32[@]}"
for zero in 1 2 3; do nodes "node-$zero" --zero $zero --zero_group node "${fp32[@]}"; done
nodes world-2 --zero 2 "${fp32[@]}"
nodes node-offload2 --strategy deepspeed_stage_2_offload --zero_group node "${fp32[@]}"
wait

# Steps 11 to 20 with other ranks and stages.
resumed=("1 zero0 2-zero2" "1 offload2 2-zero3" "2 zero3 1-zero0" "2 zero1 2-offload3" "2 offload2 2-zero1" "2 offload3 2-zero2")
[ "$n_gpus" -lt 4 ] || resumed+=("4 zero3 2-zero2" "2 zero1 4-offload2" "1 zero0 4-zero3" "4 offload3 1-offload2")
for row in "${resumed[@]}"; do
  read -r ranks name from <<< "$row"
  # shellcheck disable=SC2086
  start "$ranks" "resumed-$ranks-$name-from-$from" ${stage[$name]} "${fp32[@]}" --resume "$work/fp32-$from/step-00000010"
done
wait
echo "     $((SECONDS - began)) s so far"

for ranks in "${worlds[@]}"; do
  for name in zero0 zero1 zero2 zero3 offload2 offload3; do
    runs "fp32-$ranks-$name" "bf16-$ranks-$name"
    check "$ranks GPUs, $name, fp32: the losses of one GPU" near "fp32-$ranks-$name" fp32-1-zero0 20 relative 1e-6
    check "$ranks GPUs, $name, bf16: the losses of one GPU" near "bf16-$ranks-$name" bf16-1-zero0 50 absolute 2e-3
  done
done
check "several GPUs speak over NCCL" contains "$(cat "$work/fp32-2-zero1.log")" ", nccl "
for name in zero2 offload3; do
  runs "again-$name"
  check "$name: the same numbers in another run" equal "$(numbers "again-$name" | cksum)" "$(numbers "bf16-2-$name" | cksum)"
  check "$name: the same weights" cmp "$work/again-$name/rwkv-final.pth" "$work/bf16-2-$name/rwkv-final.pth"
done
runs narrow
check "gradients that travel in bf16" near narrow bf16-2-zero2 50 absolute 1e-2
for zero in 1 2 3; do
  for kind in accumulated recomputed layer segment; do
    runs "$kind-$zero"
    check "ZeRO-$zero, $kind: the losses of one GPU" near "$kind-$zero" fp32-1-zero0 20 relative 1e-5
  done
done
for zero in 2 3; do
  runs "buckets-$zero"
  check "ZeRO-$zero, many buckets: the losses of one GPU" near "buckets-$zero" fp32-1-zero0 20 relative 1e-6
done
for run in node-1 node-2 node-3 node-offload2 world-2; do
  runs $run
  check "$run: the ranks are two nodes" contains "$(cat "$work/$run.log")" ", 2 nodes"
  check "$run: the losses of one GPU" near $run fp32-1-zero0 20 relative 1e-6
done
for row in "${resumed[@]}"; do
  read -r ranks name from <<< "$row"
  run=resumed-$ranks-$name-from-$from
  runs "$run"
  check "$run: the losses of one GPU in one go" near "$run" fp32-1-zero0 10 relative 1e-6
done

for run in killed stopped; do
  check "a rank is $run: no process is left" exists "$work/$run.seconds"
  echo "     after $(cat "$work/$run.seconds") s, exit code $(cat "$work/$run.code"): $(grep -a 'rank' "$work/$run.log" | tail -n 1)"
  check "within 30 s" [ "$(cat "$work/$run.seconds")" -le 30 ]
  check "an exit code that tells" [ "$(cat "$work/$run.code")" != 0 ]
done
check "killed: the rank is named" says "$work/killed.log" "rank 1"
check "killed: the other one names what it waits for" says "$work/killed.log" '^\[rank 0\] told to end; no progress for .* on the GPU: '
check "stopped: the rank and what it waits for are named" says "$work/stopped.log" '^\[rank 0\] no progress for .* s in step .*, in ".*"'
finish
