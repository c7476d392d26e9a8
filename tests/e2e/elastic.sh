#!/usr/bin/env bash
# Ranks that come and go keep the samples of a step: 4 -> 2 -> 3 ranks beside a run that is never interrupted, batches that no rank count
# divides, ranks without any micro-batch.
. "$(dirname "$0")/lib.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
make_data "$work/data" 40000
options=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --epoch_steps 1000 --epoch_save 0
  --threads 1 --warmup_steps 3 --lr_init 2e-3)
train() { # train RUN RANKS ZERO MORE...
  local run=$1 ranks=$2 zero=$3
  shift 3
  "$rookery" train --proj_dir "$work/$run" --devices "$ranks" --zero "$zero" "${options[@]}" "$@" > "$work/$run.log" 2>&1
}
# "step loss" and "step tokens" of every step of a run.
losses() { sed -E 's/^\{"step":([0-9]+),"loss":([^,]+),.*/\1 \2/' "$work/$1/metrics.jsonl"; }
tokens() { sed -E 's/^\{"step":([0-9]+),.*"tokens":([0-9]+),.*/\1 \2/' "$work/$1/metrics.jsonl"; }
# near RUN REFERENCE STEPS: losses within 1e-6 of each other.
near() {
  local verdict
  verdict=$(paste -d' ' <(losses "$1") <(losses "$2") | awk -v steps="$3" '
    { d = ($2 - $4) / $4; if (d < 0) d = -d; if (d > worst) worst = d; if ($1 != $3) moved = 1 }
    END { print (NR == steps && !moved && worst <= 1e-6) ? "near" : "apart by " worst " over " NR " steps" }')
  paste -d' ' <(losses "$1") <(losses "$2") | awk -v run="$1" '
    { d = ($2 - $4) / $4; if (d < 0) d = -d; if (d > worst) worst = d } END { print "     " run ": losses apart by at most " worst + 0 }'
  equal "$verdict" near
}
constant_tokens() { # constant_tokens RUN TOKENS_OF_A_STEP
  equal "$(tokens "$1" | awk -v n="$2" '$2 != $1 * n' | head -n 1)" ""
}

train fixed 4 1 --micro_bsz 3 --max_steps 30
check "the fixed run" equal $? 0
train moved 4 0 --micro_bsz 3 --max_steps 10
check "4 ranks" equal $? 0
train moved 2 3 --micro_bsz 3 --max_steps 20 --resume auto
check "then 2" equal $? 0
check "they keep the batch" contains "$(cat "$work/moved.log")" "as before, 12 samples a step: 4 micro-batches of 3 over 2 ranks"
train moved 3 2 --micro_bsz 3 --max_steps 30 --resume auto
check "then 3" equal $? 0
check "of which two have fewer micro-batches" contains "$(cat "$work/moved.log")" \
  "as before, 12 samples a step: 4 micro-batches of 3 over 3 ranks, 2 ranks have 1 instead of 2"
check "the losses of the fixed run" near moved fixed 30
check "tokens of a step are constant" constant_tokens moved $((12 * 64))
check "another batch that is typed is refused" [ "$(train moved 2 1 --global_bsz 13 --max_steps 40 --resume auto; echo $?)" = 2 ]
check "in one sentence" contains "$(cat "$work/moved.log")" "real_bsz = 12, this run has 13"

train seven 1 0 --micro_bsz 7 --global_bsz 7 --max_steps 10
check "7 samples a step on one rank" equal $? 0
for zero in 0 1 2 3; do
  train "seven$zero" 3 $zero --micro_bsz 2 --global_bsz 7 --max_steps 10
  check "ZeRO-$zero: 7 samples in micro-batches of 2 on 3 ranks" equal $? 0
  check "ZeRO-$zero: the same losses" near "seven$zero" seven 10
done
check "tokens of 7 samples" constant_tokens seven3 $((7 * 64))
train pair 1 0 --micro_bsz 2 --global_bsz 2 --max_steps 10
for zero in 0 2 3; do
  train "pair$zero" 4 $zero --micro_bsz 1 --global_bsz 2 --max_steps 10
  check "ZeRO-$zero: 2 samples on 4 ranks" equal $? 0
  check "ZeRO-$zero: the same losses with two ranks without any" near "pair$zero" pair 10
done

emulated=$(dirname "$rookery")/rookery_emulated
if [ ! -x "$emulated" ] || ! ldd "$emulated" > /dev/null; then
  echo "built without CUDA: no emulated GPUs"
  finish
  exit
fi
gpus() { # gpus RUN RANKS MORE...
  local run=$1 ranks=$2
  shift 2
  on_emulated "$emulated" "$ranks" --proj_dir "$work/$run" --data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --ctx_len 20 --epoch_steps 1000 --epoch_save 0 \
    --precision fp32 --warmup_steps 2 --lr_init 2e-3 --max_steps 3 --global_bsz 9 --micro_bsz 2 "$@" > "$work/$run.log" 2>&1
}
gpus gpu 1
check "9 samples a step on an emulated GPU" equal $? 0
gpus gpus3 2 --zero 3
if grep -q "which this build does not have" "$work/gpus3.log"; then
  echo "built without NCCL: no more of them"
  finish
  exit
fi
check "on two" equal $? 0
check "the same losses" near gpus3 gpu 3
gpus gpus2 3 --zero 2 --reduce_dtype bf16
check "on three, sums in bf16" equal $? 0
gpus offload 2 --zero 2 --offload optimizer
check "on two, offloaded" equal $? 0
check "the same losses, offloaded" near offload gpu 3
finish
