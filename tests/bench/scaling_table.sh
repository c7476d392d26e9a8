#!/usr/bin/env bash
# The tables of docs/scaling.md, from `rookery plan`: scaling_table.sh ROOKERY
set -euo pipefail
rookery=${1:?usage: scaling_table.sh ROOKERY}

# One cell: thousand tokens/s of a GPU and MFU, or what a rank would need where it does not fit.
cell() {
  local json
  json=$("$rookery" plan --json --gpu h100-80 --vocab_size 65536 --n_embd 4096 --ctx_len 4096 --grad_cp 1 "$@") || true
  jq -r 'if .fits then "\(.tokens_per_s / .ranks / 100 | round / 10) k (\(.mfu * 100 | round) %)"
         else "\(.device_bytes / 1073741824 | round) GiB" end' <<<"$json"
}

# table LAYERS NETWORK_GB_S BATCH...: a row for every number of GPUs, a column for every way to divide. BATCH "weak": 4 samples a GPU.
table() {
  local layers=$1 network=$2 batch=$3 n micro accumulate stage group row
  echo "| GPUs | ZeRO-1 | ZeRO-2 | ZeRO-3 | ZeRO-1 node | ZeRO-2 node | ZeRO-3 node |"
  echo "|---|---|---|---|---|---|---|"
  for n in 8 16 32 64 128 256 512 1024 2048 4096; do
    micro=4 accumulate=1
    if [ "$batch" != weak ]; then
      micro=$((batch / n < 4 ? batch / n : 4))
      accumulate=$((batch / n / micro))
    fi
    row="| $n |"
    for group in world node; do
      for stage in 1 2 3; do
        row+=" $(cell --n_layer "$layers" --network "$network" --ranks "$n" --micro_bsz $micro --accumulate_grad_batches $accumulate \
          --zero $stage --zero_group $group --reduce_dtype "$reduce") |"
      done
    done
    echo "$row"
  done
  echo
}

reduce=${REDUCE:-fp32}
for layers in 32 61; do
  for network in 400 50; do
    echo "### L$layers-D4096, $network GB/s a node, 16384 tokens a GPU and step"
    table "$layers" "$network" weak
  done
  echo "### L$layers-D4096, 400 GB/s a node, 4096 samples of 4096 tokens a step"
  table "$layers" 400 4096
done
