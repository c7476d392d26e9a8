#!/usr/bin/env python3
"""Times RWKV-LM's own CUDA operators wkv6, wkv5 and wkv4 in bf16 at the shapes of wkv6_gpu_bench and wkv4_gpu_bench.

usage: wkv_reference.py RWKV_LM [--build] [wkv6|wkv5|wkv4 ...]
RWKV_LM: a checkout with RWKV-v5/cuda and RWKV-v4neo/cuda. --build only compiles, which takes torch, nvcc and ninja but no GPU; what it
makes (TORCH_EXTENSIONS_DIR) is found by a later run on the same files. Compiler flags are those of the trainers' model.py, and so is what
happens around a call: wkv5's and wkv4's decays in f32, sums of a batch's gradients of parameters."""
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys

os.environ.setdefault("TORCH_CUDA_ARCH_LIST", "9.0")
if not shutil.which("ninja"):  # pip puts it beside the interpreter
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    if not shutil.which("ninja") and importlib.util.find_spec("ninja"):
        import ninja
        os.environ["PATH"] = ninja.BIN_DIR + os.pathsep + os.environ["PATH"]

import torch  # noqa: E402
from torch.utils.cpp_extension import load  # noqa: E402

N = 64
FLAGS = ["-res-usage", "--use_fast_math", "-O3", "-Xptxas -O3", "--extra-device-vectorization"]
SHAPES = [(8, 32, 4096), (8, 64, 4096), (1, 32, 4096), (1, 64, 32768)]  # B, H, T; wkv4: C = 64 H
BF16 = dict(dtype=torch.bfloat16)


def extension(checkout, kind, T):
    """The operators' functions; wkv6 and wkv4 are compiled for a longest T."""
    def compiled(name, folder, sources, flags):
        paths = [os.path.join(checkout, folder, "cuda", s) for s in sources]
        load(name=name, sources=paths, is_python_module=False, extra_cuda_cflags=flags)
    if kind == "wkv6":
        compiled(f"wkv6_{T}", "RWKV-v5", ["wkv6_op.cpp", "wkv6_cuda.cu"], FLAGS + [f"-D_N_={N}", f"-D_T_={T}"])
    elif kind == "wkv5":
        compiled("wkv5", "RWKV-v5", ["wkv5_op.cpp", "wkv5_cuda.cu"], FLAGS + [f"-D_N_={N}"])
    else:
        compiled(f"wkv_{T}_bf16", "RWKV-v4neo", ["wkv_op_bf16.cpp", "wkv_cuda_bf16.cu"],
                 ["-t 4", "-std=c++17", "--maxrregcount 60"] + FLAGS + [f"-DTmax={T}"])


def normal(*shape, mean=0.0, spread=1.0):
    return (torch.randn(*shape, device="cuda") * spread + mean).to(torch.bfloat16)


def like(x, n):
    return [torch.empty_like(x) for _ in range(n)]


def calls(kind, B, H, T):
    """forward() and both(), which keeps what a trainer would until the end of backward."""
    C = H * N
    k, v, dy = normal(B, T, C), normal(B, T, C), normal(B, T, C)
    if kind == "wkv4":
        op = torch.ops.wkv
        raw, u = normal(C, mean=-1, spread=1.5), normal(C)

        def forward():
            w, y = -torch.exp(raw.float()), torch.empty_like(v)
            op.forward(B, T, C, w, u, k, v, y)
            return w, y

        def both():
            w, y = forward()
            dk, dv = like(k, 2)
            dw, du = torch.empty(B, C, device="cuda", **BF16), torch.empty(B, C, device="cuda", **BF16)
            op.backward(B, T, C, w, u, k, v, y, dy, dw, du, dk, dv)
            return dk, dv, dw.sum(0), du.sum(0)
        return forward, both
    r, u = normal(B, T, C), normal(H, N)
    if kind == "wkv6":
        w, op = normal(B, T, C, mean=-3, spread=1.5), torch.ops.wkv6

        def forward():
            y = torch.empty_like(v)
            op.forward(B, T, C, H, r, k, v, w, u, y)
            return y

        def both():
            y = forward()
            dr, dk, dv, dw = like(v, 4)
            du = torch.empty(B, C, device="cuda", **BF16)
            op.backward(B, T, C, H, r, k, v, w, u, dy, dr, dk, dv, dw, du)
            return y, dr, dk, dv, dw, du.sum(0)
        return forward, both
    raw, op = normal(H, N, mean=-3, spread=1.5), torch.ops.wkv5

    def forward():
        ew = -torch.exp(raw.float())
        eew, y = torch.exp(ew), torch.empty_like(v)
        op.forward(B, T, C, H, r, k, v, eew, u, y)
        return ew, eew, y

    def both():
        ew, eew, y = forward()
        dr, dk, dv = like(v, 3)
        dw, du = torch.empty(B, C, device="cuda", **BF16), torch.empty(B, C, device="cuda", **BF16)
        op.backward(B, T, C, H, r, k, v, eew, ew, u, dy, dr, dk, dv, dw, du)
        return y, dr, dk, dv, dw.sum(0), du.sum(0)
    return forward, both


def median_ms(call):
    times = []
    for i in range(13):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        end.synchronize()
        if i > 2:
            times.append(begin.elapsed_time(end))
    return statistics.median(times)


def row(kind, B, H, T):
    forward, both = calls(kind, B, H, T)
    both()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    both()
    torch.cuda.synchronize()
    extra = (torch.cuda.max_memory_allocated() - before) / 2**30
    print(f"{(B, H, T)} | {kind} | {median_ms(forward):.3f} | {median_ms(both):.3f} | {extra:.2f}", flush=True)


def main():
    if sys.argv[1:2] == ["--one"]:
        how, checkout, kind, T = sys.argv[2:6]
        return (extension_only if how == "build" else measure)(checkout, kind, int(T))
    arguments = [a for a in sys.argv[1:] if a != "--build"]
    if not arguments:
        sys.exit(__doc__)
    checkout, kinds = os.path.abspath(arguments[0]), arguments[1:] or ["wkv6", "wkv5", "wkv4"]
    how = "build" if "--build" in sys.argv else "measure"
    if how == "measure":
        print("shape (B, H, T) | operator | forward ms | forward+backward ms | extra GiB", flush=True)
    # torch registers an operator's name once a process, so every T of wkv6 and wkv4 has its own.
    each = [[sys.executable, os.path.abspath(__file__), "--one", how, checkout, kind, str(T)]
            for kind in kinds for T in sorted({T for _, _, T in SHAPES})]
    at_once = len(each) if how == "build" else 1
    for i in range(0, len(each), at_once):
        for process in [subprocess.Popen(command) for command in each[i:i + at_once]]:
            process.wait()


def extension_only(checkout, kind, T):
    try:
        extension(checkout, kind, T)
    except OSError as error:  # compiled, but there is no driver to load it with
        print(f"{kind}, T = {T}: compiled ({error})", flush=True)


def measure(checkout, kind, T):
    extension(checkout, kind, T)
    for B, H, length in SHAPES:
        if length == T:
            row(kind, B, H, T)


if __name__ == "__main__":
    main()
