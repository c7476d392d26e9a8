#!/usr/bin/env python3
"""Logits of a weights file in the Python package `rwkv` (fp32 on the CPU) beside ours.

usage: rwkv_package.py ROOKERY MODEL.pth [TOKENS]     needs the packages rwkv, torch, safetensors; prints the largest difference over the rms"""
import os
import subprocess
import sys
import tempfile

os.environ.update(RWKV_JIT_ON="0", RWKV_CUDA_ON="0")
rookery, path = sys.argv[1:3]
n = int(sys.argv[3]) if len(sys.argv) > 3 else 40
import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

weights = torch.load(path, map_location="cpu")
vocabulary = weights["emb.weight"].shape[0]
if any("att.r_k" in name for name in weights):
    os.environ["RWKV_V7_ON"] = "1"
from rwkv.model import RWKV  # noqa: E402

ids = [(i * i * 7 + 3 * i + 1) % vocabulary for i in range(n)]
with tempfile.TemporaryDirectory() as folder:
    out = os.path.join(folder, "logits.safetensors")
    subprocess.run([rookery, "eval", "logits", path, " ".join(map(str, ids)), out, "--tokenizer", "ids", "--precision", "fp32",
                    "--accelerator", "cpu"], check=True)
    ours = load_file(out)["logits"].double()
model = RWKV(model=path.removesuffix(".pth"), strategy="cpu fp32")
state, theirs = None, []
for i in ids:
    logits, state = model.forward([i], state)
    theirs.append(logits.double().reshape(-1))
theirs = torch.stack(theirs)
difference = (ours - theirs).abs().max().item()
print(f"{path}: {n} tokens, largest difference {difference:.3g}, over the rms of all logits {difference / theirs.square().mean().sqrt().item():.3g}")
