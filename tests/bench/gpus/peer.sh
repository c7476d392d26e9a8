#!/usr/bin/env bash
# Rookery beside the reference trainer on all GPUs of one machine, in one go: 0.19B (ctx 4096, 16 a GPU) and 1.5B (ctx 4096, 8 a GPU).
# usage: peer.sh ROOKERY REFERENCE ROWS.jsonl     trains both and prints ratios of tokens/s and memory
#        peer.sh --prepare REFERENCE              compiles the reference's kernels and makes its data, which takes CPUs only
# REFERENCE: a folder with run.sh CONFIGS.json and peer.py CONFIGS.json, which train RWKV-LM's RWKV-v7/train_temp (folder train_temp, data in
# train_temp/data/d) for every configuration {L, D, ctx, bsz, gcp, dev, steps} and print a JSON line with ktok_s and peak_smi_MiB.
set -uo pipefail
[ $# -ge 2 ] || { sed -n '2,7p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
reference=$(realpath "$2")
packages=/tmp/peer-site # where run.sh puts them
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM

prepare() {
  echo '[]' > "$work/none.json"
  OUT=$work "$reference/run.sh" "$work/none.json"
}
if [ "$1" = --prepare ]; then
  prepare
  exit
fi
rookery=$(realpath "$1") rows=$3
[ -d "$packages" ] && [ -e "$reference/train_temp/data/d.idx" ] || prepare
n_gpus=$(nvidia-smi -L | grep -c '^GPU')
# The reference starts from our fresh weights, which are there sooner than its own.
for size in "12 768" "24 2048"; do
  read -r layers width <<< "$size"
  folder=$reference/train_temp/out/L$layers-D$width
  mkdir -p "$folder"
  if [ ! -e "$folder/rwkv-init.pth" ]; then
    "$rookery" init --init normal --precision bf16 --n_layer "$layers" --n_embd "$width" --vocab_size 65536 --head_size 64 "$folder/rwkv-init.pth"
  fi
done
# The best row of each: the reference needs recomputation at 1.5B.
cat > "$work/theirs.json" << END
[{"L": 12, "D": 768, "ctx": 4096, "bsz": 16, "gcp": 0, "dev": $n_gpus, "steps": 30, "to": 90},
 {"L": 24, "D": 2048, "ctx": 4096, "bsz": 8, "gcp": 1, "dev": $n_gpus, "steps": 22, "to": 120}]
END
python3 - "$reference" "$n_gpus" > "$work/ours.json" << 'END'
import json, sys
out = sys.argv[1] + "/train_temp/out"
rows = []
for L, D, bsz, zeros, steps in ((12, 768, 16, (1, 2), 40), (24, 2048, 8, (1, 2), 24)):
    for zero in zeros:
        rows.append({"row": f"L{L}-D{D} x {bsz}, ZeRO-{zero}", "L": L, "D": D, "ctx": 4096, "bsz": bsz, "gpus": int(sys.argv[2]), "steps": steps,
                     "load": f"{out}/L{L}-D{D}/rwkv-init.pth", "flags": ["--zero", str(zero)]})
print(json.dumps(rows))
END
python3 "$here/../peer/speed.py" "$rookery" "$reference/train_temp/data/d" "$work/ours.json" "$work/ours.jsonl"
cat "$work/ours.jsonl" >> "$rows"
outside=${LD_LIBRARY_PATH:-}
outside=${outside#"$(dirname "$(dirname "$rookery")")/lib:"} # libraries beside our program are not meant for it
(cd "$reference/train_temp" && OUT=$work LD_LIBRARY_PATH=$outside PYTHONPATH=$packages TORCH_CUDA_ARCH_LIST=9.0 NCCL_NVLS_ENABLE=0 python3 ../peer.py "$work/theirs.json")
python3 - "$work" "$rows" << 'END'
import json, os, sys
work, rows = sys.argv[1:]
ours = [json.loads(line) for line in open(work + "/ours.jsonl")]
theirs = json.load(open(work + "/peer.json")) if os.path.exists(work + "/peer.json") else []
for t in theirs:
    if not t["ktok_s"]:
        continue
    best = max((o for o in ours if (o["L"], o["D"]) == (t["L"], t["D"])), key=lambda o: o["ktok_s"] or 0)
    row = {"row": f"L{t['L']}-D{t['D']} x {t['bsz']} on {t['dev']} GPUs beside the reference", "reference_ktok_s": t["ktok_s"],
           "ktok_s": best["ktok_s"], "ratio": round((best["ktok_s"] or 0) / t["ktok_s"], 3), "reference_MiB": t["peak_smi_MiB"],
           "peak_smi_MiB": best["peak_smi_MiB"], "flags": best["flags"]}
    print(json.dumps(row), flush=True)
    open(rows, "a").write(json.dumps(row) + "\n")
END
