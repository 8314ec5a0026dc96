"""The local encoder beside ONNX Runtime on one model. Prints JSON lines; status 4 when a bound is missed.

    encoder.py accuracy BENCH MODEL_FOLDER LINES        1,000 lines: cosine to fp32 of each path
    encoder.py isas     BENCH MODEL_FOLDER LINES        the same bytes on every instruction set
    encoder.py stsb     BENCH MODEL_FOLDER STSB.csv     Spearman with the people's scores
    encoder.py bulk     BENCH MODEL_FOLDER LINES        tokens/s on 128-token chunks, 2 threads, same run
    encoder.py cold     BENCH MODEL_FOLDER              one question from a fresh process, beside Python's

BENCH is the executable bench_encoder. Needs: numpy onnx onnxruntime safetensors tokenizers scipy.
"""
import argparse
import csv
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

# This folder comes first on Python's path and has a safetensors.py: the package must win.
sys.path.append(sys.path.pop(0))

import numpy as np  # noqa: E402

QUESTION = "when did caroline go to the lgbtq support group meeting"
BOUNDS = {"reference": .9999, "query": .9993, "bulk": .998}
CHUNK = 128


class Run:
    """One model, one scratch folder, and the peers made from it on demand."""

    def __init__(self, bench, folder, scratch):
        self.bench, self.folder, self.scratch = bench, pathlib.Path(folder), pathlib.Path(scratch)
        self.cls = "bge" in self.folder.name
        self.missed = False

    def ours(self, *arguments, isa=None):
        """The last JSON line that bench_encoder printed."""
        environment = dict(os.environ, **({"REEF_ISA": isa} if isa else {}))
        mode, *rest = map(str, arguments)
        output = subprocess.run([self.bench, mode, self.folder, self.scratch / "cache", *rest], env=environment,
                                check=True, capture_output=True, text=True).stdout
        return json.loads(output.splitlines()[-1])

    def vectors(self, way, lines, isa=None):
        target = self.scratch / f"{way}.vectors"
        report = self.ours("vectors", way, lines, target, isa=isa)
        return np.fromfile(target, np.float32).reshape(report["texts"], report["dim"])

    @functools.cached_property
    def graphs(self):
        import bert_onnx
        import onnx
        fp32, w8a8 = str(self.scratch / "fp32.onnx"), str(self.scratch / "w8a8.onnx")
        onnx.save(bert_onnx.build(self.folder), fp32)
        bert_onnx.quantise(fp32, w8a8)
        return {"fp32": fp32, "w8a8": w8a8}

    def session(self, kind, threads):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(self.graphs[kind], options)

    def tokenizer(self, longest):
        from tokenizers import Tokenizer
        result = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        result.no_padding()
        result.enable_truncation(longest)
        return result

    def peer_vectors(self, kind, lines):
        model, words = self.session(kind, 2), self.tokenizer(256)
        result = []
        for line in lines:
            rows = tokens(model, np.array([words.encode(line).ids]))[0]
            pooled = rows[0] if self.cls else rows.mean(0)
            result.append(pooled / np.linalg.norm(pooled))
        return np.array(result)

    def report(self, holds=True, **values):
        self.missed |= not holds
        print(json.dumps({**values, "holds": bool(holds)}), flush=True)


def tokens(model, ids):
    return model.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]


def accuracy(run, path):
    lines = [line for line in pathlib.Path(path).read_text().splitlines() if line][:1000]
    shortened = run.scratch / "lines.txt"
    shortened.write_text("".join(line + "\n" for line in lines))
    exact = run.peer_vectors("fp32", lines)
    for way, bound in BOUNDS.items():
        cosines = (run.vectors(way, shortened) * exact).sum(1)
        # The reference must hold on every line, the others in the mean.
        figure = cosines.min() if way == "reference" else cosines.mean()
        run.report(figure >= bound, measure="cosine", path=way, texts=len(lines), mean=round(float(cosines.mean()), 6),
                   min=round(float(cosines.min()), 6), bound=bound)
    peer = (run.peer_vectors("w8a8", lines) * exact).sum(1)
    run.report(measure="cosine", path="onnxruntime w8a8", mean=round(float(peer.mean()), 6),
               min=round(float(peer.min()), 6))


def isas(run, path):
    for way in ("query", "bulk"):
        best = run.vectors(way, path).tobytes()
        for isa in ("avx2", "baseline"):
            run.report(run.vectors(way, path, isa).tobytes() == best, measure="bytes", path=way, isa=isa)


def stsb(run, path, near):
    from scipy.stats import spearmanr
    with open(path, newline="", encoding="utf-8") as file:
        rows = [(" ".join(row[0].split()), " ".join(row[1].split()), float(row[2])) for row in csv.reader(file)]
    sides = []
    for side in (0, 1):
        sides.append(run.scratch / f"side{side}.txt")
        sides[side].write_text("".join(row[side] + "\n" for row in rows))
    for way in ("query", "bulk"):
        cosines = (run.vectors(way, sides[0]) * run.vectors(way, sides[1])).sum(1)
        spearman = float(spearmanr(cosines, [row[2] for row in rows])[0])
        run.report(near is None or abs(spearman - near) <= .005, measure="stsb", path=way, pairs=len(rows),
                   spearman=round(spearman, 4))


def best_rate(work, count):
    """Tokens per second of wall and of CPU time, the best of four runs."""
    wall = cpu = float("inf")
    for _ in range(4):
        begin, used = time.perf_counter(), time.process_time()
        work()
        wall, cpu = min(wall, time.perf_counter() - begin), min(cpu, time.process_time() - used)
    return {"tokens_per_second": round(count / wall), "tokens_per_cpu_second": round(count / cpu)}


def bulk(run, path):
    chunks = run.scratch / "chunks.txt"
    first = run.ours("bulk", path, chunks)
    words = run.tokenizer(CHUNK)
    ids = np.array([words.encode(line).ids for line in chunks.read_text().splitlines()])
    peers = {}
    for kind in ("fp32", "w8a8"):
        model = run.session(kind, 2)

        def work(model=model):
            for at in range(0, len(ids), 16):
                tokens(model, ids[at:at + 16])

        peers[kind] = best_rate(work, ids.size)
        run.report(measure="bulk", path="onnxruntime " + kind, **peers[kind])
    second = run.ours("bulk", path, chunks)  # before and after the peers: the machine may be shared
    for key in ("tokens_per_second", "tokens_per_cpu_second"):
        ours = (first[key] + second[key]) / 2
        run.report(key.find("cpu") >= 0 or ours >= 1.25 * peers["w8a8"][key], measure="bulk", path="reef",
                   figure=key, value=round(ours), times_w8a8=round(ours / peers["w8a8"][key], 2))


def peer_once(graph, words):
    """What a Python program does for one question; run in a process of its own."""
    import onnxruntime
    from tokenizers import Tokenizer
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = onnxruntime.InferenceSession(graph, options)
    tokenizer = Tokenizer.from_file(words)
    tokenizer.no_padding()
    rows = tokens(model, np.array([tokenizer.encode(QUESTION).ids]))[0].mean(0)
    print(rows[0] / np.linalg.norm(rows))


def cold(run):
    run.report(measure="cold", path="reef", **run.ours("cold", 50))
    run.report(measure="cold", path="reef", **run.ours("cold", 20, "drop"))
    run.report(measure="warm", path="reef", **run.ours("warm"))
    for kind, graph in run.graphs.items():
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            subprocess.run([sys.executable, __file__, "peer-once", graph, run.folder / "tokenizer.json"], check=True,
                           stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - begin)
        run.report(measure="cold", path="onnxruntime " + kind, start_to_exit_ms=round(1e3 * float(np.median(times))))


def main():
    if sys.argv[1:2] == ["peer-once"]:
        return peer_once(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=["accuracy", "isas", "stsb", "bulk", "cold"])
    parser.add_argument("bench")
    parser.add_argument("folder")
    parser.add_argument("input", nargs="?")
    parser.add_argument("--near", type=float, help="stsb: the published figure, to be met within .005")
    options = parser.parse_args()
    if (options.input is None) != (options.measure == "cold"):
        parser.error("accuracy, isas, stsb and bulk take one input file, cold takes none")
    with tempfile.TemporaryDirectory() as scratch:
        run = Run(options.bench, options.folder, scratch)
        more = [options.near] if options.measure == "stsb" else []
        globals()[options.measure](run, *([options.input] if options.input else []), *more)
        return 4 if run.missed else 0


if __name__ == "__main__":
    sys.exit(main())
