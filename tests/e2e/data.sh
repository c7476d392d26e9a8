#!/usr/bin/env bash
# rookery data: text to tokens, what it says about them, and what it refuses.
. "$(dirname "$0")/lib.sh"
rookery=$(realpath "$rookery")
cd "$work" || exit 2

says_all() {  # says_all TEXT PART...
  local text=$1 part
  shift
  for part in "$@"; do contains "$text" "$part" || return 1; done
}
refused() {  # refused WHAT PART COMMAND...: exit code 2, one line on standard error that holds PART
  local what=$1 part=$2 text code
  shift 2
  text=$("$@" 2>&1 > /dev/null)
  code=$?
  check "$what: exit code" equal $code 2
  check "$what: one sentence" one_line "$text"
  check "$what: names it" contains "$text" "$part"
}

for i in $(seq 1 200); do printf '{"text": "document %d of this text, which goes on for a while", "n": %d}\n' "$i" "$i"; done > lines.jsonl
printf 'one document\nof two lines\n' > a.txt

text=$("$rookery" data tokenize lines.jsonl a.txt -o world --ctx_len 16 --threads 2)
check "tokenize: exit code" equal $? 0
check "tokenize: report" says_all "$text" "201 documents" "u16" "--data_file world" "--vocab_size 65536" "--magic_prime" "--my_exit_tokens"
check "no progress line without a terminal" equal "$("$rookery" data tokenize a.txt -o quiet 2>&1 > /dev/null)" ""
"$rookery" data tokenize lines.jsonl a.txt -o world1 --threads 1 > /dev/null
check "threads: same tokens" cmp world.bin world1.bin
check "threads: same index" cmp world.idx world1.idx

text=$("$rookery" data info world --scan)
check "info" says_all "$text" "201 documents" "largest token" "--ctx_len 4096"
check "info of one length" contains "$("$rookery" data info world.bin --ctx_len 16)" "--ctx_len 16 --magic_prime"
check "prime of tokens" contains "$("$rookery" data prime 1498226207 --ctx_len 512)" "--magic_prime 2926181 "
check "prime of data" equal "$("$rookery" data prime world --ctx_len 16)" "$("$rookery" data info world --ctx_len 16 | tail -n 1)"

"$rookery" data tokenize - -o stdin --tokenizer bytes < a.txt > /dev/null
check "bytes of standard input" equal "$(od -An -v -tu2 -w2 stdin.bin | head -n 3 | tr -d ' \n')" "111110101"
"$rookery" data tokenize lines.jsonl -o chars --tokenizer char > /dev/null
check "characters" contains "$(cat chars.vocab.json)" '{"0": " ", "1": ",", '
"$rookery" data tokenize lines.jsonl -o again --tokenizer char:chars.vocab.json > /dev/null
check "characters reused" cmp chars.bin again.bin
printf '{"<|end|>": 65532}' > special.json
printf 'a<|end|>' > special.txt
"$rookery" data tokenize special.txt -o special --special_tokens special.json > /dev/null
check "special tokens" equal "$(od -An -v -tu2 special.bin | tr -s ' ')" " 98 65532 0"

mkdir -p folder/below
cp lines.jsonl folder/below/b.jsonl && cp a.txt folder/z.txt && echo no > folder/readme.md
"$rookery" data tokenize folder -o folded --workers 2 > /dev/null
check "a folder is its files, sorted" cmp world.bin folded.bin
"$rookery" data tokenize - --stdin jsonl -o piped < lines.jsonl > /dev/null
"$rookery" data tokenize lines.jsonl -o named > /dev/null
check "lines of standard input" cmp piped.bin named.bin
{ cat lines.jsonl; printf '{"text": 5}\n\n{"tex": "a"}\nno\n'; } > holes.jsonl
text=$("$rookery" data tokenize holes.jsonl -o holes --on_error skip 2>&1)
check "lines left out: report" says_all "$text" "3 lines or files could not be used" "holes.jsonl:201:10: " "holes.jsonl:203:1: " "holes.jsonl:204:1: "
check "lines left out: the others stay" cmp holes.bin named.bin
check "on_error=skip is no other file" cmp holes.idx named.idx

# killed at any time, the same command goes on
for _ in $(seq 1 3000); do cat lines.jsonl; done > large.jsonl
"$rookery" data tokenize large.jsonl -o whole > /dev/null
for _ in 1 2 3; do
  "$rookery" data tokenize large.jsonl -o killed --journal_s 0 > /dev/null &
  pid=$!
  until [ -e killed.journal ] || ! kill -0 $pid 2> /dev/null; do sleep 0.02; done
  sleep 0.1
  kill -9 $pid
  wait $pid 2> /dev/null
done
check "killed: nothing under the final names" gone "killed.bin"
text=$("$rookery" data tokenize large.jsonl -o killed --journal_s 0)
check "killed: goes on" contains "$text" "goes on behind"
check "killed: same tokens" cmp killed.bin whole.bin
check "killed: same index" cmp killed.idx whole.idx
check "killed: nothing else is left" gone "killed.*[lp]"
rm large.jsonl whole.* killed.*

printf '"bare"\n{"text": ["a", "b"]}\n{"text": ""}\n' > loose.jsonl
"$rookery" data preprocess_data.py --input loose.jsonl --output-prefix loose --vocab-file 20B_tokenizer.json --tokenizer-type HFTokenizer 2> told > /dev/null
check "preprocess_data: a vocabulary file that is missing" contains "$(cat told)" "20B_tokenizer.json"
"$rookery" data preprocess_data.py --input loose.jsonl --output-prefix loose --dataset-impl mmap --tokenizer-type HFTokenizer --append-eod --workers 2 > /dev/null
check "preprocess_data: tokens" equal "$(od -An -v -tu2 loose_text_document.bin | tr -s ' ' | tr -d '\n')" " 39517 0 66 187 187 67 0"
"$rookery" data preprocess_data --input loose.jsonl --output-prefix wide --tokenizer-type RWKVTokenizer > /dev/null
check "preprocess_data: world is 32 bits wide" contains "$("$rookery" data info wide_text_document)" "i32"
RWKV_VOCAB=20B "$rookery" data preprocess_data --input loose.jsonl --output-prefix env --append-eod > /dev/null
check "RWKV_VOCAB" cmp env_text_document.bin loose_text_document.bin
"$rookery" data tokenize a.txt -o neox --tokenizer neox > /dev/null
check "neox" contains "$("$rookery" data info neox --scan)" "u16"

"$rookery" data split world --share 0.1 > /dev/null
check "split" says_all "$("$rookery" data verify world-val world-train --vocab_size 65536)" "20 documents" "181 documents" "intact"
"$rookery" data concat both world-train world-val > /dev/null
check "concat" contains "$("$rookery" data verify both)" "201 documents"

mkdir old && cd old || exit 2
check "make_data" says_all "$("$rookery" data make_data ../lines.jsonl 3 16)" "600 documents" "--shuffle_seed 42"
"$rookery" data tokenize ../lines.jsonl -o new --n_epoch 3 --shuffle_seed 42 > /dev/null
check "make_data is tokenize with passes" cmp lines.bin new.bin
mv lines.bin first.bin
"$rookery" data make_data.py ../lines.jsonl 3 16 > /dev/null
check "make_data.py" cmp lines.bin first.bin
cd .. || exit 2

printf '{"text": "fine"}\n{"text": "cut' > bad.jsonl
cp world.bin kept.bin
refused "damaged line" "bad.jsonl:2:14: " "$rookery" data tokenize lines.jsonl bad.jsonl -o world
check "older data is kept" cmp world.bin kept.bin
check "nothing else is left" gone "*.tmp"
printf '{"normalizer": {"type": "NFKC"}, "model": {}}' > nfkc.json
printf 'a\351b' > latin.txt
mkdir old/none
head -c 100 world.bin > cut.bin && cp world.idx cut.idx
printf '{"0": "x"}' > only_x.json
refused "unknown character" "U+006F" "$rookery" data tokenize a.txt -o x --tokenizer char:only_x.json
refused "unknown tokenizer" "no_such" "$rookery" data tokenize a.txt -o x --tokenizer no_such
refused "vocabulary of another tokenizer" "--vocab" "$rookery" data tokenize a.txt -o x --tokenizer bytes --vocab world.txt
refused "characters of standard input" "once only" "$rookery" data tokenize - -o x --tokenizer char
refused "unknown ending" "x.csv" "$rookery" data tokenize x.csv -o x
refused "missing input" "none.txt" "$rookery" data tokenize none.txt -o x
refused "ftfy" "--ftfy" "$rookery" data preprocess_data --input lines.jsonl --output-prefix x --ftfy
refused "cached data" "mmap" "$rookery" data preprocess_data --input lines.jsonl --output-prefix x --dataset-impl cached
refused "a normaliser" "NFKC" "$rookery" data tokenize a.txt -o x --tokenizer nfkc.json
refused "text that is no UTF-8" "byte 1: invalid UTF-8" "$rookery" data tokenize latin.txt -o x --tokenizer neox
refused "an empty folder" "holds no .txt" "$rookery" data tokenize old/none -o x
refused "cut tokens" "cut.bin" "$rookery" data verify cut
refused "share" "--share 2" "$rookery" data split world --share 2
refused "no output" "--output" "$rookery" data tokenize a.txt
refused "no subcommand" "data" "$rookery" data
refused "unknown option" "--thread" "$rookery" data tokenize a.txt -o x --thread 1
refused "threads" "--threads 0" "$rookery" data tokenize a.txt -o x --threads 0
refused "missing data" "none.bin" "$rookery" data info none
refused "too little data" "48 tokens" "$rookery" data prime 40 --ctx_len 16
check "refused runs leave nothing" gone "x.*"
finish
