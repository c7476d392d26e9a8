#!/usr/bin/env bash
# A run that is killed goes on from its newest snapshot, on as many ranks or on others, and ends with the weights of a run in one go.
. "$(dirname "$0")/lib.sh"
make_data "$work/data" 40000
options=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --global_bsz 4 --epoch_steps 1000
  --epoch_save 0 --threads 1 --max_steps 400 --progress plain)
"$rookery" train "${options[@]}" --proj_dir "$work/whole" --devices 2 > "$work/whole.log" 2>&1
check "a run in one go" equal $? 0

cut=("${options[@]}" --proj_dir "$work/cut" --snapshot_every 5 --snapshot_dir "$work/snapshots")
"$rookery" train "${cut[@]}" --devices 2 > "$work/first.log" 2>&1 &
check "it makes snapshots" wait_for 60 says "$work/first.log" "^snapshot of step"
pkill -KILL -f -- "--proj_dir $work/cut "
wait
check "the run is gone" wait_for 30 no_process_of "$work/cut"
check "it has no checkpoint" gone "$work/cut/step-*"
check "but a snapshot" exists "$work/snapshots/rookery-*/step-*/shard-00001.json"
"$rookery" train "${cut[@]}" --devices 2 --resume auto > "$work/second.log" 2>&1
check "it ends" equal $? 0
check "it says from where it goes on" says "$work/second.log" "the newest state is the snapshot of step"
check "not from the beginning" says "$work/second.log" "resumed from $work/snapshots/"
check "the same weights" cmp "$work/whole/rwkv-final.pth" "$work/cut/rwkv-final.pth"
check "nothing is left in memory" gone "$work/snapshots/rookery-*"

# A checkpoint that is newer wins; the snapshots of another run in the same folder are no help.
"$rookery" train "${cut[@]}" --devices 2 --max_steps 401 --resume auto > "$work/third.log" 2>&1
check "the checkpoint is as new as it gets" says "$work/third.log" "resumed from $work/cut/step-00000400"

# On one rank instead of two.
rm -r "$work/cut"
"$rookery" train "${cut[@]}" --devices 2 > "$work/another.log" 2>&1 &
check "another run makes snapshots" wait_for 60 says "$work/another.log" "^snapshot of step"
pkill -KILL -f -- "--proj_dir $work/cut "
wait
wait_for 30 no_process_of "$work/cut"
"$rookery" train "${cut[@]}" --devices 1 --max_steps 200 --resume auto > "$work/fourth.log" 2>&1
check "one rank goes on from the snapshot of two" says "$work/fourth.log" "the newest state is the snapshot of step"
check "it is stopped with its state saved" exists "$work/cut/step-00000200/manifest.json"
finish
