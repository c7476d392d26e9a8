#!/usr/bin/env bash
# Runs the commands of docs/finetune.md as they stand there, and looks at what they show.
. "$(dirname "$0")/lib.sh"
page=$(realpath "$(dirname "$0")/../../docs/finetune.md")
cd "$work" || exit 1
mkdir bin
ln -s "$rookery" bin/rookery
PATH=$work/bin:$PATH

awk '/^```sh$/ { on = 1; next } /^```$/ { on = 0 } on' "$page" > commands
check "the page has commands" test "$(grep -c '^rookery ' commands)" -ge 6
start=$SECONDS
timeout 600 bash -eu commands > shown 2>&1
check "they all succeed" equal $? 0
echo "     $((SECONDS - start)) s"

check "a conversation is shown as on the page" contains "$(cat shown)" "$(grep '^{"conversations":' "$page")"
check "the audit finds nothing" says shown "all promises hold"
check "questions do not count" says peek.txt "-> -"
check "the end of an answer counts" says peek.txt "-> .*<end>"
awk '/^```text$/ { on = 1; next } /^```$/ { on = 0 } on' "$page" | grep -E '^[0-9] plus' > answers
check "the page tells two answers" equal "$(wc -l < answers)" 2
check "the model gives these answers" equal "$(grep -E '^[0-9] plus' shown)" "$(cat answers)"

ask() { rookery generate sums --chat --temperature 0 --prompt "$1" 2> /dev/null; }
right=0
for sum in "0 1 1" "2 9 11" "4 4 8" "5 6 11" "6 3 9" "8 2 10" "9 9 18" "1 7 8"; do
  set -- $sum
  [ "$(ask "What is $1 plus $2?")" = "$1 plus $2 is $3." ] && right=$((right + 1))
done
check "and those to other questions" test $right -ge 7

check "--template names the same form" equal "$(rookery generate sums --template rwkv --temperature 0 --prompt "What is 7 plus 8?" 2> /dev/null)" "7 plus 8 is 15."
check "without a form the text goes on behind the prompt" contains \
  "$(rookery generate sums --temperature 0 --length 40 --prompt $'User: What is 7 plus 8?\n\nAssistant:' 2> /dev/null)" "Assistant: 7 plus 8 is 15."
check "--stop ends before its text" equal "$(rookery generate sums --chat --temperature 0 --stop " is" --prompt "What is 7 plus 8?" 2> /dev/null)" "7 plus 8"
check "first words need a form" contains "$(rookery generate sums --system_prompt x --prompt y 2>&1)" "give --chat or --template"
check "a form needs a question" contains "$(rookery generate sums --chat 2>&1)" "needs a question"
check "an unknown form" contains "$(rookery generate sums --template chatlm --prompt x 2>&1)" "chatml"

# The text of RWKV chat is the same conversation.
rookery data convert train.jsonl text.jsonl --to rwkv > /dev/null
check "as RWKV text" contains "$(head -n 1 text.jsonl)" 'User: What is 0 plus 0?\n\nAssistant: 0 plus 0 is 0.'
marks() { rookery data peek --proj_dir "$1" --tokenizer bytes --dataload only --ctx_len 64 --data_shuffle 0 --loss_mask roles --n_layer 1 --n_embd 32 "${@:2}" | grep -- '->'; }
check "targets are shown" test "$(marks a --data_file text.jsonl --data_type jsonl | grep -c -- '-> [0-9]')" -gt 10
check "the same targets count" equal "$(marks a --data_file text.jsonl --data_type jsonl)" "$(marks b --data_file train.jsonl --data_type sharegpt)"

# Answers that are not the last end with the text that the next question begins with.
for sum in $(seq 0 99); do
  a=$((sum / 10)) b=$((sum % 10))
  echo "{\"messages\": [{\"role\": \"user\", \"content\": \"What is $a plus $b?\"}, {\"role\": \"assistant\", \"content\": \"$a plus $b is $((a + b)).\"}," \
    "{\"role\": \"user\", \"content\": \"And twice?\"}, {\"role\": \"assistant\", \"content\": \"It is $((2 * a + 2 * b)).\"}]}"
done > twice.jsonl
rookery train --config sums.toml --proj_dir twice --data_file twice.jsonl --my_exit_tokens 300000 > /dev/null
check "training on two turns" equal $? 0
answer=$(rookery generate twice --chat --temperature 0 --length 60 --prompt "What is 7 plus 8?" 2> /dev/null)
check "the first answer ends" test -n "$(grep -E '^7 plus 8 is [0-9]+\.$' <<< "$answer")"
check "and nothing follows" one_line "$answer"

# What cannot be used.
printf '{"conversations": [{"from": "human", "value": "x"}]}\n{"conversations": [{"from": "robot", "value": "x"}]}\n' > bad.jsonl
text=$(rookery train --config sums.toml --proj_dir refused --data_file bad.jsonl 2>&1 > /dev/null)
check "a line that cannot be used: exit code" equal $? 2
check "a line that cannot be used: its place" contains "$text" 'bad.jsonl:2:29: the role "robot" is not known'
text=$(rookery data convert bad.jsonl out.jsonl 2>&1)
check "convert: exit code" equal $? 2
check "convert: the place" contains "$text" 'bad.jsonl:2:29: the role "robot" is not known'
check "convert: nothing is left behind" gone "out.jsonl*"
rookery data convert bad.jsonl out.jsonl --on_error skip > /dev/null 2>&1
check "convert: what is left" equal "$(wc -l < out.jsonl)" 1
finish
