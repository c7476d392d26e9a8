#!/usr/bin/env bash
# Fresh weights, a short training with two ranks, and text from every kind of file that comes of it.
. "$(dirname "$0")/lib.sh"
make_data "$work/data" 5000
cd "$work" || exit 1
sizes=(--n_layer 2 --n_embd 64 --head_size 32 --vocab_size 64)

for precision in fp32 bf16 fp16 fp64; do
  check "init in $precision" contains "$("$rookery" init "${sizes[@]}" --precision $precision $precision.pth)" "wrote $precision.pth"
done
check "a bf16 file is half as large" [ $(($(stat -c %s bf16.pth) * 3 / 2)) -lt "$(stat -c %s fp32.pth)" ]
mkdir again
"$rookery" init "${sizes[@]}" again/fp32.pth > /dev/null  # a .pth holds its own name
check "init gives the same file again" cmp -s fp32.pth again/fp32.pth
"$rookery" init "${sizes[@]}" --random_seed 7 other.pth > /dev/null
check "another seed gives another file" test "$(cksum < other.pth)" != "$(cksum < fp32.pth)"
check "init grows a vocabulary" contains "$("$rookery" init "${sizes[@]}" --vocab_size 96 --load_model fp32.pth grown.pth)" "wrote grown.pth"
"$rookery" train --train_stage 1 --proj_dir stage1 "${sizes[@]}" > /dev/null
mkdir named
"$rookery" init "${sizes[@]}" named/rwkv-init.pth > /dev/null
check "stage 1 writes what init writes" cmp -s stage1/rwkv-init.pth named/rwkv-init.pth
"$rookery" init --load_model fp32.pth named/fp32.pth > /dev/null
check "a file alone tells all sizes" cmp -s fp32.pth named/fp32.pth
check "channels cannot be resized" contains "$("$rookery" init --load_model fp32.pth --n_embd 128 x.pth 2>&1)" "only the number of rows"
check "init has no schedule" contains "$("$rookery" init "${sizes[@]}" --lr_init 1e-3 x.pth 2>&1)" "--lr_init has no meaning"
check "init needs a vocabulary" contains "$("$rookery" init x.pth 2>&1)" "--vocab_size"

"$rookery" train --proj_dir run --data_file data --load_model fp32.pth --devices 2 --ctx_len 64 --micro_bsz 2 --max_steps 8 \
  --lr_init 1e-2 --threads 1 > shown 2>&1
check "training ends" equal $? 0

text() { "$rookery" generate "$@" --tokenizer ids --prompt "1 2 3" --length 20 2> /dev/null; }
final=$(text run/rwkv-final.pth --seed 5)
check "twenty tokens behind the prompt" equal "$(wc -w <<< "$final")" 23
check "the same seed gives the same text" equal "$(text run/rwkv-final.pth --seed 5)" "$final"
check "so do other thread counts" equal "$(text run/rwkv-final.pth --seed 5 --threads 1)" "$final"
check "so does the checkpoint folder" equal "$(text run/step-00000008 --seed 5)" "$final"
check "so does the newest in proj_dir" equal "$(text run --seed 5)" "$final"
check "another seed gives another text" test "$(text run/rwkv-final.pth --seed 6)" != "$final"
check "temperature 0 ignores the seed" equal "$(text run --temperature 0 --seed 1)" "$(text run --temperature 0 --seed 2)"
check "a token that does not exist" contains "$("$rookery" generate run --tokenizer ids --prompt "64" 2>&1)" "the token 64"
check "a file that does not exist" contains "$("$rookery" generate none.pth 2>&1)" "none.pth does not exist"
check "an unknown tokenizer" contains "$("$rookery" generate run 2>&1)" "--tokenizer"

"$rookery" init --n_layer 1 --n_embd 32 --head_size 16 --vocab_size 257 bytes.pth > /dev/null
"$rookery" generate bytes.pth --prompt "Grüße " --length 200 --ignore_end > text 2> speed
check "the output is UTF-8" iconv -f UTF-8 -t UTF-8 -o /dev/null text
check "the prompt comes first" contains "$(head -c 20 text)" "Grüße"
check "the speed is told" contains "$(cat speed)" "tokens/s"
finish
