#!/usr/bin/env python3
"""What `rookery plan` says of runs beside what they took. Needs no GPU.

usage: plan_check.py ROOKERY MACHINE ROWS.jsonl
ROWS: as scale.py and speed.py write them (their words, ranks and measurements). MACHINE: the file that `rookery bench machine` wrote where
they ran, or a name that `rookery plan --gpu` knows.
A line for each row: memory of a GPU (nvidia-smi's highest reading, wanted within 5 %), time of a step (15 %), memory of the host."""
import json
import os
import subprocess
import sys


def plan(rookery, machine, row):
    which = "--machine" if os.path.exists(machine) else "--gpu"
    command = [rookery, "plan"] + row["words"] + ["--ranks", str(row.get("gpus", 1)), which, machine, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        return json.loads(done.stdout)
    except ValueError:
        print(f"{row.get('row', '')}: rookery plan ended with exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
        return None


def percent(predicted, measured):
    return 100 * (predicted - measured) / measured if measured else float("nan")


def main(rookery, machine, path):
    rows = [row for row in map(json.loads, open(path)) if row.get("words")]
    print(f"{'run':52} {'GPU MiB':>8} {'plan':>8} {'%':>6} {'step s':>8} {'plan':>8} {'%':>6} {'host GiB':>8} {'plan':>8}")
    n = worst_memory = worst_time = 0
    for row in rows:
        p = plan(rookery, machine, row)
        if not p or not row["step_s"]:
            if p:
                print(f"{row.get('row', ''):52} did not run; plan: {'fits' if p['fits'] else 'does not fit'}")
            continue
        memory, seconds = percent(p["device_bytes"] / 2**20, row["peak_smi_MiB"]), percent(p["step_s"], row["step_s"])
        ranks = row.get("gpus", 1)  # the plan speaks of one rank, the measurement is their sum
        print(f"{row.get('row', ''):52} {row['peak_smi_MiB']:8} {p['device_bytes'] / 2**20:8.0f} {memory:+6.1f} {row['step_s']:8.3f} "
              f"{p['step_s']:8.3f} {seconds:+6.1f} {row['host_GiB']:8.1f} {ranks * p['host_bytes'] / 2**30:8.1f}"
              f"{'' if p['fits'] else '  said not to fit'}")
        n, worst_memory, worst_time = n + 1, max(worst_memory, abs(memory)), max(worst_time, abs(seconds))
    print(f"{n} runs: memory within {worst_memory:.1f} % (wanted 5), step times within {worst_time:.1f} % (wanted 15)")
    return 0 if n and worst_memory <= 5 and worst_time <= 15 else 1


if len(sys.argv) != 4:
    sys.exit(__doc__)
sys.exit(main(*sys.argv[1:]))
