"""A persona with a year of talk: what consolidation costs beside the embedder, and searches beside those of a small one.

    conversations.py BIN_DIR ROOT [--messages 100000] [--small 1000] [--runs 11]

ROOT, made on an earlier run or by `reef-init --root ROOT` and scripts/fetch-embedding-model, has a default embedding model.
Adds the personas `year` and `week` with as many messages (words as the manual's pages have them, two speakers, sessions
of forty over a year), indexes and consolidates them, unless they are there. Prints JSON lines: the share of index and
consolidate that is not the embedder's; what a second consolidation costs; and whole processes of searches in turn, in
both personas, over turns and over memories. Ends with 1 when an answer is empty.
"""
import argparse
import datetime
import itertools
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

STARTS = ["I think", "My sister said", "Do you remember", "We went to", "Yes,", "Hm,", "Please remember", "Alice likes",
          "Next week", "Did you see", "In 2024", "He told me", "I love", "I hate"]


def vocabulary():
    """Words of the manual and how often each stands there."""
    words = {}
    for page in sorted((pathlib.Path(__file__).parents[2] / "man").glob("*.scd.in")):
        for word in re.findall(r"[a-z]{2,}", page.read_text(encoding="utf-8")):
            words[word] = words.get(word, 0) + 1
    return list(words), list(itertools.accumulate(words.values()))


def write_messages(path, count, seed):
    generator = random.Random(seed)
    words, weights = vocabulary()
    begin = datetime.datetime(2025, 1, 1)
    sessions = -(-count // 40)
    with open(path, "w", encoding="utf-8") as file:
        for i in range(count):
            text = f"{generator.choice(STARTS)} {' '.join(generator.choices(words, cum_weights=weights, k=generator.randint(4, 36)))}"
            at = begin + datetime.timedelta(days=365 * (i // 40) / sessions, seconds=20 * (i % 40))
            file.write(json.dumps({"session": f"{seed}-{i // 40}", "id": f"m{i}", "role": ("user", "assistant")[i % 2],
                                   "speaker": ("Melanie", "Caroline")[i % 2], "content": text + ".?!"[generator.randrange(3)],
                                   "created_at": at.strftime("%Y-%m-%dT%H:%M:%SZ")}) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("root")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=11)
    arguments = parser.parse_args()
    os.environ.update(LC_ALL="C", REEF_ROOT=arguments.root)

    def run(*command):
        begin = time.perf_counter()
        done = subprocess.run([arguments.bin_dir / command[0], *map(str, command[1:])], check=True, capture_output=True, text=True)
        return time.perf_counter() - begin, done.stdout

    def consolidate(persona):
        taken, out = run("reef-memory", "consolidate", "--persona", persona, "--now", "2026-06-01", "--json")
        return taken, json.loads(out)

    there = set()
    if (pathlib.Path(arguments.root) / "data/conversations/conversations.sqlite").exists():
        there = {json.loads(line)["persona"] for line in run("reef-session", "list", "--json")[1].splitlines()}
    for persona, count in (("week", arguments.small), ("year", arguments.messages)):
        if persona in there:
            continue
        run("reef-init", "--persona", persona, "-q")
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as talk:
            write_messages(talk.name, count, seed=count)
            taken, _ = run("reef-session", "import", talk.name, "--persona", persona, "-q")
        print(json.dumps({"bench": "import", "messages": count, "seconds": round(taken, 2), "messages_per_second": round(count / taken)}), flush=True)
        indexed = json.loads(run("bench_turns", arguments.root, persona)[1])
        taken, report = consolidate(persona)
        whole = indexed["seconds"] + taken
        print(json.dumps({"bench": "consolidate", "messages": count, "index_seconds": indexed["seconds"],
                          "embedder_seconds": indexed["embedder_seconds"], "decide_seconds": round(taken, 2),
                          "not_embedder": round(1 - indexed["embedder_seconds"] / whole, 3), "memories": report["memories"]}), flush=True)
    again, report = consolidate("year")
    print(json.dumps({"bench": "consolidate again", "messages": arguments.messages, "seconds": round(again, 3)}), flush=True)

    words, weights = vocabulary()
    generator = random.Random(11)
    questions = [" ".join(generator.choices(words, cum_weights=weights, k=6)) for _ in range(arguments.runs)]
    for command, name in (("reef-session", "turns"), ("reef-memory", "memories")):
        taken = {"week": [], "year": []}
        for question in ["once before", *questions]:  # in turns: what else the machine does meets both
            for persona, times in taken.items():
                seconds, out = run(command, "search", question, "--persona", persona, "--no-touch", "--json")
                if not json.loads(out)["results"]:
                    sys.exit(f"nothing was found in {persona}: {question}")
                times.append(seconds)
        week, year = (1000 * statistics.median(times[1:]) for times in taken.values())
        print(json.dumps({"bench": f"search {name}", "small_ms": round(week, 1), "large_ms": round(year, 1),
                          "bound_ms": round(1.5 * week + 10, 1)}), flush=True)


if __name__ == "__main__":
    main()
