#!/usr/bin/env python3
"""Archives of tier 3, beside tar | zstd -3 of the same tree in the same run.

    archive.py BENCH_ARCHIVE FOLDER [--bytes N] [--rounds N] [--threads N]

FOLDER, on the drive that is measured, gets a tree of about --bytes (default 1 GB; databases, vectors of floats, JSON),
archives and what is extracted from them, and is left as it was. In each round everything runs in turn as whole
processes, warm cache. What reef writes is durable when it ends, what the peers write is not.

Prints a JSON line for each: median seconds of wall and of CPU, bytes, and the ratio of the medians to the peer's.
Needs tar and zstd.
"""
import argparse
import array
import json
import os
import pathlib
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time

WORDS = ("reef coral drive model memory vector persona archive restore snapshot database message turn session question "
         "answer document passage weather garden music travel kitchen winter promise letter").split()


def sentence(source):
    return " ".join(source.choice(WORDS) for _ in range(source.randrange(8, 40)))


def make_tree(root, size):
    source = random.Random(7)
    root.mkdir()
    (root / "data").mkdir()
    for persona in range(3):
        database = sqlite3.connect(root / f"data/conversations{persona}.sqlite")
        database.execute("CREATE TABLE messages(id INTEGER PRIMARY KEY, session TEXT, time TEXT, text TEXT)")
        texts = [sentence(source) for _ in range(20_000)]
        written = 0
        number = 0
        while written < size * .45 / 3:
            rows = [(f"s{number // 40}", f"2026-11-{1 + number % 28:02} 08:{number % 60:02}", f"{source.choice(texts)} {number}")
                    for number in range(number, number + 20_000)]
            number += 20_000
            written += sum(len(row[2]) + 40 for row in rows)
            database.executemany("INSERT INTO messages(session, time, text) VALUES (?, ?, ?)", rows)
        database.commit()
        database.close()
    for persona in range(2):
        block = array.array("f", (source.gauss(0, .05) for _ in range(1 << 20)))
        with open(root / f"data/vectors{persona}.npy", "wb") as out:
            for _ in range(int(size * .45 / 2 / (1 << 22))):
                out.write(block.tobytes())  # again only beyond what zstd -3 looks back
                block = block[4099:] + block[:4099]
    number = 0
    written = 0
    while written < size * .1:
        folder = root / f"data/processed/{number // 1000}"
        folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join(json.dumps({"text": sentence(source), "page": i}) for i in range(source.randrange(5, 60)))
        (folder / f"{number}.jsonl").write_text(text)
        written += len(text)
        number += 1


def measured(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(command, check=True, shell=isinstance(command, str))
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bytes", type=float, default=1e9)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="archive-bench.", dir=arguments.folder))
    try:
        tree, ours, theirs, out = work / "tree", work / "ours.tar.zst", work / "theirs.tar.zst", work / "out"
        make_tree(tree, arguments.bytes)
        threads = [str(arguments.threads)]
        runs = {
            "peer write": (f"tar -C {tree} -c . | zstd -3 -q -f -o {theirs}", theirs),
            "write": ([arguments.bench, "write", tree, ours, *threads], ours),
            "peer extract": (f"mkdir {out} && zstd -dc {theirs} | tar -C {out} -xp", None),
            "extract": ([arguments.bench, "extract", ours, out, *threads], None),
            "peer verify": (f"zstd -tq {ours}", None),
            "verify": ([arguments.bench, "verify", ours, *threads], None),
        }
        times = {name: [] for name in runs}
        sizes = {}
        for _ in range(arguments.rounds):
            for name, (command, made) in runs.items():
                shutil.rmtree(out, ignore_errors=True)
                if made:
                    made.unlink(missing_ok=True)
                os.sync()
                times[name].append(measured(command))
                if made:
                    sizes[name] = made.stat().st_size
                if name == "extract":
                    subprocess.run(["diff", "-r", tree, out], check=True)
        medians = {name: [statistics.median(part) for part in zip(*values)] for name, values in times.items()}
        total = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
        for name, (wall, cpu) in medians.items():
            line = {"what": name, "wall": round(wall, 3), "cpu": round(cpu, 3)}
            if name in sizes:
                line["ratio"] = round(sizes[name] / total, 3)
            if not name.startswith("peer"):
                peer = medians["peer " + name]
                line |= {"of_peer": round(wall / peer[0], 3), "cpu_of_peer": round(cpu / peer[1], 3)}
            print(json.dumps(line), flush=True)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
