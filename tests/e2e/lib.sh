# shellcheck shell=bash disable=SC2034,SC2059
# Shared by the end-to-end tests: bash only. Each test is called with the path of rookery.
set -u
export CUDA_VISIBLE_DEVICES=  # these tests are the CPU's and the emulated GPU's, also beside a GPU
trap '' PIPE  # a run that is gone reads no more keys
rookery=$(realpath "${1:?usage: $0 PATH_OF_ROOKERY}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

check() {  # check WHAT COMMAND...
  local what=$1
  shift
  if "$@"; then
    echo "ok   $what"
  else
    echo "FAIL $what: $*"
    failures=$((failures + 1))
  fi
}
equal() { [ "$1" = "$2" ] || { echo "     got '$1', wanted '$2'"; return 1; }; }
contains() { case "$1" in *"$2"*) ;; *) echo "     '$2' is not in: $1"; return 1 ;; esac; }
one_line() { equal "$(printf '%s\n' "$1" | grep -c .)" 1 || { echo "     $1"; return 1; }; }
exists() { compgen -G "$1" > /dev/null; }
gone() { ! exists "$1"; }

# Little-endian numbers: le VALUE BYTES
le() {
  local value=$1 i
  for ((i = 0; i < $2; ++i)); do
    printf "\\x$(printf %02x $((value & 255)))"
    value=$((value >> 8))
  done
}

# A binidx of $2 16-bit tokens below 64 under the prefix $1.
make_data() {
  local prefix=$1 n=$2
  awk -v n="$n" 'BEGIN { x = 1; for (i = 0; i < n; ++i) { x = (x * 75 + 74) % 65537; printf "%c%c", (x % 64), 0 } }' > "$prefix.bin"
  {
    printf 'MMIDIDX\0\0'
    le 1 8; le 8 1; le 1 8; le 2 8
    le "$n" 4; le 0 8; le 0 8; le 1 8
  } > "$prefix.idx"
}

wait_for() {  # wait_for SECONDS COMMAND...: until the command succeeds
  local until=$((SECONDS + $1))
  shift
  while ! "$@"; do
    [ $SECONDS -lt $until ] || return 1
    sleep 0.1
  done
}
says() { grep -q -- "$2" "$1" 2> /dev/null; }
# "step loss norm" of every step of the run in folder $1.
numbers() { sed -E 's/^\{"step":([0-9]+),"loss":([^,]+),.*"grad_norm":([^,]+),.*/\1 \2 \3/' "$1/metrics.jsonl"; }
no_process_of() { ! pgrep -f -- "--proj_dir $1 " > /dev/null; }

# on_emulated PROGRAM RANKS OPTIONS...: a run on emulated GPUs, a rank each.
on_emulated() {
  mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 --timeout 300 -n "$2" "$1" train --accelerator cuda "${@:3}"
}

finish() {
  [ $failures = 0 ] || { echo "$failures failed"; exit 1; }
  echo "all passed"
}
