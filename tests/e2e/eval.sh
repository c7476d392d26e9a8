#!/usr/bin/env bash
# rookery eval: the loss that training has validated, and last words.
. "$(dirname "$0")/lib.sh"
cd "$work" || exit 1
for i in $(seq 60); do printf '{"text": "the sum of %d and %d is %d, says the clerk"}\n' "$i" $((i % 7)) $((i + i % 7)); done > sums.jsonl
options=(--data_file sums.jsonl --data_type jsonl --tokenizer bytes --ctx_len 64 --threads 1)
"$rookery" train --proj_dir run "${options[@]}" --val_split 0.2 --val_every 5 --n_layer 1 --n_embd 32 --head_size 16 --micro_bsz 4 \
  --max_steps 20 --lr_init 1e-2 > shown 2>&1
check "training ends" equal $? 0
check "lines tell the wait for data" grep -qE '^step .* data [0-9.]+%' shown
check "validation tells its perplexity" grep -qE '^.*validation after step 20: loss [0-9.]+, perplexity [0-9.]+' shown

"$rookery" train --proj_dir all "${options[@]}" --val_file sums.jsonl --n_layer 1 --n_embd 32 --head_size 16 --micro_bsz 4 --max_steps 5 > shown 2>&1
check "training ends" equal $? 0
validated=$(sed -n 's/.*validation after step 5: loss \([0-9.]*\),.*/\1/p' shown)
loss() { "$rookery" eval ppl "$@" 2> /dev/null | sed -n 's/^loss \([0-9.]*\) .*/\1/p'; }
check "the loss is the validation's" equal "$(loss all/rwkv-final.pth "${options[@]}")" "$validated"
check "so it is from the folder" equal "$(loss all "${options[@]}" --micro_bsz 3)" "$validated"
check "a missing model" contains "$("$rookery" eval ppl none.pth "${options[@]}" 2>&1)" "none.pth does not exist"
check "missing data" contains "$("$rookery" eval ppl all --data_file none.jsonl --data_type jsonl 2>&1)" "none.jsonl"
check "no words" contains "$("$rookery" eval 2>&1)" "ppl, lambada or logits"

lambada=$("$rookery" eval lambada all/rwkv-final.pth sums.jsonl 2> told)
check "the tokenizer is the run's" equal $? 0
check "last words are scored" grep -qE '^perplexity [0-9.]+  accuracy [0-9.]+  texts 60$' <<< "$lambada"
check "some of them" grep -q 'texts 3$' <<< "$("$rookery" eval lambada all sums.jsonl --max_eval_samples 3 2> /dev/null)"
printf '{"text": "one two"}\n{"text": 3}\n' > broken.jsonl
message=$("$rookery" eval lambada all/rwkv-final.pth broken.jsonl 2>&1)
check "a broken line: exit code" equal $? 2
check "a broken line is named" contains "$message" "broken.jsonl:2:"

check "logits are written" "$rookery" eval logits all/rwkv-final.pth "1 2 3" logits.safetensors --tokenizer ids
check "one row a token" grep -qE 'logits.*3, *257' <<< "$("$rookery" inspect logits.safetensors --tensors)"
finish
