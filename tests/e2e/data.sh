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

mkdir old && cd old || exit 2
check "make_data" says_all "$("$rookery" data make_data ../lines.jsonl 3 16)" "600 documents" "--shuffle_seed 42"
"$rookery" data tokenize ../lines.jsonl -o new --n_epoch 3 --shuffle_seed 42 > /dev/null
check "make_data is tokenize with passes" cmp lines.bin new.bin
cd .. || exit 2

printf '{"text": "fine"}\n{"text": "cut' > bad.jsonl
cp world.bin kept.bin
refused "damaged line" "bad.jsonl:2:14: " "$rookery" data tokenize lines.jsonl bad.jsonl -o world
check "older data is kept" cmp world.bin kept.bin
check "nothing else is left" gone "*.tmp"
printf '{"0": "x"}' > only_x.json
refused "unknown character" "U+006F" "$rookery" data tokenize a.txt -o x --tokenizer char:only_x.json
refused "unknown tokenizer" "no_such" "$rookery" data tokenize a.txt -o x --tokenizer no_such
refused "vocabulary of another tokenizer" "--vocab" "$rookery" data tokenize a.txt -o x --tokenizer bytes --vocab world.txt
refused "characters of standard input" "once only" "$rookery" data tokenize - -o x --tokenizer char
refused "unknown ending" "x.csv" "$rookery" data tokenize x.csv -o x
refused "missing input" "none.txt" "$rookery" data tokenize none.txt -o x
refused "no output" "--output" "$rookery" data tokenize a.txt
refused "no subcommand" "data" "$rookery" data
refused "unknown option" "--thread" "$rookery" data tokenize a.txt -o x --thread 1
refused "threads" "--threads 0" "$rookery" data tokenize a.txt -o x --threads 0
refused "missing data" "none.bin" "$rookery" data info none
refused "too little data" "48 tokens" "$rookery" data prime 40 --ctx_len 16
check "refused runs leave nothing" gone "x.*"
finish
