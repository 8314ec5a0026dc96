#!/usr/bin/env python3
"""How well importance tells which turns of conversations later answer questions.

usage: importance.py BIN_DIR DATA_DIR [--root DIR] [--min-auc X] [--max-share X] [--min-kept X]
DATA_DIR: corpus.jsonl, queries.jsonl and qrels.tsv, as data/locomo of the labelled data; a scope is one persona. Prints the
AUC of the score and of the four signals alone (emotion + request + being unlike + reference), over all turns and as the mean
over conversations, the share of turns that are kept and the share of each question's evidence among them. With --root, a tree
with an embedding model, turns are compared with all turns before them; needs numpy then. Status 1 when a bound is missed.
"""
import argparse, json, subprocess, sys, tempfile
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

p = argparse.ArgumentParser()
p.add_argument("bin"), p.add_argument("data"), p.add_argument("--root")
p.add_argument("--min-auc", type=float, default=0), p.add_argument("--max-share", type=float, default=1)
p.add_argument("--min-kept", type=float, default=0), p.add_argument("-v", action="store_true", help="every term, every conversation")
a = p.parse_args()


def auc(scores, labels):
    """Probability that a labelled turn scores above another one, ties counted half."""
    ranked, rank_sum, at = sorted(zip(scores, labels)), 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        rank_sum += sum(label for _, label in ranked[at:end]) * (at + end + 1) / 2
        at = end
    hits = sum(labels)
    return (rank_sum - hits * (hits + 1) / 2) / (hits * (len(ranked) - hits))


def when(text):
    for pattern in ("%I:%M %p on %d %B, %Y", "%d.%m.%Y, %H:%M:%S", "%Y-%m-%d %H:%M:%S"):
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            pass
    return datetime(2024, 1, 1)


turns = [json.loads(line) for line in open(Path(a.data) / "corpus.jsonl", encoding="utf-8") if line.strip()]
evidence = defaultdict(set)
for line in (Path(a.data) / "qrels.tsv").read_text().splitlines():
    query, turn, grade = (line.split("\t") + ["", ""])[:3]
    if grade.isdigit() and int(grade) > 0:
        evidence[query].add(turn)
wanted = set().union(*evidence.values())
place = defaultdict(int)
for turn in turns:
    turn["content"] = turn["text"] + (f" [image: {turn['caption']}]" if turn.get("caption") else "")
    turn["created_at"] = (when(turn["date"]) + timedelta(seconds=20 * place[turn["scope"]])).strftime("%Y-%m-%dT%H:%M:%SZ")
    place[turn["scope"]] += 1
if a.root:
    import numpy
    with tempfile.TemporaryDirectory() as work:
        batch, vectors = Path(work) / "batch.jsonl", Path(work) / "vectors.npy"
        batch.write_text("".join(json.dumps({"id": t["id"], "text": t["content"]}) + "\n" for t in turns))
        subprocess.run([f"{a.bin}/reef-index", "embed", "--root", a.root, "--batch", batch, "-o", vectors, "-q"], check=True)
        rows, before = numpy.load(vectors), defaultdict(list)
    for i, turn in enumerate(turns):
        earlier = before[turn["scope"]]
        turn["nearest"] = float((rows[earlier] @ rows[i]).max()) if earlier else 0.0
        earlier.append(i)
answer = subprocess.run([f"{a.bin}/bench_importance"], input="\n".join(map(json.dumps, turns)) + "\n", capture_output=True, text=True, check=True)
scored = {row["id"]: row for row in map(json.loads, answer.stdout.splitlines())}
scopes = defaultdict(list)
for turn in turns:
    scopes[turn["scope"]].append(scored[turn["id"]])


def measured(signal):
    labels = {scope: [row["id"] in wanted for row in rows] for scope, rows in scopes.items()}
    pooled = auc([signal(row) for rows in scopes.values() for row in rows], [label for found in labels.values() for label in found])
    return pooled, sum(auc([signal(row) for row in rows], labels[scope]) for scope, rows in scopes.items()) / len(scopes)


pooled, mean = measured(lambda row: row["score"])
four, four_mean = measured(lambda row: row["emotion"] + row["request"] + (1 - row["nearest"]) + row["reference"])
kept = {row["id"] for row in scored.values() if row["kept"]}
shares = [sum(row["kept"] for row in rows) / len(rows) for rows in scopes.values()]
share, held = len(kept) / len(turns), sum(len(found & kept) / len(found) for found in evidence.values()) / len(evidence)
print(f"AUC {pooled:.4f} (mean over conversations {mean:.4f}), four signals alone {four:.4f} ({four_mean:.4f}); kept {share:.1%} of "
      f"turns ({min(shares):.1%} to {max(shares):.1%}) with {held:.1%} of a question's evidence")
if a.v:
    for term in ("emotion", "request", "asked", "novelty", "nearest", "reference", "personal", "answer", "question", "greeting", "mentions"):
        print(f"  {term}: AUC {measured(lambda row: row[term])[0]:.3f}, mean {sum(row[term] for row in scored.values()) / len(scored):.3f}")
    for scope, rows in scopes.items():
        print(f"  {scope}: {len(rows)} turns, AUC {auc([r['score'] for r in rows], [r['id'] in wanted for r in rows]):.3f}, kept {sum(r['kept'] for r in rows) / len(rows):.3f}")
sys.exit(min(pooled, mean) < a.min_auc or share > a.max_share or held < a.min_kept)
