#!/usr/bin/env bash
# Refused command lines: exit code 2 and one sentence, alone and under mpirun.
. "$(dirname "$0")/lib.sh"
make_data "$work/data" 5000

refused() {  # refused WHAT PART COMMAND...: exit code 2, one line on standard error that holds PART, nothing left behind
  local what=$1 part=$2 text code
  shift 2
  text=$("$@" 2>&1 > /dev/null)
  code=$?
  check "$what: exit code" equal $code 2
  check "$what: one sentence" one_line "$text"
  check "$what: names it" contains "$text" "$part"
}

train=("$rookery" train --proj_dir "$work/run")
refused "unknown option" "--n_layer" "${train[@]}" --n_layers 3
refused "unknown option with ranks" "--n_layer" "${train[@]}" --devices 2 --n_layers 3
refused "malformed value" "--micro_bsz many" "${train[@]}" --micro_bsz many
refused "missing data" "$work/none.idx" "${train[@]}" --data_file "$work/none"
refused "missing data with ranks" "$work/none.idx" "${train[@]}" --devices 2 --data_file "$work/none"
refused "missing weights" "$work/none.pth" "${train[@]}" --data_file "$work/data" --load_model "$work/none.pth"
refused "absent feature" "--peft lora" "${train[@]}" --data_file "$work/data" --peft lora
refused "fp16 on the CPU" "fp16" "${train[@]}" --data_file "$work/data" --precision 16
refused "two spellings" "contradict" "${train[@]}" --data_file "$work/data" --zero 1 --strategy deepspeed_stage_2
refused "unknown command" "no command 'trian'" "$rookery" trian
refused "stop without a run's folder" "not a folder" "$rookery" stop "$work/none"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
refused "ranks that do not fit" "--devices 3" mpirun --quiet --oversubscribe -n 2 "${train[@]}" --data_file "$work/data" --devices 3
check "nothing was made" gone "$work/run"

help=$("$rookery" train --help)
check "help" contains "$help" "--micro_bsz"
check "help of everything" contains "$("$rookery" train --help-all)" "--ds_bucket_mb"
check "version" contains "$("$rookery" --version)" "rookery "
finish
