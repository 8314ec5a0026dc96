"""Messages a second that `reef-session import` takes in, beside a plain Python script over sqlite3 in the same run.

    session_import.py BIN_DIR [--messages 200000] [--runs 3] [--work DIR]

Writes --messages messages in sessions of forty (words as English has them: few often, many rarely), and imports the
file into a new tree, and once more into the same one. The Python script reads the same lines and writes the same columns
and an FTS5 table with the same tokenizer, in transactions of a thousand messages (`python`), and in one transaction with
executemany (`python_bulk`, during which nobody else can write). Prints a JSON line for each: the median of the runs.
Ends with 1 when the messages are not all there.
"""
import argparse
import itertools
import json
import os
import pathlib
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

SCHEMA = """
CREATE TABLE sessions (id TEXT PRIMARY KEY, persona_id TEXT NOT NULL);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT REFERENCES sessions(id), external_id TEXT,
  role TEXT NOT NULL, content TEXT NOT NULL, created_at TIMESTAMP, UNIQUE (session_id, external_id));
CREATE INDEX messages_order ON messages(session_id, created_at, id);
CREATE VIRTUAL TABLE words USING fts5(content, content = 'messages', content_rowid = 'id', tokenize = 'porter unicode61');
CREATE TRIGGER added AFTER INSERT ON messages BEGIN
  INSERT INTO words(rowid, content) VALUES (new.id, new.content);
END;
"""


def write_messages(path, count):
    generator = random.Random(7)
    words = ["".join(generator.choice("abcdefghilmnoprstuvw") for _ in range(generator.randint(2, 9))) for _ in range(30_000)]
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))
    with open(path, "w") as file:
        for i in range(count):
            text = " ".join(generator.choices(words, cum_weights=weights, k=generator.randint(5, 40)))
            second = i % 40
            file.write(json.dumps({"session": f"s{i // 40}", "role": ("user", "assistant")[i % 2], "content": text,
                                   "created_at": f"2026-01-01T10:{second:02}:00.000Z", "id": f"m{i}"}) + "\n")


def by_reef(arguments, talk, work):
    root = work / "tree"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run([arguments.bin_dir / "reef-init", "--root", root, "--persona", "alice", "-q"], check=True)
    seconds = []
    for wanted in ("added", "unchanged"):
        begin = time.perf_counter()
        done = subprocess.run([arguments.bin_dir / "reef-session", "--root", root, "import", talk, "--persona", "alice", "--json"],
                              check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
        if json.loads(done.stdout)[wanted] != arguments.messages:
            sys.exit(f"not all messages were {wanted}: {done.stdout}")
    return seconds


def by_python(arguments, talk, work, batch):
    path = work / "python.sqlite"
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    begin = time.perf_counter()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA foreign_keys = ON")
    database.executescript(SCHEMA)
    with open(talk) as lines:
        while rows := [json.loads(line) for line in itertools.islice(lines, batch)]:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT OR IGNORE INTO sessions VALUES (?, 'alice')", {(row["session"],) for row in rows})
            database.executemany("INSERT INTO messages(session_id, external_id, role, content, created_at) VALUES (:session, :id, :role, :content, :created_at)", rows)
            database.execute("COMMIT")
    count = database.execute("SELECT count(*) FROM messages").fetchone()[0]
    database.close()
    seconds = time.perf_counter() - begin
    if count != arguments.messages:
        sys.exit(f"Python wrote {count} messages")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=pathlib.Path)
    arguments = parser.parse_args()
    os.environ["LC_ALL"] = "C"
    work = arguments.work or pathlib.Path(tempfile.mkdtemp(prefix="reef-talk."))
    work.mkdir(parents=True, exist_ok=True)
    try:
        talk = work / "talk.jsonl"
        write_messages(talk, arguments.messages)
        taken = {"reef": [], "reef_again": [], "python": [], "python_bulk": []}
        for _ in range(arguments.runs):  # in turns: what else the machine does meets all of them
            first, again = by_reef(arguments, talk, work)
            taken["reef"].append(first)
            taken["reef_again"].append(again)
            taken["python"].append(by_python(arguments, talk, work, 1000))
            taken["python_bulk"].append(by_python(arguments, talk, work, arguments.messages))
        for name, seconds in taken.items():
            median = statistics.median(seconds)
            print(json.dumps({"bench": "session_import", "by": name, "messages": arguments.messages, "bytes": talk.stat().st_size,
                              "seconds": round(median, 2), "messages_per_second": round(arguments.messages / median)}), flush=True)
    finally:
        if not arguments.work:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
