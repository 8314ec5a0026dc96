#!/usr/bin/env python3
"""The sentiment of sentences beside vaderSentiment 3.3.2: within 1e-4 of its rounded scores.

usage: sentiment.py PEER [FILE]
FILE: one text a line. Without it: what Python's own modules say about themselves, and sentences put together of the
words that the rules know. Status 77 when vaderSentiment is not installed.
"""
import ast, random, re, subprocess, sys, sysconfig
from pathlib import Path

try:
    from vaderSentiment import vaderSentiment as vader
except ImportError:
    print("skipped: no vaderSentiment")
    sys.exit(77)


def documented(count):
    found = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                found += re.split(r"(?<=[.!?])\s+", (ast.get_docstring(node) or "").replace("\n", " "))
    found = sorted({s for s in found if len(s.split()) > 3})
    return random.Random(1).sample(found, min(count, len(found)))


def put_together(analyzer, count):
    pick = random.Random(2)
    lexicon = sorted(w for w in analyzer.lexicon if w.isalpha())
    other = sorted(analyzer.lexicon.keys() - set(lexicon))
    rules = sorted({*vader.BOOSTER_DICT, *vader.NEGATE, *vader.SPECIAL_CASES})
    plain = "no No or nor but But BUT least at very so this never without doubt kind of the a book is was it I".split()
    emoji = sorted(e for e in analyzer.emojis)
    for _ in range(count):
        words = []
        for _ in range(pick.randrange(1, 16)):
            word = pick.choice(pick.choices((lexicon, rules, plain, plain, other, emoji), (5, 5, 5, 3, 1, 1))[0])
            word = pick.choices((word, word.upper(), word.title()), (8, 2, 1))[0]
            words.append(pick.choice(("", "", "", "", "(", "'")) + word + pick.choice(("", "", "", "", "", ",", "!", "?", "!!", "??", "...")))
        text = pick.choice((" ", " ", " ", "  ", "\t", "\u00a0")).join(words)
        yield text if pick.random() < .9 else text.replace(" ", "", 1)


analyzer = vader.SentimentIntensityAnalyzer()
if len(sys.argv) > 2:
    lines = Path(sys.argv[2]).read_text(encoding="utf-8").split("\n")
else:
    lines = documented(2000) + list(put_together(analyzer, 3000))
lines = [line.replace("\n", " ").replace("\r", " ") for line in lines if line]
answer = subprocess.run([sys.argv[1]], input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8", check=True)
scores = [float(line) for line in answer.stdout.split()]
wanted = [analyzer.polarity_scores(line)["compound"] for line in lines]
wrong = [(a, b, line) for a, b, line in zip(scores, wanted, lines) if abs(a - b) > 1e-4]
for ours, theirs, line in wrong[:10]:
    print(f"{ours:.4f}, not {theirs:.4f}: {line!r}")
rated = sum(score != 0 for score in wanted)
print(f"{len(lines)} texts, {rated} with a sentiment: {len(wrong)} differ by more than 1e-4")
sys.exit(bool(wrong) or len(scores) != len(lines) or rated < len(lines) // 10)
