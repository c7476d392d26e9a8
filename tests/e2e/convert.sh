#!/usr/bin/env bash
# rookery convert and rookery inspect: all formats there and back, checkpoints to weights, damage, refusals.
# shellcheck source=tests/e2e/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$work" || exit 1

# Prints the exit code behind everything that was said.
says_and_code() { local text; text=$("$@" 2>&1); local code=$?; printf '%s [%s]' "$text" $code; }
refuses() {  # refuses WHAT TEXT COMMAND...
  local what=$1 text=$2 said
  shift 2
  said=$(says_and_code "$@")
  check "$what" contains "$said" "$text"
  check "$what: exit code 2" contains "$said" "[2]"
}

make_data data 3000
"$rookery" train --n_layer 2 --n_embd 64 --head_size 32 --vocab_size 64 --data_file data --proj_dir run --ctx_len 32 --micro_bsz 2 --max_steps 3 \
  > train.log 2>&1
check "a run makes a checkpoint" equal $? 0

# One way round all formats.
mkdir a b
check "checkpoint to .pth" "$rookery" convert run a/w.pth
check ".pth to .safetensors" "$rookery" convert a/w.pth w.safetensors
check ".safetensors to .h5" "$rookery" convert w.safetensors w.h5
check ".h5 to .pth" "$rookery" convert w.h5 b/w.pth
for file in a/w.pth w.safetensors w.h5 b/w.pth; do
  "$rookery" inspect "$file" --tensors | grep '^  blocks\|^  emb\|^  head\|^  ln' | sort > "$(tr / _ <<< "$file").list"
done
check "the same tensors in .safetensors" cmp a_w.pth.list w.safetensors.list
check "the same tensors in .h5" cmp a_w.pth.list w.h5.list
check "the same tensors in .pth again" cmp a_w.pth.list b_w.pth.list
"$rookery" convert w.safetensors 1.safetensors
"$rookery" convert b/w.pth 2.safetensors
check "the same bytes after the way round" cmp 1.safetensors 2.safetensors

# Types.
check "to bf16" "$rookery" convert run/step-00000003 half.pth --dtype bf16
check "bf16 is shown" contains "$("$rookery" inspect half.pth)" "bf16"
check "to fp32 and back" "$rookery" convert half.pth wide.safetensors --dtype fp32
"$rookery" convert wide.safetensors half_again.safetensors --dtype bf16
"$rookery" convert half.pth half.safetensors
check "bf16 survives fp32" cmp half.safetensors half_again.safetensors
check "all parts" "$rookery" convert run all.h5 --part all
check "moments are there" contains "$("$rookery" inspect all.h5 --tensors)" "v/emb.weight"
check "for Ai00" "$rookery" convert run w.st --for ai00
check "Ai00 wants fp16" contains "$("$rookery" inspect w.st)" "f16"

# What inspect says of a checkpoint.
said=$("$rookery" inspect run)
check "position" contains "$said" "3 steps"
check "family" contains "$said" "RWKV-7"
check "checksums" contains "$("$rookery" verify run all.h5)" "step-00000003: all checksums are right"
command=$(tail -n 1 <<< "$said")
check "the command that continues" contains "$command" "--resume run/step-00000003"
eval "$rookery ${command#*rookery} --max_steps 5" > continued.log 2>&1
check "it continues" equal $? 0
check "to step 5" exists run/step-00000005

# Damage and refusals.
cp -r run damaged
printf 'XXXX' | dd of=damaged/step-00000005/shard-00000.h5 bs=1 seek=100000 conv=notrunc 2> /dev/null
refuses "a flipped byte" "shard-00000.h5" "$rookery" verify damaged/step-00000005
truncate -s -1 damaged/step-00000005/shard-00000.h5
refuses "a cut shard" "shard-00000.h5 has" "$rookery" convert damaged/step-00000005 x.pth
check "the newest whole one is taken" contains "$("$rookery" convert damaged x.pth 2>&1)" "step-00000005 is skipped"
rm x.pth
printf 'X' | dd of=half.pth bs=1 seek=60000 conv=notrunc 2> /dev/null
refuses "a flipped byte in a .pth" "CRC-32" "$rookery" verify half.pth
refuses "an unknown ending" ".safetensors" "$rookery" convert a/w.pth x.bin
refuses ".st without --for" "--for ai00" "$rookery" convert a/w.pth x.st
refuses "the same file" "the same file" "$rookery" convert a/w.pth a/../a/w.pth
refuses "a part of a file" "--part" "$rookery" convert a/w.pth x.pth --part all
refuses "a folder without checkpoints" "neither" "$rookery" inspect a
refuses "a missing file" "none.pth" "$rookery" inspect none.pth
refuses "an unknown option" "--dtyp" "$rookery" convert a/w.pth x.pth --dtyp fp32
check "refusals leave nothing" gone 'x.*'
finish
