#!/usr/bin/env bash
# tests/bench/peer/run.sh PYTHON_WITH_TORCH [STEPS [VOCAB...]]: `rookery train` beside eager PyTorch, and 2 ranks beside 1, on this machine.
# L6-D512, ctx 512, batch 4 a rank, fp32, one thread a rank. Tokens/s are medians over the steps after the third; data, clipping,
# optimizer and logs are on. Memory is the highest resident size of one process.
set -euo pipefail
python=${1:?usage: tests/bench/peer/run.sh PYTHON_WITH_TORCH [STEPS [VOCAB...]]}
steps=${2:-50}
vocabularies=("${@:3}")
[ ${#vocabularies[@]} -gt 0 ] || vocabularies=(256 65536)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

le() { # little-endian: VALUE BYTES
  local value=$1 i
  for ((i = 0; i < $2; ++i)); do
    printf '%b' "\\x$(printf %02x $((value & 255)))"
    value=$((value >> 8))
  done
}
# A million random tokens below $1, seeded, as binidx.
make_data() {
  "$python" -c "
import random, struct, sys
random.seed(1)
sys.stdout.buffer.write(b''.join(struct.pack('<H', random.randrange($1)) for _ in range(1000000)))" > "$work/data.bin"
  { printf 'MMIDIDX\0\0'; le 1 8; le 8 1; le 1 8; le 2 8; le 1000000 4; le 0 8; le 0 8; le 1 8; } > "$work/data.idx"
}
ours() { # RANKS VOCAB
  rm -rf "$work/run"
  /usr/bin/env time -f '%M' -o "$work/peak" "$here/build/release/bin/rookery" train --data_file "$work/data" --proj_dir "$work/run" \
    --vocab_size "$2" --n_layer 6 --n_embd 512 --ctx_len 512 --micro_bsz 4 --max_steps $((steps + 3)) --threads 1 --devices "$1" \
    --epoch_save 0 --weight_decay 0.1 > "$work/log"
  local speed
  speed=$(sed -nE 's/.*"tokens_per_s":([^,]+),.*/\1/p' "$work/run/metrics.jsonl" | tail -n "$steps" | sort -g |
    awk '{ x[NR] = $1 } END { print (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2 }')
  printf 'rookery, %s rank(s) of one thread, vocabulary %s: %.1f tokens/s (median of %s steps), peak %d MiB\n' "$1" "$2" "$speed" "$steps" \
    $(($(cat "$work/peak") / 1024))
}

grep -m 1 'model name' /proc/cpuinfo
nproc
for vocab in "${vocabularies[@]}"; do
  make_data "$vocab"
  ours 1 "$vocab"
  OMP_NUM_THREADS=1 "$python" "$here/tests/bench/peer/torch_rwkv7.py" --threads 1 --steps "$steps" --vocab_size "$vocab"
  ours 2 "$vocab"
done
