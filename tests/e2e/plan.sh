#!/usr/bin/env bash
# rookery plan and rookery bench machine, as people call them.
. "$(dirname "$0")/lib.sh"

if "$rookery" plan --n_layer 2 --n_embd 64 > "$work/gpu.log" 2>&1; then
  check "a GPU's run is planned without one" contains "$(cat "$work/gpu.log")" "sum, as nvidia-smi shows it"
  check "its time is told" contains "$(cat "$work/gpu.log")" "tokens/s on each of 1"
  large=$("$rookery" plan --n_layer 32 --n_embd 4096 --ctx_len 4096 --micro_bsz 1 --gpu h200 --memory_limit 23.5)
  check "what does not fit is told by the exit code" equal "$?" 2
  check "with what would" contains "$large" "--grad_cp 1 --zero 2 --offload optimizer"
  # shellcheck disable=SC2046
  "$rookery" plan --n_layer 32 --n_embd 4096 --ctx_len 4096 --micro_bsz 1 --gpu h200 --memory_limit 23.5 \
    $(grep -m 1 -o -- '--grad_cp 1 --zero 2 --offload optimizer' <<<"$large") > "$work/fits.log"
  check "which then does" equal "$?" 0
  check "for any number of ranks" contains "$("$rookery" plan --n_layer 2 --n_embd 64 --ranks 1024 --gpu h100-80)" "1024 ranks on 128 nodes"
  check "as one object for programs" contains "$("$rookery" plan --n_layer 2 --n_embd 64 --json)" '"fits":true'
  refused=$("$rookery" plan --n_layer 2 --n_embd 64 --gpu abacus 2>&1)
  check "an unknown GPU is refused" equal "$?" 2
  check "naming those that are known" contains "$refused" "h100-80"
else
  check "a build without CUDA says so" contains "$(cat "$work/gpu.log")" "this build has no CUDA"
fi

"$rookery" bench machine --cpu --out "$work/machine.json" > /dev/null
check "the machine is measured" equal "$?" 0
cpu=$("$rookery" plan --accelerator cpu --machine "$work/machine.json" --n_layer 2 --n_embd 64 --vocab_size 300 --ctx_len 64 --micro_bsz 2)
check "and a run on its cores is planned with that" contains "$cpu" "predicted step, on CPU (measured)"
unknown=$("$rookery" bench mark 2>&1)
check "other benches are refused" equal "$?" 2
check "in a sentence" one_line "$unknown"
finish
