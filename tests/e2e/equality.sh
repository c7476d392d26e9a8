#!/usr/bin/env bash
# Under real mpirun: 1 to 4 ranks x ZeRO 0 to 3 x accumulation 1, 2 x grad_cp 0, 1 at one global batch are one run (--precision fp64).
. "$(dirname "$0")/lib.sh"
make_data "$work/data" 20000
options=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 32 --head_size 16 --ctx_len 17 --epoch_steps 1000 --epoch_save 0
  --threads 1 --max_steps 20 --warmup_steps 3 --lr_init 2e-3 --weight_decay 0.1 --precision fp64)
train() { # train RUN RANKS ZERO ACCUMULATION GRAD_CP
  "$rookery" train --proj_dir "$work/$1" --devices "$2" --zero "$3" --accumulate_grad_batches "$4" --grad_cp "$5" \
    --micro_bsz $((24 / ($2 * $4))) "${options[@]}" > "$work/$1.log" 2>&1
}
losses() { sed -E 's/^\{"step":([0-9]+),"loss":([^,]+),.*/\2/' "$work/$1/metrics.jsonl"; }
# The double values of a run's final weights, one a line.
weights() {
  local file=$work/$1.safetensors header
  "$rookery" convert "$work/$1/rwkv-final.pth" "$file" > /dev/null || return 1
  header=$(od -An -t u8 -N 8 "$file")
  od -An -v -t f8 -w8 -j $((header + 8)) "$file"
  rm "$file"
}
initial() { cp "$work/$1/rwkv-init.pth" "$work/$1/rwkv-final.pth"; weights "$1"; }
# close LIMIT ROWS < lines of two numbers: norm of the difference over norm of the second column's size (third column: subtracted before).
close() {
  awk -v limit="$1" -v rows="$2" '
    { d += ($1 - $2) ^ 2; n += ($2 - $3) ^ 2 }
    END { r = n > 0 ? sqrt(d / n) : 1; if (NR < rows || !(r <= limit)) { printf "     %d rows, apart by %g\n", NR, r; exit 1 } }'
}
same_losses() { paste -d' ' <(losses "$1") "$work/losses" | close 1e-11 20; }
same_weights() { paste -d' ' <(weights "$1") "$work/weights" "$work/initial" | close 1e-11 20000; }

train reference 1 0 1 0
check "the reference run" equal $? 0
losses reference > "$work/losses"
weights reference > "$work/weights"
initial reference > "$work/initial"
for ranks in 1 2 3 4; do
  for zero in 0 1 2 3; do
    for accumulation in 1 2; do
      for grad_cp in 0 1; do
        run="$ranks-ranks-zero-$zero-accumulation-$accumulation-grad_cp-$grad_cp"
        train "$run" $ranks $zero $accumulation $grad_cp
        check "$run: ends" equal $? 0
        check "$run: losses" same_losses "$run"
        check "$run: weights" same_weights "$run"
        rm -rf "${work:?}/$run"
      done
    done
  done
done
finish
