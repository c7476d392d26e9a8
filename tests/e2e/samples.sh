#!/usr/bin/env bash
# rookery data peek, audit and order: the samples of a run before it is run.
. "$(dirname "$0")/lib.sh"
rookery=$(realpath "$rookery")
cd "$work" || exit 2

for i in $(seq 1 300); do printf '{"text": "document %d of this text, which goes on for a while"}\n' "$((i % 290))"; done > lines.jsonl
"$rookery" data tokenize lines.jsonl -o world > /dev/null
model=(--vocab_size 65536 --n_layer 1 --n_embd 64 --micro_bsz 4 --proj_dir run)

text=$("$rookery" data peek "${model[@]}" --data_file world --ctx_len 40 --dataload pack --sample 2 --count 2)
check "peek: exit code" equal $? 0
check "peek: a header a sample" equal "$(grep -c '^sample [23]: token offset' <<< "$text")" 2
check "peek: padding is one line" contains "$text" "to the end: token 0, no target"
check "peek: a line a token" equal "$("$rookery" data peek "${model[@]}" --data_file world --ctx_len 40 --count 2 | grep -c -- ' -> ')" 80
check "peek: documents begin" contains "$text" "-- a document begins"
check "peek: text" contains "$text" " document"

for dataload in get pad only pack; do
  text=$("$rookery" data audit "${model[@]}" --data_file world --ctx_len 40 --dataload "$dataload")
  check "audit of $dataload: exit code" equal $? 0
  check "audit of $dataload: equal documents" contains "$text" "documents that equal an earlier one: 10 ("
  check "audit of $dataload: promises" contains "$text" "all promises hold"
done
text=$("$rookery" data audit "${model[@]}" --data_file world --ctx_len 40 --dataload pack --val_split 0.2)
check "audit of a split: exit code" equal $? 0
check "audit of a split: nothing is shared" contains "$text" "documents in both training and validation: 0"
text=$("$rookery" data audit "${model[@]}" --data_file world --ctx_len 40 --dataload pack --val_file world 2>&1)
check "audit of shared documents: exit code" equal $? 2
check "audit of shared documents: named" contains "$text" "validation 0 is training 0"

text=$("$rookery" data order --steps 1:3 "${model[@]}" --data_file world --ctx_len 40 --dataload pack)
check "order: a line a sample" equal "$(grep -vc '^#' <<< "$text")" 12
check "order: as peek has it" equal "$(awk '$1 == 1 && $2 == 2 { print $4 }' <<< "$text")" \
  "$("$rookery" data peek "${model[@]}" --data_file world --ctx_len 40 --dataload pack --sample 3 | sed -n 's/^sample 3: token offset \([0-9]*\),.*/\1/p')"
finish
