#!/usr/bin/env bash
# 7.2B (L32-D4096, ctx 4096) on one GPU that shows 23.5 GiB: stage-2 offload, grad_cp, micro_bsz 1, accumulation 1 and 8. Before that its weights
# are made and timed, and read by all GPUs' ranks under ZeRO-3; after it a limit that is too small must be refused.
# usage: offload_7b.sh ROOKERY DATA ROWS.jsonl [FOLDER]     DATA: prefix of a binidx; FOLDER keeps 7.2B.pth (15 GB), which otherwise goes again
# Rows as of speed.py; load_s is the time from the memory table to the first batch: memory taken, weights read.
set -uo pipefail
[ $# -ge 3 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
rookery=$(realpath "$1") data=$2 rows=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM
weights=${4:-$work}/7.2B.pth
model=(--n_layer 32 --n_embd 4096 --vocab_size 65536 --head_size 64)
limited=(--memory_limit 23.5 --strategy deepspeed_stage_2_offload)
n_gpus=$(nvidia-smi -L | grep -c '^GPU')

seconds() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }
words() { printf '"%s",' "$@" | sed 's/,$//'; }
row() { # row NAME GPUS STEPS FLAGS...
  printf '[{"row": "%s", "L": 32, "D": 4096, "ctx": 4096, "bsz": 1, "gcp": 1, "load": "%s", "gpus": %s, "steps": %s, "flags": [%s]}]\n' \
    "$1" "$weights" "$2" "$3" "$(words "${@:4}")" > "$work/row.json"
  python3 "$here/../peer/speed.py" "$rookery" "$data" "$work/row.json" "$rows"
}

failures=0
free -g | sed -n '1,2p'
rm -f "$weights"
began=$EPOCHREALTIME
"$rookery" init "${model[@]}" --precision bf16 "$weights" || failures=1
echo "{\"row\": \"rookery init of 7.2B\", \"seconds\": $(seconds "$began"), \"limit\": 120}" | tee -a "$rows"
if [ "$n_gpus" -gt 1 ]; then row "7.2B read by $n_gpus ranks, ZeRO-3" "$n_gpus" 6 --zero 3; fi
row "7.2B on one GPU of 23.5 GiB" 1 6 "${limited[@]}"
row "7.2B on one GPU of 23.5 GiB, accumulation 8" 1 4 "${limited[@]}" --accumulate_grad_batches 8
CUDA_VISIBLE_DEVICES=0 "$rookery" train --proj_dir "$work/small" --data_file "$data" "${model[@]}" --ctx_len 4096 --micro_bsz 1 --grad_cp 1 \
  --accelerator cuda --precision bf16 --init normal --strategy deepspeed_stage_2_offload --memory_limit 12 --max_steps 1 > "$work/small.log" 2>&1
code=$?
echo "a limit of 12 GiB: exit code $code (wanted 2): $(tail -n 1 "$work/small.log")"
[ $code = 2 ] || failures=1
exit $failures
