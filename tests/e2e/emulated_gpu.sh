#!/usr/bin/env bash
# Training on the emulated GPU (tests/emulator), a tiny model: the CPU's losses, every precision, a resumed run that is the run in one go.
# Passes where the program was built without CUDA.
. "$(dirname "$0")/lib.sh"
emulated=$(dirname "$rookery")/rookery_emulated
if [ ! -x "$emulated" ]; then
  echo "built without CUDA: nothing to run"
  finish
  exit
fi
make_data "$work/data" 5000
options=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --ctx_len 20 --epoch_steps 100000 --epoch_save 0 --micro_bsz 4
  --warmup_steps 2 --lr_init 2e-3 --lr_final 2e-4 --max_steps 6)
train() { # train PROGRAM RUN MORE...
  local program=$1 run=$2
  shift 2
  "$program" train --proj_dir "$work/$run" "${options[@]}" "$@" > "$work/$run.log" 2>&1
}
# "step loss norm" of every step of a run.
numbers() { sed -E 's/^\{"step":([0-9]+),"loss":([^,]+),.*"grad_norm":([^,]+),.*/\1 \2 \3/' "$work/$1/metrics.jsonl"; }
# Largest relative difference of losses and norms.
near() { # near RUN OTHER LIMIT
  local verdict
  verdict=$(paste -d' ' <(numbers "$1") <(numbers "$2") | awk -v limit="$3" '
    function apart(a, b) { return a > b ? (a - b) / b : (b - a) / b }
    { if (apart($2, $5) > worst) worst = apart($2, $5); if (apart($3, $6) > worst) worst = apart($3, $6) }
    END { print (NR == 6 && worst <= limit) ? "near" : "apart by " worst " over " NR " steps" }')
  equal "$verdict" near
}

train "$rookery" cpu --accelerator cpu --precision fp32
check "a run on the CPU" equal $? 0
train "$emulated" fp32 --accelerator cuda --precision fp32
check "a run on the emulated GPU" equal $? 0
check "it says so" contains "$(cat "$work/fp32.log")" "emulated GPU"
check "losses and norms of the CPU" near fp32 cpu 2e-5
train "$emulated" parts --accelerator cuda --precision fp32 --micro_bsz 2 --accumulate_grad_batches 2 --grad_cp 1
check "accumulation and recomputation do not matter" near parts fp32 2e-5

train "$emulated" bf16 --accelerator cuda --precision bf16
check "a run in bf16" equal $? 0
check "losses and norms near those of fp32" near bf16 fp32 2e-2
# Fresh embeddings are so small that their first gradients do not fit into fp16 until the loss scale has come down.
train "$emulated" fp16 --accelerator cuda --precision fp16 --max_steps 14
check "a run in fp16" equal $? 0
check "its loss scale comes down" contains "$(cat "$work/fp16.log")" "the loss scale goes from 65536 to 32768"
check "until steps are taken" [ "$(numbers fp16 | tail -n 1 | grep -c null)" = 0 ]
train "$emulated" cut --accelerator cuda --precision bf16 --max_steps 3 --save_every 3
check "half a run" equal $? 0
train "$emulated" cut --accelerator cuda --precision bf16 --resume auto
check "the other half" equal $? 0
check "the same losses as in one go" equal "$(numbers cut | cksum)" "$(numbers bf16 | cksum)"
check "the same weights" cmp "$work/cut/rwkv-final.pth" "$work/bf16/rwkv-final.pth"
finish
