#!/usr/bin/env python3
"""Many GPUs of one machine against as many one-GPU runs at the same time, and offload against none: tokens/s, memory, ratios.

usage: scale.py ROOKERY DATA WEIGHTS ROWS.jsonl [--sets SET...] [--gpus N] [--keep all|less]
DATA: prefix of a binidx. WEIGHTS: folder of weights files, which are made where they are missing. Rows are printed and added to ROWS.jsonl:
    scale    1.5B, ctx 4096, micro_bsz 8: `ratio` = tokens/s of ZeRO-1, 2, 3 over N times the slowest of N one-GPU runs
    small    the same with micro_bsz 1
    offload  1.5B, 262144 tokens a step and GPU, and micro_bsz 1: `times` = step time over that of the row before, which is not offloaded
    large    7.2B, ctx 4096, on all GPUs: `mfu`
--keep: what backward needs, in all rows alike (less on GPUs below 100 GiB, else all)."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import training  # noqa: E402

OFFLOAD = ["--strategy", "deepspeed_stage_2_offload"]


def configuration(name, model, bsz, flags, **more):
    return dict(row=name, ctx=4096, bsz=bsz, flags=flags, **training.MODELS[model], **more)


class Bench:
    def __init__(self, o):
        self.o, self.keep = o, ["--keep", o.keep]

    def measure(self, configs, **extra):
        threads = max(1, training.n_cores() // len(configs)) if len(configs) > 1 else None
        rows = training.side_by_side(self.o.rookery, self.o.data, configs, threads)
        slowest = min(rows, key=lambda row: row["ktok_s"] or 0)
        return dict(slowest, **extra)

    def scale(self, bsz, steps, stages=(1, 2, 3)):
        load = training.weights(self.o.rookery, "1.5B", self.o.weights)
        one = configuration(f"1.5B x {bsz}, one GPU, {self.o.gpus} at once", "1.5B", bsz, self.keep, steps=steps, load=load)
        alone = self.measure([one] * self.o.gpus)
        training.show(alone, self.o.rows)
        for zero in stages:
            row = self.measure([configuration(f"1.5B x {bsz}, {self.o.gpus} GPUs, ZeRO-{zero}", "1.5B", bsz,
                                              self.keep + ["--zero", str(zero)], steps=steps, load=load, gpus=self.o.gpus)])
            if row["ktok_s"] and alone["ktok_s"]:
                row["ratio"] = round(row["ktok_s"] / (self.o.gpus * alone["ktok_s"]), 4)
            training.show(row, self.o.rows)

    def offload(self, gpus):
        load = training.weights(self.o.rookery, "1.5B", self.o.weights)
        for bsz, accumulate, steps in ((8, 8, 6), (1, 1, 15)):
            step_s = None
            for kind, flags in (("not offloaded", ["--zero", "2"]), ("offload", OFFLOAD)):
                row = self.measure([configuration(f"1.5B x {bsz} x {accumulate}, {gpus} GPUs, {kind}", "1.5B", bsz,
                                                  self.keep + flags + ["--accumulate_grad_batches", str(accumulate)], steps=steps,
                                                  load=load, gpus=gpus)])
                if step_s and row["step_s"]:
                    row["times"] = round(row["step_s"] / step_s, 3)
                step_s = row["step_s"]
                training.show(row, self.o.rows)

    def large(self):
        load = training.weights(self.o.rookery, "7.2B", self.o.weights)
        for zero, bsz, gcp in ((3, 4, 1), (2, 4, 1), (3, 2, 0)):
            row = self.measure([configuration(f"7.2B x {bsz}, {self.o.gpus} GPUs, ZeRO-{zero}, grad_cp {gcp}", "7.2B", bsz,
                                              ["--zero", str(zero)], gcp=gcp, steps=10, load=load, gpus=self.o.gpus)])
            training.show(row, self.o.rows)


p = argparse.ArgumentParser(usage=__doc__)
for name in ("rookery", "data", "weights", "rows"):
    p.add_argument(name)
p.add_argument("--sets", nargs="+", default=["scale", "small", "offload"], choices=["scale", "small", "offload", "large"])
p.add_argument("--gpus", type=int, default=training.n_gpus())
p.add_argument("--keep", choices=["all", "less"], default="all" if training.gpu_mib() > 100 * 1024 else "less")
o = p.parse_args()
training.stop_on_sigterm()
bench = Bench(o)
for what in o.sets:
    if what == "scale":
        bench.scale(8, 18)
    elif what == "small":
        bench.scale(1, 60)
    elif what == "offload":
        bench.offload(o.gpus)
    else:
        bench.large()
