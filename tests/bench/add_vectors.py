"""New vectors into a large store: `reef-index add` of some rows and a `query --vector` that sees them, whole processes.

    add_vectors.py BIN_DIR [--rows 125000] [--dim 384] [--add 1000] [--runs 9] [--work DIR]

Makes a tree with one store that has a graph over --rows random vectors (kept in --work, and used again, when that is
given), then adds --add more in each run, as a file of their own, and asks for the last of them. Prints JSON lines: one
for the store, and one with medians in milliseconds. Ends with 1 when a question does not find its row first.
"""
import argparse
import array
import json
import os
import pathlib
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time


def write_npy(path, rows, dim, seed):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, dim)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    generator = random.Random(seed)
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        for _ in range(rows):
            file.write(array.array("f", array.array("h", generator.randbytes(2 * dim))).tobytes())


def write_texts(path, first, rows):
    words = "harbour rope sail anchor winter pitch oakum pier tide lamp keeper storm".split()
    generator = random.Random(first)
    with open(path, "w") as file:
        for i in range(first, first + rows):
            text = " ".join(generator.choice(words) for _ in range(40))
            file.write(json.dumps({"id": f"v{i}", "title": f"Title {i}", "text": f"{text} number{i}"}) + "\n")


class Reef:
    def __init__(self, bin_dir, root):
        self.command, self.root = str(bin_dir / "reef-index"), str(root)

    def run(self, *arguments):
        begin = time.perf_counter()
        done = subprocess.run([self.command, "--root", self.root, *map(str, arguments)], check=True, capture_output=True)
        return 1000 * (time.perf_counter() - begin), done.stdout


def make_store(arguments, work, reef):
    subprocess.run([str(arguments.bin_dir / "reef-init"), "--root", reef.root, "-q"], check=True)
    write_npy(work / "base.npy", arguments.rows, arguments.dim, 1)
    write_texts(work / "base.jsonl", 0, arguments.rows)
    ms, out = reef.run("build", "--vectors", work / "base.npy", "--metadata", work / "base.jsonl", "--embedding", "random", "--json")
    print(json.dumps({"bench": "build_vectors", "rows": arguments.rows, "dim": arguments.dim, "seconds": round(ms / 1000, 1),
                      "recall_at_10": json.loads(out)["recall_at_10"]}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=125_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--add", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--work", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.runs * arguments.add * 10 > arguments.rows:
        parser.error("so many rows would have the graph built anew in between")
    os.environ["LC_ALL"] = "C"
    scratch = arguments.work or pathlib.Path(tempfile.mkdtemp(prefix="reef-add."))
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        kept = scratch / "tree"
        if not kept.exists():
            make_store(arguments, scratch, Reef(arguments.bin_dir, kept))
        shutil.rmtree(scratch / "grown", ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", str(kept), str(scratch / "grown")], check=True)
        os.sync()  # the copy's pages are not what is measured
        reef = Reef(arguments.bin_dir, scratch / "grown")
        adds, queries, found = [], [], True
        for run in range(arguments.runs):
            first = arguments.rows + run * arguments.add
            write_npy(scratch / "new.npy", arguments.add, arguments.dim, first)
            write_texts(scratch / "new.jsonl", first, arguments.add)
            row = (scratch / "new.npy").read_bytes()[-4 * arguments.dim:]
            write_npy(scratch / "question.npy", 1, arguments.dim, 0)
            question = (scratch / "question.npy").read_bytes()[:-4 * arguments.dim] + row
            (scratch / "question.npy").write_bytes(question)
            ms, out = reef.run("add", "--vectors", scratch / "new.npy", "--metadata", scratch / "new.jsonl", "--json")
            adds.append(ms)
            rebuilt = json.loads(out)["rebuilt"]
            ms, out = reef.run("query", "--vector", scratch / "question.npy", "--json", "-k", 3, "--no-touch")
            queries.append(ms)
            best = json.loads(out)["results"][0]
            found &= best["document"]["id"] == f"v{first + arguments.add - 1}" and not rebuilt
        both = [a + q for a, q in zip(adds, queries)]
        print(json.dumps({"bench": "add_vectors", "rows": arguments.rows, "dim": arguments.dim, "added": arguments.add,
                          "runs": arguments.runs, "found": found, "add_ms": round(statistics.median(adds), 1),
                          "query_ms": round(statistics.median(queries), 1), "both_ms": round(statistics.median(both), 1),
                          "both_max_ms": round(max(both), 1)}))
        return 0 if found else 1
    finally:
        if not arguments.work:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
