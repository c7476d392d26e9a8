#!/usr/bin/env bash
# Steps made again, compared to the last digit and hash; the samples of a step.
. "$(dirname "$0")/lib.sh"
make_data "$work/data" 40000
options=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --micro_bsz 3 --accumulate_grad_batches 2
  --epoch_steps 1000 --epoch_save 0 --threads 1 --max_steps 12 --warmup_steps 3 --lr_init 2e-3 --save_every 5 --hash_every 2)
train() { # train RUN RANKS MORE...
  local run=$1 ranks=$2
  shift 2
  "$rookery" train --proj_dir "$work/$run" --devices "$ranks" "${options[@]}" "$@" > "$work/$run.log" 2>&1
}
hash_of() { sed -nE "s/^\{\"step\":$2,.*\"hash\":\"([0-9a-f]{16})\".*/\1/p" "$work/$1/metrics.jsonl"; }
state_of() { grep -o '"state_hash": *"[0-9a-f]*"' "$work/$1/step-$2/manifest.json" | grep -o '[0-9a-f]\{16\}'; }
everything() { find "$1" -type f -exec md5sum {} + | sort; }

for ranks in 1 2; do
  run=run$ranks
  train $run $ranks
  check "$ranks ranks: the run" equal $? 0
  check "$ranks ranks: a hash at every second step" equal "$(grep -c '"hash"' "$work/$run/metrics.jsonl")" 6
  check "$ranks ranks: checkpoints have their hash" equal "$(state_of $run 00000010)" "$(hash_of $run 10)"

  before=$(everything "$work/$run")
  "$rookery" replay --step 9 --proj_dir "$work/$run" > "$work/replay" 2>&1
  check "$ranks ranks: replay" equal $? 0
  check "$ranks ranks: from the newest checkpoint before" says "$work/replay" "4 steps from $work/$run/step-00000005, 2 hashes compared: all equal"
  check "$ranks ranks: step 8 with its hash" says "$work/replay" "^step 8: loss .* equal, norm .* equal, hash $(hash_of $run 8) equal"
  check "$ranks ranks: writes nothing" equal "$(everything "$work/$run")" "$before"

  cp -r "$work/$run" "$work/changed"
  sed -i -E '/^\{"step":8,/s/"grad_norm":[0-9]*\.[0-9]{6}/&1/' "$work/changed/metrics.jsonl"
  "$rookery" replay --step 8 --proj_dir "$work/changed" > "$work/replay" 2>&1
  check "$ranks ranks: another digit: exit code" equal $? 1
  check "$ranks ranks: another digit is found" says "$work/replay" "^step 8: loss .* equal, norm .* DIFFERENT (was "
  rm -rf "$work/changed"
  "$rookery" replay --step 8 --proj_dir "$work/$run" --lr_init 3e-3 > "$work/replay" 2>&1
  check "$ranks ranks: another rate: exit code" equal $? 1
  check "$ranks ranks: another rate changes the weights" says "$work/replay" "^step 6: loss .* equal, norm .* equal, hash [0-9a-f]* DIFFERENT"
done

refused() { # refused WHAT PART WORDS...
  local what=$1 part=$2
  shift 2
  text=$("$rookery" "$@" 2>&1 > /dev/null)
  check "$what: exit code" equal $? 2
  check "$what: one sentence" one_line "$text"
  check "$what: names it" contains "$text" "$part"
}
refused "a step before all checkpoints" "no checkpoint of a moment before step 3" replay --step 3 --proj_dir "$work/run1"
refused "a step that was not made" "does not tell of step 13" replay --step 13 --proj_dir "$work/run1"
refused "no step" "needs --step" replay --proj_dir "$work/run1"

# The order of samples: by the options, by the run's checkpoint, and as two ranks have taken them.
"$rookery" data order --steps 3:4 "${options[@]}" > "$work/order1"
check "order by options" equal $? 0
check "a line for each sample" equal "$(grep -c '^[0-9]' "$work/order1")" 12
check "numbers count on" equal "$(awk '/^[0-9]/ { print $3 }' "$work/order1" | tr '\n' ' ')" "13 14 15 16 17 18 19 20 21 22 23 24 "
"$rookery" data order --steps 2:2 --proj_dir "$work/run2" > "$work/order2"
check "order of a run" equal "$(grep -c '^2 ' "$work/order2")" 12
check "the same samples on any number of ranks" equal "$(awk '/^2 / { print $3, $4 }' "$work/order2")" \
  "$(awk '/^[34] / { print $3, $4 }' "$work/order1")"
refused "steps the wrong way" "--steps 4:3" data order --steps 4:3 --proj_dir "$work/run1"
refused "an order of nothing" "rookery data order needs" data order --steps 1:1
finish
