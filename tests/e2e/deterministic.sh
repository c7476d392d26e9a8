#!/usr/bin/env bash
# --deterministic_reduce 1 under real mpirun: 1, 2, 3 and 4 ranks give the same losses, norms and weights to the last bit, whatever the ZeRO
# stage and the precision, also when ranks change in the middle, and on emulated GPUs.
. "$(dirname "$0")/lib.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
make_data "$work/data" 20000
make_data "$work/val" 3000
options=(--data_file "$work/data" --val_file "$work/val" --val_every 5 --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 32
  --epoch_steps 1000 --epoch_save 0 --threads 1 --max_steps 10 --warmup_steps 3 --lr_init 2e-3 --global_bsz 7 --micro_bsz 2
  --deterministic_reduce 1)
train() { # train RUN RANKS MORE...
  local run=$1 ranks=$2
  shift 2
  "$rookery" train --proj_dir "$work/$run" --devices "$ranks" "${options[@]}" "$@" > "$work/$run.log" 2>&1
}
# Everything of every step that does not tell the time.
numbers() { sed -E 's/"tokens_per_s":[^,]*,"seconds":[^,]*,"data_s":[^,]*,//' "$work/$1/metrics.jsonl"; }
same() { # same RUN REFERENCE
  numbers "$1" > "$work/numbers"
  numbers "$2" > "$work/expected"
  check "$1: losses, norms and validation losses to the last digit" cmp "$work/numbers" "$work/expected"
  check "$1: weights bit by bit" cmp "$work/$1/rwkv-final.pth" "$work/$2/rwkv-final.pth"
}

for precision in fp32 bf16; do
  train "$precision" 1 --precision $precision
  check "$precision: one rank" equal $? 0
  check "$precision: ten steps" equal "$(numbers "$precision" | wc -l)" 10
  for ranks in 2 3 4; do
    for zero in 0 1 2 3; do
      run=$precision-$ranks-ranks-zero-$zero
      train "$run" $ranks --precision $precision --zero $zero
      check "$run: ends" equal $? 0
      same "$run" "$precision"
    done
  done
done
check "the price is told" contains "$(cat "$work/bf16-2-ranks-zero-1.log")" "--deterministic_reduce: gradients are added up in the order of micro-batches"

train sent 1 --reduce_dtype bf16
train sent-3 3 --reduce_dtype bf16
check "sums of rounded gradients" equal $? 0
same sent-3 sent
train segments 1 --chunk_ctx 12
train segments-4 4 --chunk_ctx 12
check "segments of time" equal $? 0
same segments-4 segments

train moved 4 --max_steps 5
train moved 2 --max_steps 8 --zero 3 --resume auto
train moved 3 --resume auto
check "4, then 2, then 3 ranks" equal $? 0
sed -i '/"step":8,/s/,"val_loss":[^,]*,"val_ppl":[^,]*,"val_tokens":[0-9]*//' "$work/moved/metrics.jsonl"  # where a part of the run ended
same moved fp32

# Without it ranks show in the last digits: otherwise nothing above would be worth much.
train loose 1 --deterministic_reduce 0
train loose-3 3 --deterministic_reduce 0
check "without it bits differ" [ "$(numbers loose)" != "$(numbers loose-3)" ]
check "what would have another order is refused" \
  [ "$(train refused 2 --plan_order segment --chunk_ctx 12; echo $?)" = 2 ]
check "in one sentence" contains "$(cat "$work/refused.log")" "--deterministic_reduce 1 needs --plan_order layer"

emulated=$(dirname "$rookery")/rookery_emulated
if [ ! -x "$emulated" ]; then
  echo "built without CUDA: no emulated GPUs"
  finish
  exit
fi
gpus() { # gpus RUN RANKS MORE...
  local run=$1 ranks=$2
  shift 2
  on_emulated "$emulated" "$ranks" --proj_dir "$work/$run" "${options[@]}" --n_embd 64 --head_size 64 --max_steps 3 --val_every 2 "$@" > "$work/$run.log" 2>&1
}
gpus gpu 1
check "an emulated GPU" equal $? 0
gpus gpu-2 2 --zero 3
if grep -q "which this build does not have" "$work/gpu-2.log"; then
  echo "built without NCCL: no more of them"
  finish
  exit
fi
check "two of them" equal $? 0
same gpu-2 gpu
gpus gpu-3 3 --zero 2
check "three of them" equal $? 0
same gpu-3 gpu
gpus gpu-sent 1 --reduce_dtype bf16
gpus gpu-sent-2 2 --reduce_dtype bf16
check "sums of rounded gradients on two" equal $? 0
same gpu-sent-2 gpu-sent
finish
