"""A question from a cold process to its printed answer, beside Python computing the query vector alone.

    cold_query.py BIN_DIR ROOT MODEL_FOLDER [--runs N] [--drop] [--question TEXT]

ROOT is a tree whose shared scope (or --persona) was ingested. Each run starts, in turn, `reef-index query` and
Python + onnxruntime (fp32, one thread: import, session, tokenizer, one forward pass; no search) from nothing, and takes
the time from before the start to after the exit. --drop throws every file of the tree, the executables and the model
out of the page cache before each of reef's runs. Prints one JSON line with medians and the ratio.
Needs: numpy onnx onnxruntime safetensors tokenizers.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PEER = """
import sys
import numpy as np, onnxruntime
from tokenizers import Tokenizer
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
tokenizer = Tokenizer.from_file(sys.argv[2])
tokenizer.no_padding()
ids = np.array([tokenizer.encode(sys.argv[3]).ids])
rows = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
vector = rows.mean(0)
print((vector / np.linalg.norm(vector))[:4])
"""


def drop(paths):
    for path in paths:
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file():
                descriptor = os.open(file, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)


def timed(argv, environment=None):
    begin = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment)
    return 1000 * (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--drop", action="store_true")
    parser.add_argument("--persona")
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--question", default="when did caroline go to the lgbtq support group meeting")
    arguments = parser.parse_args()
    ours = [str(arguments.bin_dir / "reef-index"), "--root", str(arguments.root), "query", arguments.question]
    if arguments.persona:
        ours += ["--persona", arguments.persona]
    with tempfile.TemporaryDirectory() as scratch:
        graph = f"{scratch}/fp32.onnx"
        if not arguments.no_peer:
            sys.path.insert(0, str(pathlib.Path(__file__).parent))
            import bert_onnx
            import onnx
            onnx.save(bert_onnx.build(arguments.model), graph)
        peer = [sys.executable, "-c", PEER, graph, str(arguments.model / "tokenizer.json"), arguments.question]
        reef_ms, peer_ms = [], []
        timed(ours)
        for run in range(arguments.runs):
            if arguments.drop:
                drop([arguments.root, arguments.bin_dir / "reef-index"])
            reef_ms.append(timed(ours))
            if not arguments.no_peer and run < 15:
                peer_ms.append(timed(peer))
    report = {"bench": "cold_query", "dropped": arguments.drop, "runs": arguments.runs,
              "reef_ms": round(statistics.median(reef_ms), 2), "reef_p90_ms": round(sorted(reef_ms)[int(.9 * len(reef_ms))], 2)}
    if peer_ms:
        report |= {"peer_ms": round(statistics.median(peer_ms), 1), "ratio": round(statistics.median(reef_ms) / statistics.median(peer_ms), 5)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
