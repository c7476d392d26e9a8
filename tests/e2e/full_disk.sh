#!/usr/bin/env bash
# A disk that fills up during a save: training goes on, the older checkpoint stays, the final save says what happened.
. "$(dirname "$0")/lib.sh"
disk=$work/disk
mkdir -p "$disk"
if ! mount -t tmpfs -o size=6m tmpfs "$disk" 2> /dev/null; then
  echo "not allowed to mount a small disk here: the unit tests of checkpoints cover a failing write"
  finish
  exit
fi
trap 'umount "$disk"; rm -rf "$work"' EXIT
make_data "$work/data" 40000
options=(--data_file "$work/data" --proj_dir "$disk/run" --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --micro_bsz 2
  --epoch_steps 1000 --epoch_save 0 --threads 1 --devices 2 --save_every 10 --keep_last 1)
fill() { head -c "$(($(df --output=avail -B1 "$disk" | tail -n 1) - 200000))" /dev/zero > "$disk/ballast"; }

"$rookery" train "${options[@]}" --max_steps 10 > "$work/first.log" 2>&1
check "there is room for the first" equal $? 0
fill
"$rookery" train "${options[@]}" --max_steps 35 --resume auto > "$work/second.log" 2>&1
code=$?
check "the final save fails: exit code 1" equal $code 1
check "a periodic save fails: training goes on" contains "$(cat "$work/second.log")" "training goes on and saves again at the next interval"
check "all steps were made" contains "$(tail -n 1 "$disk/run/metrics.jsonl")" '"step":35,'
check "the older checkpoint is there" exists "$disk/run/step-00000010/manifest.json"
check "nothing half-written is left" gone "$disk/run/*.tmp"
rm "$disk/ballast"
"$rookery" train "${options[@]}" --max_steps 36 --resume auto > "$work/third.log" 2>&1
check "with room again it goes on from there" equal $? 0
check "from step 10" contains "$(cat "$work/third.log")" "step-00000010: 10 steps"

# A full folder of snapshots: the run goes on, and makes them when there is room again.
rm -rf "$disk/run"
mkdir "$disk/snapshots"
fill
snapshots=(--proj_dir "$work/run" --save_every 1000 --snapshot_every 10 --snapshot_dir "$disk/snapshots")
"$rookery" train "${options[@]}" "${snapshots[@]}" --max_steps 1000000 > "$work/fourth.log" 2>&1 &
run=$!
check "a snapshot without room is given up" wait_for 60 says "$work/fourth.log" "the snapshot of step 10 was given up"
rm "$disk/ballast"
check "with room the next one is made" wait_for 60 says "$work/fourth.log" "^snapshot of step"
touch "$work/run/stop"
wait $run
check "it ends as asked" equal $? 75
check "and takes its snapshots along" gone "$disk/snapshots/rookery-*"
finish
