"""Timed runs of `rookery train`, alone or side by side: tokens/s, memory of GPUs as nvidia-smi reads it, memory of the host.

A configuration is a dict: L, D, ctx, bsz (a rank's micro-batch), and where they are needed
    gpus     ranks, each with a GPU (1)           load   a weights file to begin with (otherwise fresh weights of --init normal)
    gcp      --grad_cp (0)                        steps  steps until the run is ended (20)
    flags    more words for `rookery train`       to     seconds after which it is ended anyway (200)
A run is ended once its steps are logged, so no checkpoint is written. Rates are medians after a third of the steps."""
import array
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

MODELS = {"0.19B": dict(L=12, D=768), "1.5B": dict(L=24, D=2048), "2.9B": dict(L=32, D=2560), "7.2B": dict(L=32, D=4096)}
PARAMETERS = {(12, 768): 0.1911e9, (24, 2048): 1.531e9, (32, 2560): 2.953e9, (32, 4096): 7.175e9}  # with a vocabulary of 65536
PEAK = 989e12  # dense bf16 FLOP/s of an H100 or H200


def n_cores():
    return len(os.sched_getaffinity(0))


def n_gpus():
    try:
        out = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    except OSError:
        return 0
    return sum(line.startswith("GPU") for line in out.splitlines())


def gpu_mib():
    """Memory of the smallest GPU."""
    try:
        out = subprocess.run(["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"], capture_output=True, text=True)
    except OSError:
        return 0
    return min((int(x) for x in out.stdout.split()), default=0)


def make_data(prefix, n=60_000_000):
    """A binidx of n tokens, some frequent and most rare, so that the loss moves."""
    random.seed(1)
    some = array.array("H", (min(int(random.paretovariate(0.2)), 65535) for _ in range(min(n, 1_000_000))))
    with open(prefix + ".bin", "wb") as f:
        for first in range(0, n, len(some)):
            some[:n - first].tofile(f)
    with open(prefix + ".idx", "wb") as f:
        f.write(b"MMIDIDX\0\0" + b"".join(v.to_bytes(size, "little") for v, size in
                                            ((1, 8), (8, 1), (1, 8), (2, 8), (n, 4), (0, 8), (0, 8), (1, 8))))


def prime_below(n):
    while n % 3 != 2 or not all(n % i for i in range(2, int(n**0.5) + 1)):
        n -= 1
    return n


def words(data, c):
    """The words of `rookery train` that say what a step is; `rookery plan` takes the same."""
    tokens = os.path.getsize(data + ".bin") // 2
    return ["--data_file", data, "--data_type", "binidx", "--vocab_size", "65536", "--ctx_len", str(c["ctx"]), "--micro_bsz",
            str(c["bsz"]), "--n_layer", str(c["L"]), "--n_embd", str(c["D"]), "--head_size", "64", "--magic_prime",
            str(prime_below(tokens // c["ctx"] - 1)), "--weight_decay", "0.1", "--grad_cp", str(c.get("gcp", 0)), "--lr_init", "6e-4",
            "--lr_final", "6e-5", "--warmup_steps", "10", "--precision", "bf16", "--accelerator", "cuda", "--epoch_save", "0",
            "--max_steps", "100000"] + c.get("flags", [])


def family(pid):
    """pid and everything below it."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                parents.setdefault(int(f.read().rsplit(")", 1)[1].split()[1]), []).append(int(name))
        except OSError:
            pass
    found = [pid]
    for p in found:
        found += parents.get(p, [])
    return found


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def host_kib(pid):
    """Memory of a process that is no file's."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith(("RssAnon:", "RssShmem:")))
    except OSError:
        return 0


def used_kib():
    with open("/proc/meminfo") as f:
        info = {line.split(":")[0]: int(line.split()[1]) for line in f}
    return info["MemTotal"] - info["MemAvailable"]


class Gpus:
    """Highest readings of nvidia-smi by GPU while the block lasts."""
    QUERY = ["nvidia-smi", "--query-gpu=index,memory.used", "--format=csv,noheader,nounits"]

    def __enter__(self):
        self.peak = {}
        try:
            self.smi = subprocess.Popen(self.QUERY + ["-lms", "200"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except OSError:
            self.smi = None
            return self
        self.reader = threading.Thread(target=self.read, args=(self.smi.stdout,))
        self.reader.start()
        return self

    def now(self):
        if self.smi:
            self.read(subprocess.run(self.QUERY, capture_output=True, text=True).stdout.splitlines())

    def read(self, lines):
        for line in lines:
            index, _, mib = line.partition(",")
            if mib.strip().isdigit():
                self.peak[int(index)] = max(self.peak.get(int(index), 0), int(mib))

    def __exit__(self, *_):
        if self.smi:
            self.smi.kill()
            self.smi.wait()
            self.reader.join()


class Run:
    def __init__(self, rookery, data, c, gpus, threads=None):
        self.c, self.gpus, self.rows = c, gpus, []
        self.words = words(os.path.abspath(data), c)
        self.folder = tempfile.mkdtemp(prefix="rookery-run-")
        start = ["--load_model", c["load"]] if c.get("load") else ["--init", "normal"]
        command = [os.path.abspath(rookery), "train", "--proj_dir", self.folder, "--devices", str(len(gpus))] + start + self.words
        if threads:
            command += ["--threads", str(threads)]
        self.log = open(os.path.join(self.folder, "output"), "w+")
        self.planned = self.loaded = self.first = None  # seconds after the start: memory is known, weights are there, a step is done
        self.host, self.anon_loading = 0, 0  # KiB: all ranks, the largest rank until weights are there
        self.began = time.time()
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES=",".join(map(str, gpus)))
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env=environment)

    def output(self):
        with open(os.path.join(self.folder, "output"), errors="replace") as f:
            return f.read()

    def look(self):
        """Reads what has been logged; says whether the run may be ended."""
        now = time.time() - self.began
        if self.planned is None and "memory of each of" in self.output():
            self.planned = now
        metrics = os.path.join(self.folder, "metrics.jsonl")
        if self.loaded is None and os.path.exists(metrics):
            self.loaded = now
        each = [host_kib(p) for p in family(self.process.pid)]
        self.host = max(self.host, sum(each))
        if self.loaded is None:
            self.anon_loading = max(self.anon_loading, max(each))
        else:
            with open(metrics) as f:
                self.rows = [json.loads(line) for line in f.read().split("\n")[:-1]]
            if self.rows and self.first is None:
                self.first = now
        return len(self.rows) >= self.c.get("steps", 20) or now > self.c.get("to", 200) or self.process.poll() is not None

    def end(self):
        """Returns when the memory of all ranks is free again."""
        ranks = family(self.process.pid)
        for pid in ranks:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()
        while any(map(lives, ranks)):
            time.sleep(0.05)

    def result(self, peaks, used):
        c = {k: v for k, v in self.c.items() if k != "load"}
        memory = re.search(r"memory in use on the GPU: .*", self.output())
        counted = self.rows[len(self.rows) // 3:]
        rates, seconds = [r["tokens_per_s"] for r in counted], [r["seconds"] for r in counted]
        both = self.planned is not None and self.loaded is not None
        rate = statistics.median(rates) if rates else 0
        mfu = 600 * PARAMETERS.get((c["L"], c["D"]), 0) * rate / (PEAK * len(self.gpus))  # % by 6 FLOP a parameter
        row = dict(c, ktok_s=round(rate / 1000, 2) if rates else None, mfu=round(mfu, 1),
                   step_s=round(statistics.median(seconds), 4) if rates else None, n=len(self.rows),
                   peak_smi_MiB=max((peaks.get(g, 0) for g in self.gpus), default=0), host_GiB=round(self.host / 2**20, 2),
                   host_used_GiB=round(used / 2**20, 2), first_step_s=self.first and round(self.first, 1),
                   load_s=round(self.loaded - self.planned, 1) if both else None, load_anon_MiB=round(self.anon_loading / 1024),
                   last_loss=self.rows[-1]["loss"] if self.rows else None, own=memory and memory.group(0), words=self.words)
        if not rates or c.get("show"):
            print(self.output()[-3000:], flush=True)
        return row

    def close(self):
        self.end()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def side_by_side(rookery, data, configs, threads=None):
    """Runs all configurations at the same time, each on GPUs of its own; one row each."""
    runs, before, used, first = [], used_kib(), 0, 0
    try:
        with Gpus() as gpus:
            for c in configs:
                runs.append(Run(rookery, data, c, list(range(first, first + c.get("gpus", 1))), threads))
                first += c.get("gpus", 1)
            while not all([run.look() for run in runs]):
                used = max(used, used_kib() - before)
                time.sleep(0.1)
            gpus.now()
        return [run.result(gpus.peak, used) for run in runs]
    finally:
        for run in runs:
            run.close()


def weights(rookery, model, folder):
    """A weights file of `model` in `folder`, made where there is none."""
    path, c = os.path.join(folder, model + ".pth"), MODELS[model]
    if not os.path.exists(path):
        subprocess.run([rookery, "init", "--init", "normal", "--precision", "bf16", "--vocab_size", "65536", "--head_size", "64", "--n_layer",
                        str(c["L"]), "--n_embd", str(c["D"]), path], check=True)
    return path


def stop_on_sigterm():
    """What runs is ended before this program is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))


def show(row, file=None):
    """Prints a row, without its words; all of it goes to `file`."""
    print(json.dumps({k: v for k, v in row.items() if k != "words"}), flush=True)
    if file:
        with open(file, "a") as f:
            f.write(json.dumps(row) + "\n")
