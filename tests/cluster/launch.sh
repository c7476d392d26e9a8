#!/usr/bin/env bash
# `rookery launch` typed on two nodes: the run is that of a plain mpirun, and nobody takes part who does not know the secret.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
needs nodes
nodes up 2
cd "$work" || exit 1
make_data "$work/data" 40000
make_secret "$work/secret"
make_secret "$work/another_secret"
options=(--data_file "$work/data" "${tiny[@]}" --threads 1 --max_steps 100)
# An interface that leads nowhere and has the same address on both nodes, as those of container engines have.
for node in n0 n1; do
  nodes exec $node ip link add idle0 type veth peer name idle1
  nodes exec $node ip addr add 10.99.0.1/16 dev idle0
  nodes exec $node ip link set idle0 up
  nodes exec $node ip link set idle1 up
done

now_ms() { date +%s%3N; }
# The time from now until RUN has made its first step, in milliseconds.
first_step_ms() {
  local began
  began=$(now_ms)
  until [ -s "$work/$1/metrics.jsonl" ]; do
    [ $(($(now_ms) - began)) -lt 60000 ] || break
    sleep 0.02
  done
  echo $(($(now_ms) - began))
}
# both RUN OPTIONS...: a run of 2 nodes x 2 ranks in the background, its process ids in `leader` and `follower`.
both() {
  launch 0 "$work/$1.0" --nnodes 2 --nproc_per_node 2 -- train --proj_dir "$work/$1" "${options[@]}" "${@:2}" &
  leader=$!
  launch 1 "$work/$1.1" --nnodes 2 --nproc_per_node 2 -- train --proj_dir "$work/$1" "${options[@]}" "${@:2}" &
  follower=$!
}
# leader RUN OPTIONS...: node 0 of such a run, once it listens.
leads() {
  launch 0 "$work/$1.0" --nnodes 2 --nproc_per_node 2 -- train --proj_dir "$work/$1" "${options[@]}" "${@:2}" &
  leader=$!
  check "$1: node 0 listens" wait_for 20 listens
}
is_closed() { ! listens; }
follows() {  # follows RUN LOG OPTIONS...
  launch 1 "$2" "${@:3}" --nnodes 2 --nproc_per_node 2 -- train --proj_dir "$work/$1" "${options[@]}"
}
ends() { wait "$1"; check "$2: exit code" equal $? "${3:-0}"; }
nothing_left() { check "$1: no process left" wait_for 10 no_process_of "$work/$1"; }
told() { check "$2" says "$work/$1.0" "$3"; }  # told RUN WHAT WORDS: node 0 has said so

nodes exec n0 mpirun --oversubscribe --bind-to none -n 4 "$rookery" train --proj_dir "$work/whole" "${options[@]}" > "$work/whole.log" 2>&1 &
plain_ms=$(first_step_ms whole)
ends $! "plain mpirun"

both launched
launched_ms=$(first_step_ms launched)
check "port: closed as soon as the run has begun" is_closed
ends "$leader" "launch, node 0"
ends "$follower" "launch, node 1"
same_run launched "$work/launched" "$work/whole"
nothing_left launched
echo "     first step after $plain_ms ms with mpirun on one node, $launched_ms ms with rookery launch on two"
check "launch: first step at most 5 s later" [ "$launched_ms" -le $((plain_ms + 5000)) ]

# The interfaces are those of the route to node 0.
leads interfaces --max_steps 1000000
check "port: on the address of node 0 alone" equal "$(nodes exec n0 ss -ltnH "sport = :$meeting_port" | awk '{ print $4 }')" "198.18.0.10:$meeting_port"
follows interfaces "$work/interfaces.1" &
follower=$!
check "interfaces: it trains" wait_for 60 past_step "$work/interfaces" 3
rank_environment() { tr '\0' '\n' < "/proc/$1/environ"; }
ranks=$(pgrep -f -- "^$rookery train .*--proj_dir $work/interfaces ")
mpirun=$(pgrep -f -- "^mpirun .*--proj_dir $work/interfaces " | head -n 1)
for parameter in btl_tcp_if_include oob_tcp_if_include; do
  check "interfaces: $parameter" contains "$(tr '\0' ' ' < "/proc/$mpirun/cmdline")" "--mca $parameter 198.18.0.0/24 "
done
check "interfaces: ranks" equal "$(wc -w <<< "$ranks")" 4
for rank in $ranks; do check "interfaces: NCCL's" contains "$(rank_environment "$rank")" "NCCL_SOCKET_IFNAME==eth0"; done
# Ctrl+C on the node that does not lead.
kill -INT "$(pgrep -f -- "^$rookery launch .*--node_rank 1 .*--proj_dir $work/interfaces ")"
ends "$leader" "Ctrl+C on node 1, node 0" 75
ends "$follower" "Ctrl+C on node 1, node 1" 75
check "Ctrl+C on node 1: saved" exists "$work/interfaces/step-*/manifest.json"
nothing_left interfaces

# Strangers while node 0 waits: they are refused, and whoever knows the secret still gets in.
leads strangers
launch 1 "$work/wrong" --secret_file "$work/another_secret" --nnodes 2 --nproc_per_node 2 -- train --proj_dir "$work/strangers" "${options[@]}"
check "wrong secret: exit code" equal $? 2
check "wrong secret: one sentence" equal "$(grep -c secret "$work/wrong")" 1
told strangers "wrong secret: refused" "it does not know the secret"
(nodes exec n1 bash -c "exec 3<> /dev/tcp/n0/$meeting_port; sleep 30") 2> /dev/null &
nodes exec n1 bash -c "exec 3<> /dev/tcp/n0/$meeting_port; head -c 100000 /dev/urandom >&3; cat <&3" > /dev/null 2>&1
nodes exec n1 bash -c "exec 3<> /dev/tcp/n0/$meeting_port; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3" > /dev/null 2>&1
refusals() { [ "$(grep -c "refused a connection" "$work/strangers.0")" -ge "$1" ]; }
check "garbage: refused" wait_for 5 refusals 3
check "silence: refused" wait_for 15 says "$work/strangers.0" "did not say who it is"
check "strangers: nothing has begun" gone "$work/strangers/metrics.jsonl"
# The right one, through a proxy that keeps its words.
nodes exec n1 "$root/tests/lab/recording_proxy" 29512 n0 $meeting_port "$work/recorded" &
launch 1 "$work/strangers.1" --master_addr n1 --master_port 29512 --nnodes 2 --nproc_per_node 2 -- train --proj_dir "$work/strangers" "${options[@]}" &
ends "$leader" "the right one, node 0"
ends $! "the right one, node 1"
same_run strangers "$work/strangers" "$work/whole"

# The same words once more, and true words with a bit turned: of the handshake, of the first message.
leads replayed
check "recorded: the handshake and more" [ "$(stat -c %s "$work/recorded")" -gt 200 ]
nodes exec n1 bash -c "exec 3<> /dev/tcp/n0/$meeting_port; cat '$work/recorded' >&3; cat <&3" > "$work/answer" 2> /dev/null
told replayed "replay: refused" "it does not know the secret"
for byte in 60 150; do
  nodes exec n1 "$root/tests/lab/recording_proxy" 29513 n0 $meeting_port "$work/turned" $byte &
  launch 1 "$work/turned.1" --master_addr n1 --master_port 29513 --nnodes 2 --nproc_per_node 2 -- train --proj_dir "$work/replayed" "${options[@]}"
  check "a bit turned in byte $byte: node 1 ends" [ $? != 0 ]
done
told replayed "a message with a bit turned: refused" "a message came that it has not sent"
check "replay: nothing has begun" gone "$work/replayed/metrics.jsonl"
follows replayed "$work/replayed.1" &
ends "$leader" "after the replay, node 0"
same_run "after the replay" "$work/replayed" "$work/whole"
nothing_left replayed
finish
