"""How much 50 unrelated rows in another layer change the score of a labelled set: they must not.

    unrelated_rows.py BIN_DIR ROOT EVALUATION --within X

ROOT holds SciFact in persona eval (eval/documents.py of the folder EVALUATION puts it there). Its questions are asked
over all layers: as it is, with the first 50 turns of LoCoMo in the shared scope, and with the first 50 of at least sixty
characters as memories of the persona. Status 1 when nDCG@10 moves by more than X.
"""
import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("root")
    parser.add_argument("evaluation", type=pathlib.Path)
    parser.add_argument("--within", type=float, required=True)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.evaluation / "eval"))
    from metrics import read_jsonl, read_qrels, score  # the labelled data's own

    scifact = arguments.evaluation / "data/scifact"
    index = [str(arguments.bin_dir / "reef-index")]
    with tempfile.TemporaryDirectory() as folder:
        questions, turns = pathlib.Path(folder, "questions.jsonl"), pathlib.Path(folder, "turns.jsonl")
        questions.write_text("".join(
            json.dumps({"id": q["id"], "text": q["text"], "persona": "eval"}) + "\n"
            for q in read_jsonl(str(scifact / "queries.jsonl"))))
        with open(arguments.evaluation / "data/locomo/corpus.jsonl", encoding="utf-8") as corpus:
            lines = list(itertools.islice(corpus, 500))
        turns.write_text("".join(lines[:50]), encoding="utf-8")
        told = [text for text in (json.loads(line)["text"] for line in lines) if len(text) >= 60][:50]

        def ndcg():
            command = index + ["query", "--root", arguments.root, "--persona", "eval", "--batch", str(questions),
                               "--no-touch", "-k", "50", "--json"]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            answers = [json.loads(line) for line in out.splitlines()]
            ranked = {a["id"]: [r["document"]["id"] if r["document"] else r["id"] for r in a["results"]] for a in answers}
            return score(ranked, read_qrels(str(scifact / "qrels.tsv")))[0]

        alone = ndcg()
        subprocess.run(index + ["ingest", "--root", arguments.root, "--shared", "-q", str(turns)], check=True)
        beside = ndcg()
        subprocess.run(index + ["remove", "--root", arguments.root, "--shared", "-q", str(turns)], check=True)

        memory = [str(arguments.bin_dir / "reef-memory")]
        where = ["--root", arguments.root, "--persona", "eval"]
        for text in told:
            subprocess.run(memory + ["remember", *where, "-q", "--", text], check=True)
        try:
            remembering = ndcg()
        finally:
            listed = subprocess.run(memory + ["list", *where, "--json"], check=True, capture_output=True, text=True).stdout
            ids = [json.loads(line)["id"] for line in listed.splitlines()]
            subprocess.run(memory + ["forget", *where, "-q", "--yes", *ids], check=True)
    print(json.dumps({"ndcg_alone": round(alone, 4), "ndcg_beside_50_rows": round(beside, 4),
                      "memories": len(ids), "ndcg_beside_memories": round(remembering, 4)}))
    return len(ids) < 40 or max(abs(alone - beside), abs(alone - remembering)) > arguments.within


sys.exit(main())
