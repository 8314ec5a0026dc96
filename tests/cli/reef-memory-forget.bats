#!/usr/bin/env bats
# reef-memory forget beside others: programs that write and read conversations, other runs, damage.
# REEF_BIN is the folder of the executables. Vectors come from a tiny random encoder.

bats_require_minimum_version 1.5.0
load prepared_tree

setup_file() {
  prepare_tree alice bob
}

setup() {
  use_tree
  m=(--persona alice)
}

# talk COUNT WORD SESSION: messages that hold the word, and many others.
talk() {
  python3 - "$@" <<'PYTHON' | reef-session import - "${m[@]}" -q
import json, sys
count, word, session = int(sys.argv[1]), sys.argv[2], sys.argv[3]
for i in range(count):
    print(json.dumps({"session": session, "role": "user", "id": f"{session}-{i}", "content": f"{word} number{i} " + f"some words w{i * 7919 % 5003} " * 12}))
PYTHON
}

# beside WRITER COMMAND...: runs the command while python, which waits for $patience seconds at most (a tenth), adds
# messages to a session of its own. Fails when it was told "locked" once.
beside() {
  python3 - "$@" <<'PYTHON'
import os, sqlite3, subprocess, sys, time
session, *command = sys.argv[1:]
db = sqlite3.connect("root/data/conversations/conversations.sqlite", timeout=float(os.environ.get("patience", ".1")), isolation_level=None)
db.execute("INSERT OR IGNORE INTO sessions(id, persona_id) VALUES (?, 'alice')", (session,))
run = subprocess.Popen(command)
added = locked = 0
while run.poll() is None or added < 5:
    try:
        db.execute("INSERT INTO messages(session_id, role, content, external_id) VALUES (?, 'user', 'keep me', ?)", (session, f"{os.getpid()}-{added}"))
        added += 1
    except sqlite3.OperationalError as error:
        locked += 1
        print(error)
    time.sleep(.005)
kept = db.execute("SELECT count(*) FROM messages WHERE session_id = ? AND external_id LIKE ?", (session, f"{os.getpid()}-%")).fetchone()[0]
print(f"{added} added, {kept} kept, {locked} locked, status {run.returncode}")
sys.exit(0 if (kept, locked, run.returncode) == (added, 0, 0) else 1)
PYTHON
}

@test "what others add meanwhile stays, and nobody is locked out" {
  talk 21000 harmless other
  talk 2000 quixotic gone
  [ "$(stat -c %s root/data/conversations/conversations.sqlite)" -gt 10000000 ]
  reef-memory remember 'quixotic' "${m[@]}" -q
  # The session that is removed is the one that is written to.
  patience=5 beside gone reef-memory forget --matching quixotic --with-source "${m[@]}" --yes
  run grep -rlai quixotic root
  [ "$status" -eq 1 ]
  reef-session verify
  # A purge that is due is left to export where it takes long; here without a model, which would embed all messages first.
  rm -r root/models
  mkdir root/models
  python3 -c 'import sqlite3; db = sqlite3.connect("root/data/memories/alice/memories.sqlite"); db.execute("INSERT INTO progress VALUES (\"purge\", \"all\")".replace("\"", chr(39))); db.commit()'
  run beside gone reef-memory consolidate "${m[@]}" --now 2000-01-01
  [ "$status" -eq 0 ]
  [[ "$output" == *"run 'reef-memory export', which writes it anew"* ]]
  reef-memory export "${m[@]}" -q
  reef-memory verify
}

@test "a reader keeps the log: nobody else is locked out, and it is told" {
  talk 20 quixotic gone
  reef-memory remember 'quixotic' "${m[@]}" -q
  python3 - <<'PYTHON' &
import os, sqlite3, time
db = sqlite3.connect("root/data/conversations/conversations.sqlite", isolation_level=None)
db.execute("BEGIN"); db.execute("SELECT count(*) FROM messages").fetchone()
open("reading", "w").close()
while not os.path.exists("enough"):
    time.sleep(.01)
PYTHON
  until [ -e reading ]; do sleep .05; done
  run beside else reef-memory forget --matching quixotic --with-source "${m[@]}" --yes
  [[ "$output" == *"keeps words of what was forgotten"*"run 'reef-memory export'"* ]]
  [[ "$output" == *" 0 locked, status 3" ]]
  run beside else reef-memory consolidate "${m[@]}" --now 2000-01-01
  [[ "$output" == *"keeps words of what was forgotten"* ]]
  [[ "$output" == *" 0 locked, status 0" ]]
  run reef-memory verify
  [ "$status" -eq 4 ]
  touch enough
  wait
  reef-memory export "${m[@]}" -q
  reef-memory verify
  run grep -rlai quixotic root
  [ "$status" -eq 1 ]
}

@test "one forgets at a time" {
  reef-memory remember one "${m[@]}" -q
  mkfifo hold
  flock root/data/memories/alice/.lock cat hold &
  exec 8>hold
  until ! flock -n root/data/memories/alice/.lock true; do sleep .05; done
  run reef-memory forget M1 "${m[@]}" --yes
  exec 8>&-
  wait
  [ "$status" -eq 6 ]
  reef-memory forget M1 "${m[@]}" --yes
}

@test "a session that nobody knows, or another persona's, is absent" {
  talk 2 hello s1
  reef-memory remember something "${m[@]}" -q
  run reef-memory forget --session nope "${m[@]}" --yes
  [ "$status" -eq 5 ]
  [[ "$output" == *"no session 'nope'"* ]]
  printf '{"session":"bobs","role":"user","content":"mine","id":"z"}\n' | reef-session import - --persona bob -q
  run reef-memory forget --session bobs "${m[@]}" --yes
  [ "$status" -eq 5 ]
  run reef-memory forget --session s1 "${m[@]}" --yes
  [ "$status" -eq 0 ]
}

@test "before anything was learned, and titles alone" {
  printf '{"session":"s1","role":"user","content":"hello","id":"a","title":"Quixotic"}\n' | reef-session import - "${m[@]}" -q
  run reef-memory forget --matching quixotic --with-source "${m[@]}" --yes
  [ "$status" -eq 0 ]
  [ "$output" = "alice: 0 memories forgotten, 1 title or summary removed" ]
  run grep -rlai quixotic root
  [ "$status" -eq 1 ]
}

@test "at a terminal the plan is no dry run" {
  reef-memory remember 'The quixotic key' "${m[@]}" -q
  run script -qec "reef-memory forget --matching quixotic --persona alice" /dev/null <<<y
  [[ "$output" == *"1 memory to be forgotten"*"Forget it for good?"*"1 memory forgotten"* ]]
  [[ "$output" != *"dry run"* ]]
}

@test "damaged vectors of turns: what was forgotten is told, and how they are made anew" {
  talk 3 quixotic s1
  reef-session index "${m[@]}" -q
  reef-memory remember quixotic "${m[@]}" -q
  head -c 20000 /dev/zero | tr '\0' x >root/vectors/conversations/alice/metadata.sqlite
  run reef-memory forget --matching quixotic --with-source "${m[@]}" --yes
  [ "$status" -eq 3 ]
  [[ "$output" == *"1 memory forgotten, 3 messages removed"* ]]
  [[ "$output" == *"vectors/conversations/alice and run 'reef-session index'"* ]]
  [[ "$output" != *backup* ]]
  rm -r root/vectors/conversations/alice
  reef-memory export "${m[@]}" -q
  reef-memory verify
}
