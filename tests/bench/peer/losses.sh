#!/usr/bin/env bash
# The same run by Rookery and by the reference trainer on one GPU: one rwkv-init.pth (written by Rookery), one binidx, 0.19B, ctx 512.
# Prints the mean loss of every 100 steps of both and their difference; the last line says whether all differ by at most 0.01.
# usage: losses.sh ROOKERY REFERENCE DATA [STEPS]     REFERENCE: the folder RWKV-v7/train_temp, its packages on PYTHONPATH; DATA: prefix of a binidx
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,4p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
rookery=$(realpath "$1") reference=$(realpath "$2") data=$(realpath "$3.bin") steps=${4:-600}
data=${data%.bin}
work=${OUT:-$(mktemp -d)}/losses
mkdir -p "$work"
ctx=512 bsz=16
tokens=$(($(stat -c %s "$data.bin") / 2))
prime=$("$rookery" data prime "$tokens" --ctx_len "$ctx" | sed -n 's/.*--magic_prime \([0-9]*\).*/\1/p')
common=(--data_file "$data" --data_type binidx --vocab_size 65536 --my_testing x070 --ctx_len "$ctx" --magic_prime "$prime"
  --n_layer 12 --n_embd 768 --head_size 64 --micro_bsz "$bsz" --my_exit_tokens $((steps * ctx * bsz)) --lr_init 6e-4 --lr_final 6e-5
  --warmup_steps 10 --beta1 0.9 --beta2 0.99 --adam_eps 1e-18 --weight_decay 0.1 --epoch_count 999999 --epoch_begin 0 --epoch_save 1000
  --devices 1 --num_nodes 1 --accelerator gpu --precision bf16 --grad_cp 0)
rm -rf "$work/ours" "$work/theirs"
"$rookery" train "${common[@]}" --proj_dir "$work/ours" --train_stage 1
mkdir -p "$work/theirs"
cp "$work/ours/rwkv-init.pth" "$work/theirs/"
"$rookery" train "${common[@]}" --proj_dir "$work/ours" --train_stage 2 >"$work/ours.log" 2>&1 || { tail "$work/ours.log"; exit 1; }
(cd "$reference" && python3 "$here/reference_losses.py" "$work/theirs.jsonl" "${common[@]}" --proj_dir "$work/theirs" --train_stage 3 \
  --load_model 0 --strategy deepspeed_stage_2 --kernel @rwkv3 --head_chunk 0 >"$work/theirs.log" 2>&1) || tail "$work/theirs.log"
python3 - "$work/ours/metrics.jsonl" "$work/theirs.jsonl" <<'PY'
import json, sys

def losses(path):
    rows = [json.loads(line) for line in open(path)]
    return [r["loss"] for r in rows if "loss" in r]

ours, theirs = losses(sys.argv[1]), losses(sys.argv[2])
n = min(len(ours), len(theirs))
print(f"{len(ours)} steps of ours, {len(theirs)} of the reference; first losses {ours[0]:.4f} {theirs[0]:.4f}")
worst = 0
for first in range(0, n, 100):
    a, b = ours[first:first + 100], theirs[first:first + 100]
    a, b = sum(a[:len(b)]) / len(b), sum(b) / len(b)
    worst = max(worst, abs(a - b))
    print(f"steps {first + 1}-{min(first + 100, n)}: {a:.4f} {b:.4f} difference {a - b:+.4f}")
print(f"largest difference {worst:.4f}:", "within 0.01" if worst <= 0.01 and n > 0 else "NOT within 0.01")
PY
