#!/usr/bin/env python3
"""Our tokenizers beside those of PyPI, on the same texts, in one run, on one core.

    tests/bench/tokenizer_peers.py build/release/bin/tokenizer_bench ENGLISH.txt SPANISH.txt ...

Peers that are installed are measured: pip install rwkv pyrwkv-tokenizer tokenizers. Rows with `documents` call the tokenizer once for each
line of the text, those with `whole` once for all of it. MiB of text a second of processor time, the best of several turns; the turns of all
go round in a circle, so that a busy machine hurts all alike. Ids are compared.
"""
import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def peers(neox_file):
    """(kind, program) -> a function from a text to its ids"""
    found = {}
    try:
        import pyrwkv_tokenizer

        rust = pyrwkv_tokenizer.RWKVTokenizer()
        found["world", "pyrwkv-tokenizer"] = rust.encode
    except ImportError:
        print("pyrwkv-tokenizer is not installed", file=sys.stderr)
    try:
        import rwkv.rwkv_tokenizer as reference

        folder = os.path.dirname(reference.__file__)
        trie = reference.TRIE_TOKENIZER(os.path.join(folder, "rwkv_vocab_v20230424.txt"))
        found["world", "rwkv (Python trie)"] = trie.encode
    except ImportError:
        print("rwkv is not installed", file=sys.stderr)
    try:
        from tokenizers import Tokenizer

        hf = Tokenizer.from_file(neox_file)
        found["neox", "tokenizers"] = lambda text: hf.encode(text, add_special_tokens=False).ids
    except ImportError:
        print("tokenizers is not installed", file=sys.stderr)
    return found


def ours(bench, text_file, kind, way, ids_file):
    """Seconds of processor time and ids, by the bench's own clock."""
    words = subprocess.run([bench, text_file, "--once=" + kind, "--way=" + way, "--ids=" + ids_file], check=True, capture_output=True, text=True)
    data = open(ids_file, "rb").read()
    return float(words.stdout), list(struct.unpack("<%di" % (len(data) // 4), data))


def timed(encode, documents):
    began = time.process_time()
    ids = [encode(document) for document in documents]
    return time.process_time() - began, [i for part in ids for i in part]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="tokenizer_bench of the build")
    parser.add_argument("texts", nargs="+", help="files of UTF-8 text")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--kinds", default="world,neox")
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    bench, texts, turns_wanted, kinds = given.bench, given.texts, given.turns, given.kinds.split(",")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = peers(os.path.join(root, "configs", "vocab", "20B_tokenizer.json"))
    print("%-14s %-6s %-22s %-10s %10s %8s  %s" % ("text", "ids", "program", "way", "MiB/s", "ours is", "ids"))
    for path in texts:
        text = open(path, encoding="utf-8", newline="").read()
        n_bytes = len(text.encode())
        ways = {"whole": [text], "documents": text.split("\n")}
        rows = {}
        with tempfile.TemporaryDirectory() as folder:
            for turn in range(turns_wanted):
                for way, documents in ways.items():
                    for kind in kinds:
                        rows.setdefault((kind, way, "rookery"), []).append(ours(bench, path, kind, way, os.path.join(folder, "ids")))
                    for (kind, name), encode in found.items():
                        slow = name.startswith("rwkv ") or kind == "neox"
                        if kind in kinds and turn < (2 if slow else turns_wanted):
                            rows.setdefault((kind, way, name), []).append(timed(encode, documents))
        for (kind, way, name), turns in sorted(rows.items()):
            best = min(seconds for seconds, _ in turns)
            mine = rows[kind, way, "rookery"]
            ratio = best / min(seconds for seconds, _ in mine)
            same = "same" if turns[0][1] == mine[0][1] else "OTHER"
            label = os.path.basename(path)[:14]
            print("%-14s %-6s %-22s %-10s %10.1f %7.1fx  %s" % (label, kind, name, way, n_bytes / best / 2**20, ratio, same))


if __name__ == "__main__":
    main()
