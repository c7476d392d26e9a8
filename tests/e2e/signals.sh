#!/usr/bin/env bash
# Stopping a run: Ctrl+C in a pseudo-terminal, signals, `rookery stop`, and what is left behind.
. "$(dirname "$0")/lib.sh"
make_data "$work/data" 40000
small=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --micro_bsz 2 --epoch_steps 1000000
  --max_steps 1000000 --epoch_save 0 --threads 1)
# Steps of several seconds, so that three requests fall into one.
slow=(--data_file "$work/data" --vocab_size 64 --n_layer 12 --n_embd 512 --ctx_len 1024 --micro_bsz 16 --max_steps 1000000 --epoch_save 0
  --threads 1)

# in_terminal FILE RANKS OPTIONS...: a run in a pseudo-terminal whose keyboard is descriptor 9; FILE gets what it shows.
in_terminal() {
  local shown=$1 ranks=$2 line
  shift 2
  line=$(printf '%q ' "$rookery" train --proj_dir "$work/run" --devices "$ranks" "$@")
  rm -rf "$work/run" "$work/keys" "$shown"
  mkfifo "$work/keys"
  script -qefc "$line" "$shown" < "$work/keys" > /dev/null 2>&1 &
  terminal=$!
  exec 9> "$work/keys"
}
ctrl_c() { printf '\003' >&9; }
end_of_terminal() {  # the exit code of the run
  wait "$terminal"
  code=$?
  exec 9>&-
}
in_background() {  # in_background FILE RANKS OPTIONS...
  local shown=$1 ranks=$2
  shift 2
  rm -rf "$work/run" "$shown"
  "$rookery" train --proj_dir "$work/run" --devices "$ranks" "$@" > "$shown" 2>&1 &
  job=$!
}
end_of_job() {
  wait "$job"
  code=$?
}
steps_begin() { wait_for 60 says "$1" "step  *[0-9]\|[0-9]/[0-9]* *[0-9]*%"; }

for ranks in 1 2; do
  in_terminal "$work/shown" $ranks "${small[@]}"
  check "$ranks ranks: the run begins" steps_begin "$work/shown"
  ctrl_c
  end_of_terminal
  check "$ranks ranks, Ctrl+C: exit code" equal $code 75
  check "$ranks ranks, Ctrl+C: notice" says "$work/shown" "the state is saved after the current step"
  check "$ranks ranks, Ctrl+C: saved" exists "$work/run/step-*/manifest.json"
  check "$ranks ranks, Ctrl+C: no record left" gone "$work/run/run.pid"
  check "$ranks ranks, Ctrl+C: no process left" wait_for 5 no_process_of "$work/run"
  "$rookery" train --proj_dir "$work/run" --devices $ranks --resume auto "${small[@]}" --max_steps 1 > "$work/again" 2>&1
  check "$ranks ranks: resumes" says "$work/again" "resumed from"

  in_terminal "$work/shown" $ranks "${slow[@]}"
  check "$ranks ranks, slow: the run begins" wait_for 60 says "$work/shown" "configuration"
  sleep 4
  ctrl_c; sleep 0.3; ctrl_c; sleep 0.3; ctrl_c
  began=$SECONDS
  end_of_terminal
  check "$ranks ranks, third Ctrl+C: exit code" equal $code 130
  check "$ranks ranks, third Ctrl+C: at once" [ $((SECONDS - began)) -le 2 ]
  check "$ranks ranks, second Ctrl+C: notice" says "$work/shown" "once more leaves at once"
  check "$ranks ranks, third Ctrl+C: no process left" wait_for 10 no_process_of "$work/run"

  for signal in TERM HUP USR1; do
    in_background "$work/shown" $ranks "${small[@]}"
    steps_begin "$work/shown"
    kill -$signal $job
    end_of_job
    check "$ranks ranks, SIG$signal: exit code" equal $code 75
    check "$ranks ranks, SIG$signal: saved" exists "$work/run/step-*/manifest.json"
  done

  in_background "$work/shown" $ranks "${small[@]}"
  steps_begin "$work/shown"
  kill -USR2 $job
  check "$ranks ranks, SIGUSR2: saved" wait_for 20 exists "$work/run/step-*/manifest.json"
  check "$ranks ranks, SIGUSR2: goes on" kill -0 $job
  check "$ranks ranks: a second run in the same folder" contains "$("$rookery" train --proj_dir "$work/run" --resume auto "${small[@]}" 2>&1)" \
    "is training in --proj_dir"
  check "$ranks ranks, rookery stop" contains "$("$rookery" stop "$work/run")" "asked process"
  end_of_job
  check "$ranks ranks, rookery stop: exit code" equal $code 75
  check "$ranks ranks, rookery stop: nothing left" gone "$work/run/stop"
  check "a stopped run's folder" contains "$("$rookery" stop "$work/run")" "no run is recorded"

  in_background "$work/shown" $ranks "${small[@]}"
  steps_begin "$work/shown"
  echo > "$work/run/stop"
  end_of_job
  check "$ranks ranks, stop file: exit code" equal $code 75
done

in_background "$work/shown" 2 "${small[@]}"
steps_begin "$work/shown"
kill -KILL "$(pgrep -P $job mpirun)"
end_of_job
check "SIGKILL of mpirun: exit code" equal $code 1
check "SIGKILL of mpirun: no process left" wait_for 5 no_process_of "$work/run"
check "a dead run's folder" contains "$("$rookery" stop "$work/run")" "has ended"

in_background "$work/shown" 2 "${small[@]}"
steps_begin "$work/shown"
kill -KILL $job
end_of_job
check "SIGKILL of the launcher: no process left" wait_for 10 no_process_of "$work/run"

in_background "$work/shown" 2 "${small[@]}"
steps_begin "$work/shown"
kill -KILL "$(read -r pid rest < "$work/run/run.pid"; echo "$pid")"
end_of_job
check "SIGKILL of a rank: exit code" equal $code 1
check "SIGKILL of a rank: no process left" wait_for 10 no_process_of "$work/run"

# Ctrl+Z and fg.
n_steps() { wc -l < "$work/run/metrics.jsonl"; }
in_background "$work/shown" 2 "${small[@]}"
steps_begin "$work/shown"
kill -TSTP $job
sleep 1
before=$(n_steps)
sleep 1
check "Ctrl+Z: stands still" equal "$(n_steps)" "$before"
kill -CONT $job
more_steps() { [ "$(n_steps)" -gt "$before" ]; }
check "fg: goes on" wait_for 20 more_steps
kill -INT $job
end_of_job
check "fg, then Ctrl+C: exit code" equal $code 75

# Under a typed mpirun the ranks have about a second after Ctrl+C: what is promised is the newest complete checkpoint.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
rm -rf "$work/run" "$work/keys" "$work/shown"
mkfifo "$work/keys"
line=$(printf '%q ' mpirun --oversubscribe -n 2 "$rookery" train --proj_dir "$work/run" "${small[@]}" --save_every 5)
script -qefc "$line" "$work/shown" < "$work/keys" > /dev/null 2>&1 &
terminal=$!
exec 9> "$work/keys"
check "typed mpirun: saves" wait_for 60 exists "$work/run/step-*/manifest.json"
ctrl_c
end_of_terminal
check "typed mpirun, Ctrl+C: not finished" [ $code != 0 ]
check "typed mpirun, Ctrl+C: no process left" wait_for 10 no_process_of "$work/run"
"$rookery" train --proj_dir "$work/run" --devices 2 --resume auto "${small[@]}" --max_steps 1 > "$work/again" 2>&1
check "typed mpirun, Ctrl+C: resumes" says "$work/again" "resumed from"
finish
