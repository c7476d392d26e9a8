#!/usr/bin/env python3
"""Tokens/s and memory of `rookery train` on this machine's GPU, read as for the reference trainer: nvidia-smi's highest reading.

usage: speed.py ROOKERY DATA CONFIGS.json [RESULTS.json]
CONFIGS: list of {"L", "D", "ctx", "bsz", "gcp", "steps"}, optional "flags" (more options of `rookery train`), "to" (seconds).
Each configuration trains from fresh weights and is ended once its steps are logged, so that no checkpoint is written.
One JSON line each: ktok_s = median thousand tokens/s after a third of the steps."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time


def memory_used():
    out = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True)
    return max((int(x) for x in out.stdout.split()), default=0)


def rows(path):
    try:
        with open(path) as f:
            return [r for r in map(json.loads, f.read().split("\n")[:-1]) if "loss" in r]
    except (OSError, ValueError):
        return []


def prime_below(n):
    while n % 3 != 2 or not all(n % i for i in range(2, int(n**0.5) + 1)):
        n -= 1
    return n


def measure(rookery, data, c):
    folder = tempfile.mkdtemp(prefix="rookery-speed-")
    tokens = os.path.getsize(data + ".bin") // 2
    command = [rookery, "train", "--proj_dir", folder, "--data_file", data, "--data_type", "binidx", "--vocab_size", "65536",
               "--ctx_len", str(c["ctx"]), "--micro_bsz", str(c["bsz"]), "--n_layer", str(c["L"]), "--n_embd", str(c["D"]),
               "--head_size", "64", "--magic_prime", str(prime_below(tokens // c["ctx"] - 1)), "--weight_decay", "0.1", "--grad_cp",
               str(c["gcp"]), "--lr_init", "6e-4", "--lr_final", "6e-5", "--warmup_steps", "10", "--precision", "bf16",
               "--accelerator", "cuda", "--init", "normal", "--max_steps", "100000"] + c.get("flags", [])
    log = open(os.path.join(folder, "output"), "w+")
    began = time.time()
    p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    peak = [0]

    def watch():
        while p.poll() is None:
            peak[0] = max(peak[0], memory_used())
            time.sleep(0.3)

    watcher = threading.Thread(target=watch)
    watcher.start()
    seen, first = [], None
    while p.poll() is None and time.time() - began < c.get("to", 200) and len(seen) < c["steps"]:
        time.sleep(0.1)
        seen = rows(os.path.join(folder, "metrics.jsonl"))
        if seen and first is None:
            first = time.time() - began
    p.kill()
    p.wait()
    watcher.join()
    rates = [r["tokens_per_s"] for r in seen]
    rates = rates[len(rates) // 3:]
    result = dict(c, ktok_s=round(statistics.median(rates) / 1000, 1) if rates else None, n=len(seen), peak_smi_MiB=peak[0],
                  first_step_s=first and round(first, 1), last_loss=seen[-1]["loss"] if seen else None)
    print(json.dumps(result), flush=True)
    if not rates:
        log.seek(0)
        print(log.read()[-2500:], flush=True)
    elif c.get("show"):
        log.seek(0)
        print(log.read()[:3000], flush=True)
    shutil.rmtree(folder)
    return result


results = [measure(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), c) for c in json.load(open(sys.argv[3]))]
if len(sys.argv) > 4:
    json.dump(results, open(sys.argv[4], "w"), indent=1)
