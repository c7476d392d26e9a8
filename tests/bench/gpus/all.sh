#!/usr/bin/env bash
# Tests and measurements of several GPUs, one after the other inside a given time; a failure or an end of time does not stop the rest.
# usage: all.sh BUNDLE [--total SECONDS] [--peer FOLDER] [--work FOLDER] ITEM[=SECONDS]...
#   BUNDLE   folder with bin/rookery, bin/golden_tests, bin/test_comm, bin/step_bench, bin/collective_gpu_bench and, where it must be, lib/
#   --total  of all items together (560)
#   --peer   the reference trainer's folder, as peer.sh wants it; its kernels are compiled while the tests run
#   --work   where data and weights are kept between calls (memory where there is plenty, else a temporary folder)
# Items: comm golden e2e machine scale small offload large 7b peer timeline collectives plan
# Results go to $OUT (or ./out): log.txt, rows.jsonl, machine.json, summary.txt. All tables end with what is in rows.jsonl by then.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../.." && pwd)
declare -A limits=([comm]=60 [golden]=90 [e2e]=200 [machine]=60 [scale]=200 [small]=100 [offload]=160 [large]=160 [7b]=250 [peer]=330
  [timeline]=120 [collectives]=60 [plan]=60)

ranks() { mpirun --allow-run-as-root --oversubscribe --bind-to none -n "$n_gpus" "$@"; }
scale() { python3 "$here/scale.py" "$bin/rookery" "$data" "$work" "$OUT/rows.jsonl" --sets "$1"; }
item() {
  case $1 in
    comm) ranks "$bin/test_comm" --gtest_brief=1 --gtest_color=no ;;
    golden)
      local zero dtype
      for zero in 0 1 2 3; do
        for dtype in fp32 bf16; do
          echo "$n_gpus GPUs, ZeRO-$zero, $dtype:"
          ranks "$bin/golden_tests" --root "$repository/tests/golden/cases" --device cuda --dtype $dtype --zero $zero --filter rwkv7/train_20_steps
        done
      done
      ;;
    e2e) bash "$repository/tests/e2e/gpus.sh" "$bin/rookery" ;;
    machine) ranks "$bin/rookery" bench machine --out "$OUT/machine.json" ;;
    scale | small | offload | large) scale "$1" ;;
    7b) bash "$here/offload_7b.sh" "$bin/rookery" "$data" "$OUT/rows.jsonl" "$work" ;;
    peer) bash "$here/peer.sh" "$bin/rookery" "$peer" "$OUT/rows.jsonl" ;;
    timeline)
      local zero
      for zero in 1 2 3; do
        ranks "$bin/step_bench" --n_layer 24 --n_embd 2048 --ctx_len 4096 --micro_bsz 8 --keep less --zero $zero --steps 8 --table
      done
      ;;
    collectives) ranks "$bin/collective_gpu_bench" ;;
    plan) python3 "$here/plan_check.py" "$bin/rookery" "$OUT/machine.json" "$OUT/rows.jsonl" ;;
  esac
}
if [ "${1:-}" = --item ]; then # one item, in a process of its own
  item "$2"
  exit
fi

[ $# -ge 2 ] || { sed -n '2,9p' "$0" >&2; exit 2; }
bin=$(realpath "$1")/bin
shift
total=560 peer='' items=() work=${TMPDIR:-/tmp}/rookery-bench
if [ "$(df -k --output=avail /dev/shm | tail -n 1)" -gt 40000000 ] && [ "$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)" -gt 200000000 ]; then
  work=/dev/shm/rookery-bench
fi
while [ $# -gt 0 ]; do
  case $1 in
    --total) total=$2; shift ;;
    --peer) peer=$(realpath "$2"); shift ;;
    --work) work=$2; shift ;;
    *)
      [ -n "${limits[${1%%=*}]:-}" ] || { echo "there is no item $1; there are: ${!limits[*]}" >&2; exit 2; }
      items+=("$1")
      ;;
  esac
  shift
done
OUT=${OUT:-$PWD/out} data=$work/data n_gpus=$(nvidia-smi -L | grep -c '^GPU')
outside=${LD_LIBRARY_PATH:-}
mkdir -p "$OUT" "$work"
export OUT bin peer work data n_gpus LD_LIBRARY_PATH="${bin%/bin}/lib:$outside" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
SECONDS=0
log=$OUT/log.txt
{
  date
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader
  nvidia-smi topo -m 2> /dev/null | head -n 12
  grep -m 1 'model name' /proc/cpuinfo
  nproc
  free -g
  df -h "$work"
} >> "$log" 2>&1
if [ ! -e "$data.idx" ]; then python3 -c "import sys; sys.path.insert(0, sys.argv[1]); import training; training.make_data(sys.argv[2])" "$here/.." "$data"; fi
preparation=
if [ -n "$peer" ]; then
  LD_LIBRARY_PATH=$outside bash "$here/peer.sh" --prepare "$peer" > "$work/prepare.log" 2>&1 &
  preparation=$!
fi

summary=$OUT/summary.txt
{
  echo "item            seconds  exit code"
  for entry in "${items[@]}"; do
    name=${entry%%=*} limit=${limits[${entry%%=*}]} began=$SECONDS
    [ "$entry" = "$name" ] || limit=${entry#*=}
    left=$((total - SECONDS - 5))
    [ "$limit" -le $left ] || limit=$left
    if [ "$limit" -lt 10 ]; then
      echo "$name: no time left"
      continue
    fi
    # Measurements wait for the compilers.
    case $name in comm | golden | e2e | plan) ;; *) [ -z "$preparation" ] || timeout $left tail -f --pid="$preparation" /dev/null ;; esac
    printf '\n===== %s, at %s s, limit %s s\n' "$name" $SECONDS "$limit" >> "$log"
    timeout --kill-after=5 "$limit" bash "${BASH_SOURCE[0]}" --item "$name" >> "$log" 2>&1
    code=$?
    printf '%-15s %7s  %s\n' "$name" $((SECONDS - began)) "$code"
  done
  [ ! -e "$work/prepare.log" ] || { echo "===== preparation of the reference"; cat "$work/prepare.log"; } >> "$log"
  echo
  grep -aE '^FAIL|exposed communication|^[0-9]+ runs: |[0-9]+ passed, [0-9]+ failed|^all passed|\[  FAILED|PASSED  \]|^a limit of' "$log"
  echo
  [ ! -e "$OUT/rows.jsonl" ] || python3 "$here/table.py" "$OUT/rows.jsonl"
  echo "$SECONDS s in all"
} 2>&1 | tee "$summary"
