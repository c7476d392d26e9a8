#!/usr/bin/env bash
# What ranks find out of each other: who is there, who differs, who is gone; and steps whose numbers are none.
. "$(dirname "$0")/lib.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
make_data "$work/data" 40000
options=(--proj_dir "$work/run" --data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --micro_bsz 2
  --epoch_steps 1000 --epoch_save 0 --threads 1)
mpi=(mpirun --quiet --oversubscribe --mca mpi_yield_when_idle 1)
differing() { # differing WHAT COMMAND...: both ranks leave with 2 and one table, which is in $text
  local what=$1
  shift
  text=$(timeout 60 "$@" 2>&1 > /dev/null)
  check "$what: exit code" equal $? 2
  check "$what: said once" equal "$(printf '%s\n' "$text" | grep -c 'the ranks of this job differ')" 1
}

cp "$rookery" "$work/copy"
printf x >> "$work/copy"
differing "another program" "${mpi[@]}" -n 1 "$rookery" train "${options[@]}" : -n 1 "$work/copy" train "${options[@]}"
check "another program: its path" contains "$text" "path $work/copy"
check "another program: whose" contains "$text" "rank 1 on $(hostname): "

differing "another option" "${mpi[@]}" -n 2 "$rookery" train "${options[@]}" : -n 1 "$rookery" train "${options[@]}" --lr_init 2e-3
check "another option: the majority first" contains "$text" "ranks 0, 1 on $(hostname): "
check "another option: its line" contains "$text" "lr_init = 0.002"
check "another option: the others' line" contains "$text" "lr_init = 0.0006"
check "another option: no other line" equal "$(printf '%s\n' "$text" | grep -c ' = ')" 2

# Hosts that see other data under one name: a folder of this rank's own.
cat > "$work/elsewhere" << END
#!/usr/bin/env bash
mount --bind "$work/other" "$work/mine" && exec "\$@"
END
chmod +x "$work/elsewhere"
mkdir "$work/other" "$work/mine"
make_data "$work/mine/data" 40000
make_data "$work/other/data" 40000
printf '\1' | dd of="$work/other/data.bin" bs=1 seek=40000 conv=notrunc status=none
if unshare -m "$work/elsewhere" true 2> /dev/null; then
  moved=("${options[@]/$work\/data/$work\/mine\/data}")
  differing "other data" "${mpi[@]}" -n 1 "$rookery" train "${moved[@]}" : -n 1 unshare -m "$work/elsewhere" "$rookery" train "${moved[@]}"
  check "other data: the file" contains "$text" "data $work/mine/data.bin:"
else
  echo "skip other data under one name: this host lets nobody mount"
fi
check "nothing was made" gone "$work/run"

"$rookery" train "${options[@]}" --devices 2 --max_steps 1 > "$work/log" 2>&1
check "the table of all" says "$work/log" "^$(hostname)  *0, 1  *CPU"
check "versions" says "$work/log" "^all ranks: rookery .*MPI .*HDF5"
check "no trace of signs of life" gone "$work/run/ranks.alive"
rm -rf "$work/run"

# A rank that is stopped: the other one ends the job within 30 s and says which one.
"$rookery" train "${options[@]}" --devices 2 --max_steps 1000000 --save_every 50 > "$work/log" 2>&1 &
job=$!
wait_for 60 exists "$work/run/step-*/manifest.json"
rank=$(pgrep -f -- "--proj_dir $work/run " | while read -r p; do tr '\0' '\n' < "/proc/$p/environ" 2> /dev/null | grep -q '^OMPI_COMM_WORLD_RANK=1$' && echo "$p"; done | head -n 1)
kill -STOP "$rank"
began=$SECONDS
wait $job
check "a stopped rank: exit code" equal $? 70
check "a stopped rank: within 30 s" [ $((SECONDS - began)) -le 30 ]
check "a stopped rank: who" says "$work/log" '^\[rank 0\] no progress for .*rank 1: no sign of life'
check "a stopped rank: what is waited for" says "$work/log" "not exchanged yet with rank 1"
check "a stopped rank: no process left" wait_for 10 no_process_of "$work/run"
"$rookery" train "${options[@]}" --devices 2 --resume auto --max_steps 1 > "$work/again" 2>&1
check "a stopped rank: resumes" says "$work/again" "resumed from"
rm -rf "$work/run"

# Steps of many seconds are left at the next micro-batch, on all ranks, and the run that goes on makes the numbers of an undisturbed one.
long=("${options[@]}" --n_layer 4 --n_embd 256 --ctx_len 256 --micro_bsz 4)
"$rookery" train "${long[@]}" --devices 2 --accumulate_grad_batches 4 --max_steps 1 > "$work/log" 2>&1
micros=$(sed -nE 's/.*"seconds":([0-9.]+).*/\1/p' "$work/run/metrics.jsonl" | awk '{ n = int(4 * 18 / $1) + 1; print (n < 400 ? n : 400) }')
rm -rf "$work/run"
long+=(--accumulate_grad_batches "$micros" --max_steps 3) # the stop is not in the last step: where steps are short it is done after one
"$rookery" train "${long[@]}" --devices 2 > "$work/log" 2>&1
mkdir "$work/undisturbed"
cp "$work/run/metrics.jsonl" "$work/run/rwkv-final.pth" "$work/undisturbed"
rm -rf "$work/run"
"$rookery" train "${long[@]}" --devices 2 > "$work/log" 2>&1 &
job=$!
wait_for 300 says "$work/run/metrics.jsonl" '"step":1,'
step_s=$(sed -E 's/.*"seconds":([0-9]+).*/\1/' "$work/run/metrics.jsonl")
sleep 1
kill -USR1 $job
began=$SECONDS
wait $job
check "a long step ($step_s s) is left: exit code" equal $? 75
if [ "$step_s" -gt 10 ]; then
  check "a long step is left at once" [ $((SECONDS - began)) -le $((step_s / 3 + 2)) ]
  check "a long step is left: said" says "$work/log" "step 2 is left unfinished"
  check "a long step is left: nothing of it is saved" equal "$(basename "$(find "$work/run" -maxdepth 1 -name 'step-*')")" step-00000001
else
  echo "skip leaving a step: steps of $step_s s are too short"
fi
"$rookery" train "${long[@]}" --devices 2 --resume auto > "$work/log" 2>&1
check "a long step is left: the same numbers" equal "$(numbers "$work/run")" "$(numbers "$work/undisturbed")"
check "a long step is left: the same weights" cmp "$work/run/rwkv-final.pth" "$work/undisturbed/rwkv-final.pth"
rm -rf "$work/run"

# A learning rate that no run survives. Its steps end it, and what can be continued is older.
for ranks in 1 2; do
  "$rookery" train "${options[@]}" --devices $ranks --max_steps 3 --save_every 3 > "$work/log" 2>&1
  check "$ranks ranks: a good beginning" exists "$work/run/step-00000003/manifest.json"
  "$rookery" train "${options[@]}" --devices $ranks --resume auto --max_steps 1000 --save_every 1 --lr_init 1e38 --grad_clip 0 --max_bad_steps 4 --max_restarts 1 > "$work/log" 2>&1
  check "$ranks ranks, bad steps: exit code" equal $? 1
  check "$ranks ranks, bad steps: they would come again" equal "$(grep -c 'restart 1 of' "$work/log")" 0
  check "$ranks ranks, bad steps: samples" says "$work/log" "its update is skipped on all ranks; samples [0-9]*-[0-9]* (token offsets [0-9]"
  check "$ranks ranks, bad steps: the end" says "$work/log" "had no finite loss or gradient (--max_bad_steps 4)"
  check "$ranks ranks, bad steps: where to go on" says "$work/log" "resume auto goes back to $work/run/step-"
  check "$ranks ranks, bad steps: report" equal "$(grep -c '"step":' "$work/run/bad-steps.json")" 4
  first=$(grep '"step":' "$work/run/bad-steps.json" | head -n 1 | tr -dc 0-9)
  newest=$(basename "$(find "$work/run" -maxdepth 1 -name 'step-*' | sort | tail -n 1)" | tr -dc 0-9)
  check "$ranks ranks, bad steps: nothing of them is saved" [ "$((10#$newest))" -lt "$first" ]
  rm -rf "$work/run"
done
finish
