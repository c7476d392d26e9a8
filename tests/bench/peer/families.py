#!/usr/bin/env python3
"""RWKV-5.2 and RWKV-6 beside the reference trainer (RWKV-LM, RWKV-v5/train.py, unmodified) on one GPU: tokens/s and memory of both.

usage: families.py ROOKERY RWKV_LM DATA ROWS.jsonl [CONFIGS.json]
       families.py --prepare RWKV_LM CONFIGS.json      compiles the reference's kernels, which takes CPUs only
RWKV_LM: a checkout with RWKV-v5; its trainer needs torch, pytorch-lightning 1.9.5 and deepspeed. DATA: prefix of a binidx of 16-bit tokens.
CONFIGS: a list of {arch, L, D, ctx, bsz} with, where needed, gcp and steps (ours) and their_gcp, their_bsz, their_steps, to. Both sides begin
with the same weights. Memory is nvidia-smi's highest reading; rates are medians after a third of the steps."""
import json
import os
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import training  # noqa: E402

CONFIGS = [dict(arch="x060", L=24, D=2048, ctx=4096, bsz=8, their_gcp=1, steps=16, their_steps=16),
           dict(arch="x052", L=24, D=2048, ctx=4096, bsz=8, their_gcp=1, steps=16, their_steps=16)]
ENVIRONMENT = dict(os.environ, TORCH_CUDA_ARCH_LIST="9.0", NCCL_NVLS_ENABLE="0", MAX_JOBS="4", PYTHONUNBUFFERED="1")


def prepare(checkout, configs):
    """The extensions that the reference would compile when it starts, by its own model.py; all at once."""
    running = []
    for key in sorted({(c["arch"], c["ctx"]) for c in configs}):
        environment = dict(ENVIRONMENT, RWKV_JIT_ON="0", RWKV_HEAD_SIZE_A="64", RWKV_MY_TESTING=key[0], RWKV_CTXLEN=str(key[1]),
                           RWKV_TRAIN_TYPE="", RWKV_FLOAT_MODE="bf16", TORCH_EXTENSIONS_DIR=extensions(*key))
        code = "import src.model; from deepspeed.ops.op_builder import FusedAdamBuilder; FusedAdamBuilder().load(verbose=False)"
        running.append(subprocess.Popen(["python3", "-c", code], cwd=os.path.join(checkout, "RWKV-v5"), env=environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for process in running:
        output = process.communicate()[0]
        if process.returncode:
            print(output[-3000:], flush=True)


def old_modules():
    """A folder for PYTHONPATH: the trainer imports a name of lib2to3 that it does not use, and new versions of Python have no lib2to3."""
    folder = "/tmp/reference-modules"
    for package in ("lib2to3", "lib2to3/pgen2"):
        os.makedirs(os.path.join(folder, package), exist_ok=True)
        open(os.path.join(folder, package, "__init__.py"), "w").close()
    open(os.path.join(folder, "lib2to3/pgen2/token.py"), "w").close()
    return folder


def extensions(arch, ctx):
    """Kernels of RWKV-6 are compiled for one length of samples under one name."""
    return f"/tmp/reference-extensions/{arch}-{ctx}"


def reference(checkout, data, weights, c):
    folder = f"/tmp/reference-{c['arch']}-L{c['L']}-D{c['D']}"
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        os.remove(os.path.join(folder, name))
    os.link(weights, os.path.join(folder, "rwkv-init.pth"))
    tokens, bsz = os.path.getsize(data + ".bin") // 2, c.get("their_bsz", c["bsz"])
    steps = c.get("their_steps", 16)
    command = ["python3", "train.py", "--load_model", "0", "--wandb", "", "--proj_dir", folder, "--my_testing", c["arch"], "--ctx_len",
               str(c["ctx"]), "--my_pile_stage", "3", "--epoch_count", "999999", "--epoch_begin", "0", "--data_file", data,
               "--my_exit_tokens", str(steps * bsz * c["ctx"]), "--magic_prime", str(training.prime_below(tokens // c["ctx"] - 1)),
               "--num_nodes", "1", "--micro_bsz", str(bsz), "--n_layer", str(c["L"]), "--n_embd", str(c["D"]), "--pre_ffn", "0",
               "--head_qk", "0", "--lr_init", "6e-4", "--lr_final", "6e-5", "--warmup_steps", "10", "--beta1", "0.9", "--beta2", "0.99",
               "--adam_eps", "1e-18", "--my_pile_edecay", "0", "--data_type", "binidx", "--vocab_size", "65536", "--weight_decay", "0.1",
               "--epoch_save", "1000", "--head_size_a", "64", "--accelerator", "gpu", "--devices", "1", "--precision", "bf16",
               "--strategy", "deepspeed_stage_2", "--grad_cp", str(c.get("their_gcp", 0)), "--enable_progress_bar", "True",
               "--ds_bucket_mb", "200"]
    environment = dict(ENVIRONMENT, TORCH_EXTENSIONS_DIR=extensions(c["arch"], c["ctx"]), CUDA_VISIBLE_DEVICES="0")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), old_modules()]))
    log = folder + ".log"
    with training.Gpus() as gpus, open(log, "w") as out:
        process = subprocess.Popen(command, cwd=os.path.join(checkout, "RWKV-v5"), env=environment, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        began = time.time()
        rates = []
        while process.poll() is None and time.time() - began < c.get("to", 150) and len(rates) < steps - 1:
            time.sleep(0.5)
            rates = [float(x) for x in re.findall(r"Kt/s=([\d.]+)", open(log, errors="replace").read())]
        gpus.now()
        for pid in reversed(training.family(process.pid)):
            try:
                os.kill(pid, 9)
            except OSError:
                pass
        process.wait()
    counted = rates[len(rates) // 3:]
    if not counted:
        print(open(log, errors="replace").read()[-3000:], flush=True)
    time.sleep(3)  # its memory is free again
    return dict(ktok_s=statistics.median(counted) if counted else None, peak_smi_MiB=gpus.peak.get(0, 0), n=len(rates))


def main():
    if sys.argv[1] == "--prepare":
        return prepare(sys.argv[2], json.load(open(sys.argv[3])))
    rookery, checkout, data, rows = sys.argv[1:5]
    configs = json.load(open(sys.argv[5])) if len(sys.argv) > 5 else CONFIGS
    training.stop_on_sigterm()
    for c in configs:
        weights = f"/tmp/{c['arch']}-L{c['L']}-D{c['D']}.pth"
        if not os.path.exists(weights):
            subprocess.run([rookery, "init", "--arch", c["arch"], "--init", "normal", "--precision", "bf16", "--vocab_size", "65536",
                            "--n_layer", str(c["L"]), "--n_embd", str(c["D"]), weights], check=True)
        ours = training.side_by_side(rookery, data, [dict(c, load=weights, flags=c.get("flags", []) + ["--arch", c["arch"]])])[0]
        training.show(ours, rows)
        theirs = reference(checkout, os.path.abspath(data), weights, c) if not c.get("alone") else dict(ktok_s=None, peak_smi_MiB=0)
        row = dict(row=f"{c['arch']} L{c['L']}-D{c['D']} ctx {c['ctx']} x {c['bsz']} beside the reference", reference=theirs,
                   ktok_s=ours["ktok_s"], peak_smi_MiB=ours["peak_smi_MiB"])
        if theirs["ktok_s"] and ours["ktok_s"]:
            row.update(speed=round(ours["ktok_s"] / theirs["ktok_s"], 3), memory=round(ours["peak_smi_MiB"] / theirs["peak_smi_MiB"], 3))
        training.show(row, rows)


main()
