#!/usr/bin/env python3
"""Tokens/s and memory of `rookery train` on this machine's GPUs, read as for the reference trainer: nvidia-smi's highest reading.

usage: speed.py ROOKERY DATA CONFIGS.json [ROWS.jsonl]
CONFIGS: list of configurations (tests/bench/training.py says of what), one run after the other from fresh weights. DATA: prefix of a binidx.
One JSON line each: ktok_s = median thousand tokens/s after a third of the steps, of all ranks; host memory is that of all ranks."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import training  # noqa: E402

training.stop_on_sigterm()
for c in json.load(open(sys.argv[3])):
    training.show(training.side_by_side(sys.argv[1], sys.argv[2], [c])[0], sys.argv[4] if len(sys.argv) > 4 else None)
