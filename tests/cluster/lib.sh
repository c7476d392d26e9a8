# shellcheck shell=bash disable=SC2034
# Shared by the tests on several hosts: what tests/e2e/lib.sh gives, nodes, and a Slurm cluster. Exit code 77: not possible here.
# shellcheck source=../e2e/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../e2e/lib.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LAB_NAME=${LAB_NAME:-$(basename "$0" .sh)-$$} LAB_OWNER=$$
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
trap 'nodes down; rm -rf "$work"' EXIT

nodes() { "$root/tests/lab/nodes" "$@"; }
slurm() { "$root/tests/lab/slurm" "$@"; }
needs() {  # needs nodes|slurm
  local why
  why=$("$root/tests/lab/$1" possible 2>&1) && return
  echo "SKIP $(basename "$0" .sh): $why"
  exit 77
}

# A model whose step takes milliseconds, so that a test can interrupt a run a few times.
tiny=(--vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --micro_bsz 2 --epoch_steps 100000 --epoch_save 0 --warmup_steps 3
  --lr_init 2e-3)

last_step() { tail -n 1 "$1/metrics.jsonl" 2> /dev/null | sed -E 's/^\{"step":([0-9]+),.*/\1/' | grep -x '[0-9]*' || echo 0; }
past_step() { [ "$(last_step "$1")" -ge "$2" ]; }

# same_run WHAT FOLDER FOLDER: losses and norms of every step, and the final weights.
same_run() {
  check "$1: every loss and norm to the last digit" equal "$(numbers "$2" | cksum)" "$(numbers "$3" | cksum)"
  check "$1: final weights bit by bit" cmp "$2/rwkv-final.pth" "$3/rwkv-final.pth"
}

# `rookery launch` as typed on a node: launch NODE LOG WORDS...
meeting_port=29511
make_secret() { (umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$1"); }
launch() {
  local node=$1 log=$2
  shift 2
  nodes exec "n$node" "$rookery" launch --node_rank "$node" --master_addr n0 --master_port $meeting_port --secret_file "$work/secret" \
    --timeout 60 "$@" > "$log" 2>&1
}
listens() { nodes exec n0 ss -ltnH "sport = :$meeting_port" | grep -q .; }
