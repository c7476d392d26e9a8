#!/usr/bin/env bash
# rookery launch: two launchers on this host, refusals, signals, deaths, restarts.
. "$(dirname "$0")/lib.sh"
make_data "$work/data" 40000
small=(--data_file "$work/data" --vocab_size 64 --n_layer 2 --n_embd 64 --head_size 32 --ctx_len 64 --micro_bsz 2 --epoch_steps 1000000
  --epoch_save 0 --threads 1)
endless=("${small[@]}" --max_steps 1000000)
secret=$work/secret
(umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$secret")
unset NNODES NODE_RANK MASTER_ADDR MASTER_PORT ROOKERY_SECRET_FILE
port=$((20000 + $$ % 20000))
launcher=()

# node RANK LAUNCH_OPTIONS... -- PROGRAM...: one launcher in the background; its process in launcher, what it says in node_RANK.log
node() {
  local rank=$1
  shift
  "$rookery" launch --nnodes 2 --node_rank "$rank" --master_addr 127.0.0.1 --master_port $port --secret_file "$secret" --timeout 30 "$@" \
    > "$work/node_$rank.log" 2>&1 &
  launcher[rank]=$!
}
two_nodes() { # two_nodes LAUNCH_OPTIONS... -- train OPTIONS...
  port=$((port + 1))
  rm -rf "$work/run" "$work"/node_*.log
  node 0 "$@" --proj_dir "$work/run"
  node 1 "$@" --proj_dir "$work/run"
}
ends() { # ends RANK: its exit code in code
  wait "${launcher[$1]}"
  code=$?
}
steps_begin() { wait_for 90 says "$work/node_0.log" "step  *[0-9]"; }
# No launcher, agent or rank of this test.
no_process() { ! pgrep -f -- "$work/" > /dev/null && ! pgrep -f "^/proc/${launcher[0]}/exe launch-agent" > /dev/null; }
listens() { ss -ltnH "sport = :$port" 2> /dev/null | grep -q .; }
rank_pid() { pgrep -f -- "--proj_dir $work/run" | while read -r p; do tr '\0' '\n' < "/proc/$p/environ" 2> /dev/null | grep -q "^OMPI_COMM_WORLD_RANK=$1\$" && echo "$p"; done | head -n 1; }
refused() { # refused WHAT PART LAUNCH_WORDS...
  local what=$1 part=$2 said
  shift 2
  said=$("$rookery" launch "$@" 2>&1)
  check "$what: exit code" equal $? 2
  check "$what: one sentence" one_line "$said"
  check "$what" contains "$said" "$part"
}

at=(--nnodes 2 --master_addr 127.0.0.1 --master_port "$port")
refused "no secret file" "--secret_file" "${at[@]}" -- train "${small[@]}"
refused "a secret file that is not there" "cannot be read" "${at[@]}" --node_rank 1 --secret_file "$work/none" -- train "${small[@]}"
cp "$secret" "$work/open"
chmod 644 "$work/open"
refused "a secret that others may read" "has mode 0644" "${at[@]}" --node_rank 1 --secret_file "$work/open" -- train "${small[@]}"
refused "--devices against --nproc_per_node" "--devices 3 of the run contradicts --nproc_per_node 2" "${at[@]}" --secret_file "$secret" \
  --nproc_per_node 2 -- train "${small[@]}" --devices 3 --proj_dir "$work/run"
refused "--num_nodes against --nnodes" "--num_nodes 3 of the run contradicts --nnodes 2" "${at[@]}" --secret_file "$secret" \
  -- train "${small[@]}" --num_nodes 3 --proj_dir "$work/run"
refused "a rank that does not exist" "--node_rank 2 does not exist among 2" "${at[@]}" --secret_file "$secret" --node_rank 2 -- train "${small[@]}"
refused "a flag of torchrun's that is none here" "--rdzv_backend" --rdzv-backend c10d train
said=$("$rookery" train "${small[@]}" --proj_dir "$work/run" --num_nodes 2 2>&1)
check "train --num_nodes alone" contains "$said" "rookery launch"
said=$(SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 "$rookery" train "${small[@]}" --proj_dir "$work/run" 2>&1)
check "srun without PMIx" contains "$said" "--mpi=pmix"
check "srun without PMIx: one sentence of all tasks" equal "$(SLURM_PROCID=1 SLURM_STEP_NUM_TASKS=2 "$rookery" train "${small[@]}" 2>&1)" ""
"$rookery" launch --nnodes 3 --nproc_per_node 2 --print-sbatch -- train "${small[@]}" --proj_dir "$work/a b" > "$work/job"
check "--print-sbatch: exit code" equal $? 0
check "--print-sbatch: a script" bash -n "$work/job"
check "--print-sbatch: sizes" says "$work/job" "--nodes=3"

"$rookery" launch --nproc_per_node 2 -- train "${small[@]}" --max_steps 3 --proj_dir "$work/one" > "$work/one.log" 2>&1
check "one node: exit code" equal $? 0
check "one node: two ranks" says "$work/one.log" "2 ranks"

two_nodes -- train "${small[@]}" --max_steps 5
ends 0
check "2 nodes: exit code on node 0" equal $code 0
ends 1
check "2 nodes: exit code on node 1" equal $code 0
check "2 nodes: the world" says "$work/node_0.log" "2 ranks"
check "2 nodes: finished" exists "$work/run/rwkv-final.pth"
check "2 nodes: no process left" wait_for 10 no_process

two_nodes --nproc_per_node 2 -- train "${small[@]}" --max_steps 5
ends 1
check "several ranks on two nodes of one host name: exit code" equal $code 2
check "several ranks on two nodes of one host name" says "$work/node_1.log" "Open MPI would mix up their ranks"
kill "${launcher[0]}"
ends 0

port=$((port + 1))
rm -rf "$work/run"
"$rookery" launch --nnodes 1:2 --node_rank 0 --master_addr 127.0.0.1 --master_port $port --secret_file "$secret" --timeout 2 \
  -- train "${small[@]}" --devices 1 --max_steps 3 --proj_dir "$work/run" > "$work/node_0.log" 2>&1
check "fewer nodes than at most: exit code" equal $? 0
check "fewer nodes than at most: is told" says "$work/node_0.log" "the run begins without them"
said=$("$rookery" launch --nnodes 2 --node_rank 0 --master_addr 127.0.0.1 --master_port $port --secret_file "$secret" --timeout 1 \
  -- train "${small[@]}" --max_steps 3 --proj_dir "$work/run1" 2>&1)
check "a node is missing: exit code" equal $? 1
check "a node is missing" contains "$said" "nodes that are not here after 1 s: 1"

# What is not welcome delays nobody.
port=$((port + 1))
rm -rf "$work/run"
node 0 -- train "${endless[@]}" --proj_dir "$work/run"
check "node 0 listens" wait_for 20 listens
exec 8<> "/dev/tcp/127.0.0.1/$port" # says nothing
printf 'GET / HTTP/1.1\r\n\r\n' > "/dev/tcp/127.0.0.1/$port"
(umask 077; echo "not the same secret at all" > "$work/other")
said=$("$rookery" launch "${at[@]}" --master_port $port --node_rank 1 --secret_file "$work/other" -- train 2>&1)
check "a wrong secret: exit code" equal $? 2
check "a wrong secret: the sentence there" contains "$said" "refused the secret"
check "a wrong secret: the line on node 0" wait_for 5 says "$work/node_0.log" "refused a connection from 127.0.0.1: it does not know the secret"
check "a stranger: the line on node 0" says "$work/node_0.log" "refused a connection from 127.0.0.1: it sent a message of"
said=$("$rookery" launch "${at[@]}" --master_port $port --node_rank 1 --secret_file "$secret" --nproc_per_node 2 -- train 2>&1)
check "another number of ranks: exit code" equal $? 2
check "another number of ranks" contains "$said" "--nproc_per_node 2, node 0 with 1"
node 1 -- train
check "after strangers: the run begins" steps_begin
exec 8>&-
check "the port is closed while the run goes on" equal "$(listens || echo closed)" closed
ranks_environment() { for r in 0 1; do tr '\0' '\n' < "/proc/$(rank_pid $r)/environ"; done; }
check "no rank knows of the secret" equal "$(ranks_environment | grep -c "$secret")" 0
kill -INT "${launcher[0]}"
ends 0
check "Ctrl+C on node 0: its exit code" equal $code 75
ends 1
check "Ctrl+C on node 0: exit code of node 1" equal $code 75
check "Ctrl+C on node 0: saved" exists "$work/run/step-*/manifest.json"

two_nodes -- train "${endless[@]}"
steps_begin
kill -INT "${launcher[1]}"
ends 0
check "Ctrl+C on node 1: exit code of node 0" equal $code 75
ends 1
check "Ctrl+C on node 1: its exit code" equal $code 75
check "Ctrl+C on node 1: no process left" wait_for 10 no_process

two_nodes -- train "${endless[@]}"
check "a stop while ranks are starting: they start" wait_for 60 says "$work/node_0.log" "started 2 ranks"
kill -TERM "${launcher[0]}"
ends 0
check "a stop while ranks are starting: exit code of node 0" equal $code 75
ends 1
check "a stop while ranks are starting: exit code of node 1" equal $code 75

two_nodes -- train "${endless[@]}"
steps_begin
kill -STOP "$(rank_pid 0)" # nothing can be saved
for signal in INT TERM HUP; do kill -$signal "${launcher[1]}"; sleep 0.3; done
ends 1
check "third signal on node 1: its exit code" equal $code 130
ends 0
check "third signal on node 1: exit code of node 0" equal $code 130
check "third signal on node 1: no process left" wait_for 10 no_process

for victim in 0 1; do
  two_nodes -- train "${endless[@]}"
  steps_begin
  kill -KILL "${launcher[victim]}"
  ends $((1 - victim))
  check "SIGKILL of launcher $victim: exit code of the other" equal $code 1
  check "SIGKILL of launcher $victim: no process left" wait_for 10 no_process
  wait "${launcher[victim]}" 2> /dev/null
done

# A rank is killed and the run starts again by itself: the same weights.
saved=("${small[@]}" --max_steps 40 --save_every 5 --lr_init 2e-3)
two_nodes -- train "${saved[@]}"
ends 0
ends 1
final=$(md5sum < "$work/run/rwkv-final.pth")
two_nodes --max_restarts 2 -- train "${saved[@]}"
check "restart: a checkpoint is there" wait_for 90 exists "$work/run/step-*/manifest.json"
kill -KILL "$(rank_pid 1)"
ends 0
check "restart: exit code of node 0" equal $code 0
ends 1
check "restart: exit code of node 1" equal $code 0
check "restart: is told" says "$work/node_0.log" "restart 1 of 2"
check "restart: the same weights" equal "$(md5sum < "$work/run/rwkv-final.pth")" "$final"

rm -rf "$work/run"
"$rookery" train --proj_dir "$work/run" --devices 2 --max_restarts 1 "${saved[@]}" > "$work/node_0.log" 2>&1 &
job=$!
wait_for 60 exists "$work/run/step-*/manifest.json"
kill -KILL "$(rank_pid 1)"
wait $job
check "restart on one host: exit code" equal $? 0
check "restart on one host: the same weights" equal "$(md5sum < "$work/run/rwkv-final.pth")" "$final"

rm -rf "$work/run"
"$rookery" train --proj_dir "$work/run" --devices 2 --max_restarts 1 "${endless[@]}" > "$work/node_0.log" 2>&1 &
job=$!
for count in 1 2; do
  wait_for 60 says "$work/run/metrics.jsonl" '"step":5,'
  kill -KILL "$(rank_pid 0)"
  [ $count = 2 ] || wait_for 20 says "$work/node_0.log" "restart 1 of 1"
  rm -f "$work/run/metrics.jsonl"
done
wait $job
check "no restart is left: exit code" equal $? 1
check "no process left" wait_for 10 no_process
finish
