#!/usr/bin/env bash
# Runs that are hurt: ranks killed or stopped, writes of checkpoints cut off, hosts crashed, without power or network, full disks.
#   faults.sh ROOKERY [--runs N] [--seed S] [--only KIND,KIND...]
# N runs of every kind (1 unless said otherwise), with the random numbers of seeds S, S + 1, ...: the line of a
# run names its seed, and "--runs 1 --seed SEED --only KIND" makes it again. The last lines are the table of docs/reliability.md.
# A run must end or start again by itself within 30 s (60 s if a host was lost), leave no process behind and lose no complete checkpoint;
# its newest checkpoint must be readable, and its final weights those of the undisturbed run, bit by bit.
# What it mounts is seen by it and its nodes alone, and goes when they go.
if [ -z "${own_mounts:-}" ] && unshare --mount true 2> /dev/null; then own_mounts=1 exec unshare --mount --propagation slave bash "$0" "$@"; fi
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
n_runs=1 first_seed=1
kinds=(rank rank_of_two snapshot partner stop write crash poweroff cut alone headless disk disk_of_one)
shift
while [ $# -ge 2 ]; do
  case $1 in
    --runs) n_runs=$2 ;;
    --seed) first_seed=$2 ;;
    --only) IFS=, read -ra kinds <<< "$2" ;;
    *) break ;;
  esac
  shift 2
done
[ $# = 0 ] || { echo "unknown words $*; see the head of $0"; exit 2; }
needs nodes
cd "$work" || exit 1
make_data "$work/data" 40000
make_secret "$work/secret"
common=(--data_file "$work/data" --threads 1 --comm_timeout 8 --global_bsz 4)
steps=300
small=("${common[@]}" "${tiny[@]}" --max_steps "$steps" --save_every 20)
# The same bits on one node and on two.
summed=("${small[@]}" --deterministic_reduce 1)
# Its checkpoints take about as long as its steps.
large=("${common[@]}" "${tiny[@]}" --n_layer 4 --n_embd 192 --max_steps 24 --save_every 1)
keep_last=3
declare -A reference_of=([write]=large [partner]=summed [crash]=summed [poweroff]=summed [cut]=summed) # small for all others

now_ms() { date +%s%3N; }
pick() { picked=$(((RANDOM * 32768 + RANDOM) % $1)); } # not $(...): a subshell has random numbers of its own
pause_ms() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }
seconds() { printf '%d.%d' $(($1 / 1000)) $(($1 % 1000 / 100)); }
remember() { count[$kind $1]=$((${count[$kind $1]:-0} + ${2:-1})); }
declare -A count longest

# What the run under test is: folder, options, nodes, process ids of the launchers.
starts() { # starts NODES ARGUMENTS-OF-LAUNCH... -- OPTIONS...
  local n=$1 arguments=() node
  shift
  while [ "$1" != -- ]; do
    arguments+=("$1")
    shift
  done
  launchers=()
  for ((node = 0; node < n; node++)); do
    launch $node "$log.$node" --nproc_per_node $((2 / n)) "${arguments[@]}" -- train --proj_dir "$dir" --keep_last $keep_last "${@:2}" &
    launchers+=($!)
  done
}
rank_pids() { pgrep -f -- "^$rookery train .*--proj_dir $dir "; }
rank_pid() { # rank_pid RANK
  local pid
  for pid in $(rank_pids); do
    if tr '\0' '\n' 2> /dev/null < "/proc/$pid/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1"; then echo "$pid"; fi
  done
}
running() { [ -n "$(rank_pids)" ]; }
over() { # whether these launchers have ended
  local pid
  for pid in "$@"; do if kill -0 "$pid" 2> /dev/null; then return 1; fi; done
}
restarted_or_over() { says "$log.0" "restart [0-9]* of" || over "${launchers[@]}"; }
step_folders() { find "$1" -maxdepth 1 -name 'step-????????' -printf '%f\n' 2> /dev/null | sort; }

# Looks at the complete checkpoints all the time: the newest never gets older, and none vanishes without a newer one.
watch_checkpoints() {
  local newest='' most=0 now=()
  while kill -0 $$; do # as long as this test
    mapfile -t now < <(step_folders "$dir")
    if [ ${#now[@]} -lt $most ]; then echo "${#now[@]} complete ones after $most" >> "$log.lost"; fi
    if [ ${#now[@]} != 0 ]; then
      if [[ ${now[-1]} < "$newest" ]]; then echo "${now[-1]} is the newest after $newest" >> "$log.lost"; fi
      newest=${now[-1]}
    fi
    most=$((${#now[@]} < keep_last ? ${#now[@]} : keep_last))
    sleep 0.05
  done
}
newest_is_readable() {
  local newest
  while newest=$(step_folders "$dir" | tail -n 1) && [ -n "$newest" ]; do
    if "$rookery" verify "$dir/$newest" > "$log.verify" 2>&1; then return; fi
    if [ -e "$dir/$newest" ]; then return 1; fi # otherwise newer ones have taken its place
  done
}

# wrong WHAT: this run has a fault; says it once.
wrong() {
  echo "FAIL $kind, seed $seed: $1"
  failures=$((failures + 1))
  good=0
}

# The fault has happened: within LIMIT s the run must end or begin again. Fills noticed_ms.
must_notice() { # must_notice LIMIT COMMAND...: until COMMAND succeeds
  local limit=$1 since
  since=$(now_ms)
  shift
  if wait_for $((limit + 20)) "$@"; then
    noticed_ms=$(($(now_ms) - since))
    [ $noticed_ms -le $((limit * 1000)) ] || wrong "noticed only after $(seconds $noticed_ms) s"
  else
    wrong "hangs"
    nodes crash n0
    nodes crash n1
  fi
  if [ $noticed_ms -gt "${longest[$kind]:-0}" ]; then longest[$kind]=$noticed_ms; fi
  if newest_is_readable; then remember readable; else wrong "newest checkpoint: $(cat "$log.verify")"; fi
}
# The launchers end, with CODE.
must_end() { # must_end CODE PID...
  local code=$1 pid got
  shift
  if ! wait_for 180 over "$@"; then
    wrong "does not end"
    nodes crash n0
    nodes crash n1
  fi
  for pid in "$@"; do
    got=0
    wait "$pid" || got=$?
    [ $got = "$code" ] || wrong "exit code $got and not $code"
  done
}
no_process() { ! pgrep -f -- "--proj_dir $dir " > /dev/null; }
nothing_left() { if wait_for "${1:-10}" no_process; then remember ended; else wrong "processes are left"; fi; }
same_result() {
  local reference=${reference_of[$kind]:-small}
  if [ "$(numbers "$dir")" = "$(numbers "$work/$reference")" ] && cmp -s "$dir/rwkv-final.pth" "$work/$reference/rwkv-final.pth"; then
    remember same
  else
    wrong "losses or weights differ"
  fi
}

# A random moment of a run of STEPS steps: while it starts, in one run out of eight, or in the step after a random one.
random_moment() { # random_moment STEPS
  hurt_step=-1
  wait_for 60 running
  pick 8
  if [ $picked = 0 ]; then
    pick 2000
    moment="$picked ms after the start of ranks"
  else
    pick "$1"
    hurt_step=$picked
    pick 50
    moment="$picked ms after step $hurt_step"
    until past_step "$dir" "$hurt_step" || ! running; do sleep 0.02; done
  fi
  pause_ms "$picked"
}
# SIGKILL or SIGSTOP of a random rank.
hurt_rank() {
  local rank pid
  random_moment "$steps"
  pick 2
  rank=$picked
  pid=$(rank_pid "$rank")
  what="SIG$1 of rank $rank"
  if [ -n "$pid" ] && kill "-$1" "$pid" 2> /dev/null; then
    remember hurt
    must_notice 30 restarted_or_over
  else
    what="too late for $what"
  fi
}
hurt_host() { # hurt_host crash|poweroff|cut NODE COMMAND...: within 60 s COMMAND must succeed
  random_moment "$steps"
  what="$1 of $2"
  if running; then remember hurt; else what="too late for $what"; fi
  nodes "$1" "$2"
  must_notice 60 "${@:3}"
}
must_say() { # must_say NODE WORDS: if it was hurt
  case $what in "too late"*) return ;; esac
  says "$log.$1" "$2" || wrong "node $1 does not say what happened"
}
# Two nodes again, whatever has become of them, and the run continued by hand.
by_hand() {
  nodes down
  nodes up 2
  starts 2 --nnodes 2 -- "$@" --resume auto
  must_end 0 "${launchers[@]}"
}

run_rank() {
  starts 1 --nnodes 1 --max_restarts 3 -- "${small[@]}"
  hurt_rank KILL
  must_end 0 "${launchers[@]}"
  nothing_left
  same_result
}
run_rank_of_two() {
  starts 2 --nnodes 2 --max_restarts 3 -- "${small[@]}"
  hurt_rank KILL
  must_end 0 "${launchers[@]}"
  nothing_left
  same_result
}
run_snapshot() { # goes on from a copy in each host's memory
  starts 2 --nnodes 2 --max_restarts 3 -- "${small[@]}" --save_every 100 --snapshot_every 5
  hurt_rank KILL
  if [ $((hurt_step % 100)) -ge 25 ] && [ $((hurt_step % 100)) -le 80 ]; then # no checkpoint has just been written
    wait_for 60 says "$log.0" "resumed from /dev/shm/" || wrong "does not go on from a snapshot"
  fi
  must_end 0 "${launchers[@]}"
  nothing_left
  same_result
}
run_stop() {
  starts 2 --nnodes 2 --max_restarts 3 -- "${small[@]}"
  hurt_rank STOP
  must_end 0 "${launchers[@]}"
  nothing_left
  same_result
}
run_write() { # one rank, or both at once
  local step victims
  starts 1 --nnodes 1 --max_restarts 3 -- "${large[@]}"
  pick 22
  step=$((1 + picked))
  pick 60
  moment="$picked ms into the write of step $step"
  until exists "$dir/step-$(printf %08d $step)*" || over "${launchers[@]}"; do sleep 0.01; done
  pause_ms "$picked"
  pick 3
  if [ $picked = 2 ]; then victims=$(rank_pids); else victims=$(rank_pid $picked); fi
  what="SIGKILL of $(wc -w <<< "$victims") ranks"
  # shellcheck disable=SC2086
  if [ -n "$victims" ] && kill -KILL $victims 2> /dev/null; then
    remember hurt
    if exists "$dir/step-*.tmp"; then remember in_write; fi
    must_notice 30 restarted_or_over
  fi
  must_end 0 "${launchers[@]}"
  nothing_left
  same_result
}
elastic() { # elastic crash|poweroff|cut OPTIONS...: node 1 is lost, node 0 goes on alone
  starts 2 --nnodes 1:2 --max_restarts 3 -- "${summed[@]}" "${@:2}"
  hurt_host "$1" n1 restarted_or_over
  must_end 0 "${launchers[0]}"
  nothing_left 30
  same_result
  nodes down
  nodes up 2
}
run_crash() { elastic crash; }
run_partner() { # what only the lost host's memory would have held, its partner has, too
  elastic crash --save_every 100 --snapshot_every 5 --snapshot_partner 1
  if [ $((hurt_step % 100)) -ge 40 ] && [ $((hurt_step % 100)) -le 80 ]; then # no checkpoint has just been written
    says "$log.0" "resumed from /dev/shm/" || wrong "does not go on from its partner's snapshot"
  fi
}
run_poweroff() { elastic poweroff; }
run_cut() { elastic cut; }
run_alone() { # node 1 without power, and both are needed: node 0 ends with a sentence
  starts 2 --nnodes 2 --max_restarts 3 -- "${small[@]}"
  hurt_host poweroff n1 over "${launchers[0]}"
  must_say 0 "node 1 .* is lost"
  nothing_left 30
  by_hand "${small[@]}"
  same_result
}
run_headless() { # node 0 without power: node 1 ends with a sentence
  starts 2 --nnodes 2 --max_restarts 3 -- "${small[@]}"
  hurt_host poweroff n0 over "${launchers[1]}"
  must_say 1 "node 0 is lost"
  nothing_left 30
  by_hand "${small[@]}"
  same_result
}
told_and_freed() { says "$log.0" "saves again at the next interval" && rm "$disk/ballast"; }
run_disk() { # a disk that both nodes share fills up for a while
  starts 2 --nnodes 2 -- "${small[@]}" --save_every 5
  wait_for 60 past_step "$dir" 1
  random_moment $((steps - 120)) # the last save is to find room again
  what="disk full"
  head -c 100m /dev/zero > "$disk/ballast" 2> /dev/null
  remember hurt
  must_notice 30 told_and_freed
  must_end 0 "${launchers[@]}"
  nothing_left
  same_result
}

run_disk_of_one() { # the disk for snapshots of node 1 is too small: only snapshots suffer
  moment="from the start"
  what="full disk for snapshots"
  mkdir "$dir.local"
  nodes disk n1 "$dir.local" 100k
  starts 2 --nnodes 2 -- "${small[@]}" --snapshot_every 5 --snapshot_dir "$dir.local"
  wait_for 60 past_step "$dir" 10
  remember hurt
  must_notice 30 says "$log.0" "snapshot of step .* was given up"
  must_end 0 "${launchers[@]}"
  nothing_left
  same_result
}

# Mounted before the nodes start: they see what is there then.
disk=$work/disk
mkdir "$disk"
mount -t tmpfs -o size=10m tmpfs "$disk"
trap 'nodes down; umount "$disk"; rm -rf "$work"' EXIT

nodes up 2
mapfile -t references < <(for kind in "${kinds[@]}"; do echo "${reference_of[$kind]:-small}"; done | sort -u)
for reference in "${references[@]}"; do
  declare -n options=$reference
  dir=$work/$reference log=$work/$reference
  starts 1 --nnodes 1 -- "${options[@]}"
  wait_for 60 running
  began=$(now_ms)
  kind=$reference good=1 seed=0
  must_end 0 "${launchers[@]}"
  echo "     undisturbed, $reference: $(seconds $(($(now_ms) - began))) s with ranks"
done

for kind in "${kinds[@]}"; do
  for ((seed = first_seed; seed < first_seed + n_runs; seed++)); do
    RANDOM=$(cksum <<< "$kind $seed" | cut -d' ' -f1) # kinds with one seed do not meet in one moment
    dir=$work/run-$kind-$seed log=$work/run-$kind-$seed good=1 noticed_ms=0 what=nothing moment='' began=$(now_ms)
    if [ "$kind" = disk ]; then dir=$disk/run; fi
    watch_checkpoints 2> /dev/null &
    watcher=$!
    "run_$kind"
    kill $watcher
    wait $watcher 2> /dev/null
    if [ -e "$log.lost" ]; then wrong "checkpoints lost: $(head -n 1 "$log.lost")"; else remember kept; fi
    remember runs
    if [ $good = 1 ]; then
      remember good
      echo "ok   $kind, seed $seed: $what $moment, noticed after $(seconds $noticed_ms) s, $(seconds $(($(now_ms) - began))) s in all"
    else
      tail -n 15 "$log".[01]
    fi
    rm -rf "$dir" "$log".* "$disk/ballast"
  done
done

echo
echo "| fault | runs | hurt in time | noticed after at most | ended, nothing left | newest checkpoint readable | none lost | same bits | all of it |"
echo "|---|---|---|---|---|---|---|---|---|"
for kind in "${kinds[@]}"; do
  row="| $kind | ${count[$kind runs]:-0} | ${count[$kind hurt]:-0}"
  if [ $kind = write ]; then row+=" (${count[$kind in_write]:-0} with a half-written folder)"; fi
  row+=" | $(seconds "${longest[$kind]:-0}") s"
  for column in ended readable kept same good; do row+=" | ${count[$kind $column]:-0}"; done
  echo "$row |"
done
finish
