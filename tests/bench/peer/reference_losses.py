"""Runs the reference trainer (RWKV-LM, RWKV-v7/train_temp) unmodified and writes each step's loss, one JSON line a step.

usage, in its folder:  reference_losses.py LOSSES.jsonl ARGUMENTS OF train.py
Its own log has means over mini-epochs only; the numbers come through the wandb interface, for which this supplies a stand-in."""
import json
import os
import runpy
import sys
import types

log = open(sys.argv[1], "w", buffering=1)
wandb = types.ModuleType("wandb")
wandb.init = lambda **kwargs: None
wandb.log = lambda values, step=None: print(json.dumps({"step": step, **values}), file=log)
wandb.__spec__ = types.SimpleNamespace(loader=None)
sys.modules["wandb"] = wandb
sys.path.insert(0, os.getcwd())

import torch.nn.init  # noqa: E402

# Values of the reference's own initialisation do not matter here: the run loads rwkv-init.pth.
torch.nn.init.orthogonal_ = lambda tensor, gain=1: torch.nn.init.normal_(tensor, std=gain * 0.02)
sys.argv = ["train.py", "--wandb", "losses"] + sys.argv[2:]
runpy.run_path("train.py", run_name="__main__")
