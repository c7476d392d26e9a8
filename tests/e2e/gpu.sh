#!/usr/bin/env bash
# Training on a GPU: the same bits in every run, also after a kill; fp16 and tf32 learn what bf16 learns; refusals. Passes where there is no GPU.
. "$(dirname "$0")/lib.sh"
unset CUDA_VISIBLE_DEVICES
if ! nvidia-smi > /dev/null 2>&1; then
  echo "no GPU here: nothing to run"
  finish
  exit
fi
make_data "$work/data" 200000
options=(--accelerator cuda --data_file "$work/data" --vocab_size 64 --n_layer 3 --n_embd 256 --ctx_len 200 --epoch_steps 100000 --epoch_save 0
  --micro_bsz 8 --warmup_steps 3 --lr_init 2e-3 --lr_final 2e-4)
train() { # train RUN MORE...
  local run=$1
  shift
  "$rookery" train --proj_dir "$work/$run" "${options[@]}" "$@" > "$work/$run.log" 2>&1
}
# "step loss norm" of every step of a run.
numbers() { sed -E 's/^\{"step":([0-9]+),"loss":([^,]+),.*"grad_norm":([^,]+),.*/\1 \2 \3/' "$work/$1/metrics.jsonl"; }
past_step() { grep -q "\"step\":$2," "$work/$1/metrics.jsonl" 2> /dev/null; }

train whole --max_steps 300 --save_every 20
check "a run" equal $? 0
check "it names the GPU" contains "$(cat "$work/whole.log")" "on GPU 0"
check "it compares memory with the prediction" contains "$(cat "$work/whole.log")" "predicted"
train again --max_steps 300 --save_every 20
check "the same again" equal $? 0
check "the same losses and norms" equal "$(numbers again | cksum)" "$(numbers whole | cksum)"
check "the same weights" cmp "$work/again/rwkv-final.pth" "$work/whole/rwkv-final.pth"

train cut --max_steps 300 --save_every 20 &
job=$!
check "past step 45" wait_for 60 past_step cut 45
pkill -KILL -f -- "--proj_dir $work/cut "
wait "$job"
check "killed" [ $? != 0 ]
train cut --max_steps 300 --save_every 20 --resume auto
check "resumed in a new process" equal $? 0
check "as if it had not been killed" equal "$(numbers cut | cksum)" "$(numbers whole | cksum)"
check "with the same weights" cmp "$work/cut/rwkv-final.pth" "$work/whole/rwkv-final.pth"

train unaccumulated --max_steps 20 --precision fp32
train accumulated --max_steps 20 --precision fp32 --micro_bsz 4 --accumulate_grad_batches 2 --grad_cp 1
apart=$(paste -d' ' <(numbers unaccumulated) <(numbers accumulated) |
  awk '{ d = ($2 - $5) / $5; if (d < 0) d = -d; if (d > worst) worst = d } END { print (NR == 20 && worst <= 1e-5) ? "close" : "apart by " worst " over " NR " steps" }')
check "accumulation and recomputation do not matter" equal "$apart" close

# Mean loss over 100 gentle steps beside bf16's.
for precision in bf16 fp16 tf32; do train "$precision" --max_steps 100 --precision "$precision" --lr_init 3e-4; done
for precision in fp16 tf32; do
  far=$(paste -d' ' <(numbers bf16) <(numbers "$precision") | awk '
    { a += $2; b += $5; if ($2 != $5) ++other }
    END { d = (a - b) / NR; if (d < 0) d = -d; print (NR == 100 && d <= 0.01 && other > 0) ? "close" : "apart by " d ", " other " of " NR " losses differ" }')
  check "100 steps in $precision beside bf16" equal "$far" close
done

check "fp64 is refused" [ "$(train other --max_steps 1 --precision fp64; echo $?)" = 2 ]
check "in one sentence" one_line "$(tail -n 1 "$work/other.log")"
check "a batch too large is refused" [ "$(train large --max_steps 1 --n_layer 24 --n_embd 4096 --micro_bsz 4096 --ctx_len 4096 --init normal; echo $?)" = 2 ]
finish
