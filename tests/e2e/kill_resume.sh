#!/usr/bin/env bash
# A rank killed in the middle of a run, the run resumed: the same bits as without the kill, and other ranks and stages may take over.
. "$(dirname "$0")/lib.sh"
make_data "$work/data" 40000
options=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --epoch_steps 1000 --epoch_save 0
  --threads 1 --max_steps 20 --warmup_steps 3 --lr_init 2e-3 --save_every 1)
train() { # train RUN RANKS ZERO MICRO_BSZ MORE...
  local run=$1 ranks=$2 zero=$3 micro=$4
  shift 4
  "$rookery" train --proj_dir "$work/$run" --devices "$ranks" --zero "$zero" --micro_bsz "$micro" "${options[@]}" "$@" > "$work/$run.log" 2>&1
}
# Largest relative difference of two columns of losses.
apart() {
  paste -d' ' <(numbers "$work/$1") <(numbers "$work/$2") |
    awk '{ d = ($2 - $5) / $5; if (d < 0) d = -d; if (d > worst) worst = d } END { print (NR == 20 && worst <= 1e-6) ? "close" : "apart by " worst " over " NR " steps" }'
}
past_step_7() { grep -q "\"step\":7," "$work/$1/metrics.jsonl" 2> /dev/null; }
rank_of() { pgrep -f -- "--proj_dir $work/$1 " | while read -r p; do tr '\0' '\n' < "/proc/$p/environ" 2> /dev/null | grep -q '^OMPI_COMM_WORLD_RANK=1$' && echo "$p"; done; }

# Kills rank 1 of run $1 once step 7 is done, and waits for the job to end.
killed_at_7() {
  local run=$1
  train "$@" &
  local job=$!
  wait_for 60 past_step_7 "$run"
  kill -KILL "$(rank_of "$run" | head -n 1)"
  wait "$job"
  check "$run: a killed rank ends the run badly" [ $? != 0 ]
  check "$run: no process left" wait_for 10 no_process_of "$work/$run"
  check "$run: something was lost" [ "$(tail -n 1 "$work/$run/metrics.jsonl" | grep -c '"step":20,')" = 0 ]
}

for zero in 1 3; do
  train "whole$zero" 2 $zero 6
  check "ZeRO-$zero: the whole run" equal $? 0
  killed_at_7 "cut$zero" 2 $zero 6
  train "cut$zero" 2 $zero 6 --resume auto
  check "ZeRO-$zero: resumed to its end" equal $? 0
  check "ZeRO-$zero: every loss and norm to the last digit" equal "$(numbers "$work/cut$zero")" "$(numbers "$work/whole$zero")"
  check "ZeRO-$zero: final weights bit by bit" cmp "$work/cut$zero/rwkv-final.pth" "$work/whole$zero/rwkv-final.pth"
done

killed_at_7 moved 3 2 4
train moved 4 3 3 --resume auto
check "3 ranks ZeRO-2 to 4 ranks ZeRO-3" equal $? 0
check "losses as with 2 ranks" equal "$(apart moved whole1)" close
check "another batch is refused" [ "$(train moved 4 3 4 --global_bsz 16 --resume auto --max_steps 30; echo $?)" = 2 ]
check "in one sentence" contains "$(cat "$work/moved.log")" "real_bsz = 12, this run has 16"
check "where none is typed, the checkpoint's is kept" [ "$(train moved 4 3 4 --resume auto --max_steps 22; echo $?)" = 0 ]
check "and a line says so" contains "$(cat "$work/moved.log")" \
  "as before, 12 samples a step: 3 micro-batches of 4 over 4 ranks, one rank has none"
finish
