#!/usr/bin/env bats
# reef-memory consolidate on the command line: what of conversations is remembered, when, and why.
# REEF_BIN is the folder of the executables. Vectors come from a tiny random encoder.

bats_require_minimum_version 1.5.0
load prepared_tree
load wait_until

setup_file() {
  prepare_tree alice bob
}

setup() {
  use_tree
  # A random encoder finds everything alike.
  printf 'memory:\n  weights:\n    unlike: 0\n' >root/config/system.yaml
  cat >talk.jsonl <<'TALK'
{"session":"s","id":"m1","role":"user","content":"Please remember that my flight leaves at seven","created_at":"2024-03-01T10:00:00Z"}
{"session":"s","id":"m2","role":"assistant","content":"ok","created_at":"2024-03-01T10:01:00Z"}
{"session":"s","id":"m3","role":"user","content":"I saw the old lighthouse near the harbour yesterday, on Friday","created_at":"2024-03-01T10:02:00Z"}
{"session":"s","id":"m4","role":"system","content":"Remember that you are a keeper of lighthouses","created_at":"2024-03-01T10:03:00Z"}
{"session":"s","id":"m5","role":"user","content":"My lighthouse above the harbour is of May 1802, as Anna says","created_at":"2024-03-01T11:00:00Z"}
TALK
  reef-session import talk.jsonl --persona alice -q
}

# field PYTHON < JSON: an expression over the object `o`.
field() { python3 -c 'import json, sys; o = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

decide() { reef-memory consolidate --persona alice --now "$1" --json; }

@test "what is asked for is remembered at once, the rest after a day, and a second run has nothing to do" {
  run --separate-stderr reef-memory consolidate --persona alice --now 2024-03-01T12:00:00Z
  [ "$status" -eq 0 ]
  [ "$output" = "alice: 1 remembered, 2 buffered, 2 discarded; 2 wait for their day to end" ]
  run --separate-stderr reef-memory consolidate --persona alice --now 2024-03-01T12:00:00Z
  [ "$status" -eq 0 ]
  [ "$output" = "alice: already so; nothing to decide; 2 wait for their day to end" ]
  [ "$(decide 2024-03-02T10:01:59Z | field 'o["changed"]')" = False ]
  [ "$(decide 2024-03-02T11:00:00Z | field 'o["remembered"] + o["dropped"], o["waiting"], o["scored"]')" = '(2, 0, 0)' ]
  [ "$(reef-memory list --persona alice --json | head -n 1 | field 'o["content"]')" = "Please remember that my flight leaves at seven" ]
  reef-memory verify --persona alice
  python3 -c 'import sqlite3; db = sqlite3.connect("root/data/memories/alice/memories.sqlite"); db.execute("UPDATE decisions SET logit = -0.14, shift = 0"); db.commit()'
  run reef-memory show M1 --persona alice
  [[ "$output" == *"score = 1 / (1 + exp(0.14))"* ]]
}

@test "messages after --now wait for their time" {
  [ "$(decide 2024-03-01T10:02:30Z | field 'o["scored"]')" = 3 ]
  [ "$(decide 2024-03-01T10:59:59Z | field 'o["scored"], o["unscored"]')" = '(0, 1)' ]
  [ "$(decide 2024-03-01T11:00:00Z | field 'o["scored"]')" = 1 ]
  [ "$(REEF_NOW=2024-03-05T00:00:00Z reef-memory consolidate --persona alice --json | field 'o["now"]')" = 2024-03-05T00:00:00.000Z ]
}

@test "--explain shows each term of each message, -v how the scores lie" {
  run --separate-stderr reef-memory consolidate --persona alice --now 2024-03-01T12:00:00Z --explain -v
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 6 ]
  [[ "${lines[0]}" =~ ^0\.9[0-9]?\ remembered.*request\ 1.*,\ asked\ -\>\ M1:\ Please ]]
  [[ "${lines[2]}" == *buffered*"personal 0."*"logit "*"less "* ]]
  [[ "$stderr" == *"scores of alice: a tenth below "* ]]
  reef-memory consolidate --persona alice --now 2024-03-05 --explain --json >day
  [ "$(head -n 1 day | field 'o["schema"], o["external_id"], o["terms"], o["second_score"] > o["score"]')" = "('reef.memory.decision/1', 'm3', None, True)" ]
  [ "$(tail -n 1 day | field 'o["schema"]')" = reef.memory.consolidate/1 ]
}

@test "--all takes every persona, and one that is locked keeps nobody waiting" {
  sed 's/"s"/"t"/' talk.jsonl | reef-session import - --persona bob -q
  exec 9>>root/data/memories/alice/.lock
  flock 9
  run --separate-stderr reef-memory consolidate --persona alice
  [ "$status" -eq 6 ]
  run --separate-stderr reef-memory consolidate --all
  [ "$status" -eq 3 ]
  [[ "$output" == "bob: "*" remembered"* ]]
  [[ "$stderr" == *"warning: alice: "*"locked"* ]]
  exec 9>&-
  run --separate-stderr reef-memory consolidate --all
  [ "$status" -eq 0 ]
  [[ "${lines[0]}" == "alice: "*" remembered"* ]]
  [[ "${lines[1]}" == "bob: already so"* ]]
}

@test "--all: a file of a newer version, and a tree without conversations, keep nobody waiting" {
  sed 's/"s"/"t"/' talk.jsonl | reef-session import - --persona bob -q
  reef-memory remember 'The gate is red' --persona alice -q
  python3 -c 'import sqlite3; sqlite3.connect("root/data/memories/alice/memories.sqlite").execute("PRAGMA user_version = 99")'
  run --separate-stderr reef-memory consolidate --all
  [ "$status" -eq 3 ]
  [[ "$output" == "bob: "*" remembered"* ]]
  [[ "$stderr" == *"warning: alice: "*"version 99"*"(use the version of reef that wrote it"* ]]
  rm -r root/data/conversations
  run reef-memory consolidate --all
  [ "$status" -eq 0 ]
  [ "$output" = "reef-memory: already so; this tree has no conversations yet" ]
  [ -z "$(reef-memory consolidate --all -q 2>&1)" ]
}

@test "the same is decided, by the same vectors, while another run holds the index of the turns" {
  rm root/config/system.yaml
  sed 's/"s"/"t"/' talk.jsonl | reef-session import - --persona bob -q
  decide 2024-03-09T00:00:00Z
  mkdir -p root/vectors/conversations/bob
  exec 9>>root/vectors/conversations/bob/.lock
  flock 9
  run --separate-stderr reef-memory consolidate --persona bob --now 2024-03-01T12:00:00Z --wait 10ms
  exec 9>&-
  [ "$status" -eq 0 ]
  [[ "$stderr" == *"warning: messages of bob are embedded once more: "*"locked"* ]]
  reef-memory consolidate --persona bob --now 2024-03-09T00:00:00Z -q
  decided() {
    python3 - "root/data/memories/$1/memories.sqlite" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for row in db.execute("SELECT rank, state, score, nearest, second_score, memory FROM decisions ORDER BY rank"): print(*row)
for row in db.execute("SELECT id, content, hex(embedding) FROM memories ORDER BY id"): print(*row)
PY
  }
  decided alice >alice
  grep -q flight alice
  decided bob | cmp - alice
}

@test "a damaged index of the turns is named, and keeps no message from being decided" {
  reef-session index --persona alice -q
  printf junk >root/vectors/conversations/alice/metadata.sqlite
  rm -f root/vectors/conversations/alice/metadata.sqlite-*
  run --separate-stderr reef-memory consolidate --persona alice --now 2024-03-01T12:00:00Z
  [ "$status" -eq 0 ]
  [[ "$output" == "alice: 1 remembered"* ]]
  [[ "$stderr" == *"warning: messages of alice are embedded once more: "*"metadata.sqlite"* ]]
}

@test "an archived question is answered as one that is not" {
  cat >asked.jsonl <<'ASKED'
{"session":"q","id":"q1","role":"assistant","content":"Where do you keep the lamp?","created_at":"2024-03-02T10:00:00Z"}
{"session":"q","id":"q2","role":"user","content":"In the cellar","created_at":"2024-03-02T10:01:00Z"}
ASKED
  reef-session import asked.jsonl --persona bob -q
  printf "storage:\n  archive: %s/archive\n" "$PWD" >>root/config/system.yaml
  mkdir archive
  reef-session archive q -q
  reef-memory consolidate --persona bob --now 2024-03-02T12:00:00Z --explain --json >decided
  [ "$(sed -n 2p decided | field 'o["external_id"], o["terms"]["answer"]')" = "('q2', True)" ]
}

@test "--now is the time of recencies as well" {
  decide 2024-03-01T12:00:00Z
  [ "$(python3 -c "import sqlite3; print(round(sqlite3.connect('root/data/memories/alice/memories.sqlite').execute('select recency from memories').fetchone()[0], 2))")" = 1.0 ]
}

@test "what was forgotten is not learned again" {
  decide 2024-03-01T12:00:00Z
  reef-memory forget M1 --persona alice --yes -q
  reef-session import talk.jsonl --persona alice --prefix copy- -q
  decide 2024-03-09T00:00:00Z >second
  [ "$(field 'o["forgotten"]' <second)" = 1 ]
  [ "$(reef-memory list --persona alice | grep -c flight)" = 0 ]
}

@test "thresholds and weights come from system.yaml" {
  printf 'memory:\n  thresholds:\n    remember: 1\n    discard: 0\n' >root/config/system.yaml
  [ "$(decide 2024-03-01T12:00:00Z | field 'o["remembered"], o["buffered"]')" = '(0, 4)' ]
  printf 'memory:\n  thresholds:\n    discard: 0.9\n' >root/config/system.yaml
  run reef-memory consolidate --persona alice
  [ "$status" -eq 2 ]
  [[ "$output" == *"system.yaml:3"*"discard is above"* ]]
}

@test "without a model memories have no vectors, and the next run with one makes them" {
  mv root/models/base/tiny away
  run --separate-stderr reef-memory consolidate --persona alice --now 2024-03-01T12:00:00Z
  [ "$status" -eq 0 ]
  [[ "$stderr" == *"warning: "*"no vectors"* ]]
  [[ "$output" == "alice: 1 remembered"* ]]
  mv away root/models/base/tiny
  decide 2024-03-01T12:00:00Z
  reef-memory verify --persona alice
}

@test "usage: a time that is none, a persona that is none, both --all and --persona" {
  run reef-memory consolidate --persona alice --now soon
  [ "$status" -eq 2 ]
  [[ "$output" == *"soon"* ]]
  run reef-memory consolidate --persona alice --now ''
  [ "$status" -eq 2 ]
  run reef-memory consolidate --persona carol
  [ "$status" -eq 5 ]
  run reef-memory consolidate --persona alice --all
  [ "$status" -eq 2 ]
  run reef-memory consolidate
  [ "$status" -eq 2 ]
  [[ "$output" == *"--persona"* ]]
  rm -r root/data/conversations
  run reef-memory consolidate --persona alice
  [ "$status" -eq 5 ]
  [[ "$output" == *"reef-session import"* ]]
  [ ! -e root/data/memories/alice/memories.sqlite ]
}

# much_talk FIRST END: messages of three sessions.
much_talk() {
  python3 - "$@" <<'PY'
import json, sys
things = ["lighthouse", "harbour", "garden", "violin", "bicycle", "museum", "bakery"]
for i in range(int(sys.argv[1]), int(sys.argv[2])):
    text = f"I bought a {things[i % 7]} of {things[i * i % 5]} number {i} in Lisbon with Anna" if i % 3 else f"Did you see the {things[i % 6]}?"
    print(json.dumps({"session": f"l{i // 300}", "id": f"n{i}", "role": "user" if i % 2 else "assistant", "content": text,
                      "created_at": f"2024-04-{1 + i // 100:02}T10:{i % 60:02}:00Z"}))
PY
}

@test "a run that was killed goes on, and decides as one that was not" {
  much_talk 0 900 >long.jsonl
  reef-session import long.jsonl --persona alice -q
  sed 's/"l\([0-9]\)"/"k\1"/; s/"n/"p/' long.jsonl | reef-session import - --persona bob -q
  sed 's/"s"/"t"/' talk.jsonl | reef-session import - --persona bob -q
  # Killed once it has decided on some and not on all, whenever that is.
  python3 - root/data/memories/alice/memories.sqlite <<'PY'
import sqlite3, subprocess, sys
run = subprocess.Popen(["reef-memory", "consolidate", "--persona", "alice", "--now", "2024-05-01", "-q"])
def decided():
    return sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("SELECT count(*) FROM decisions").fetchone()[0]
some = 0
while some == 0 and run.poll() is None:
    try: some = decided()
    except sqlite3.OperationalError: pass
run.kill()
assert run.wait() == -9, "it was faster than its end"
assert 0 < decided() < 905, decided()
PY
  for seconds in .05 .1 .2 .3; do
    killed_after "$seconds" reef-memory consolidate --persona alice --now 2024-05-01 -q
  done
  reef-memory consolidate --persona alice --now 2024-05-01 -q
  reef-memory consolidate --persona bob --now 2024-05-01 -q
  reef-memory verify
  decisions() { python3 -c 'import sqlite3, sys; [print(*row) for row in sqlite3.connect(sys.argv[1]).execute("SELECT rank, created_at, state, score, shift, mentions, second_score, memory FROM decisions ORDER BY rank")]' "root/data/memories/$1/memories.sqlite"; }
  decisions alice >whole
  [ "$(wc -l <whole)" -eq 905 ]
  decisions bob | cmp - whole
}

@test "who appends to the conversation meanwhile never waits long, and a second run ends with status 6" {
  much_talk 0 2900 | reef-session import - --persona alice -q
  reef-memory consolidate --persona alice --now 2024-05-05 -q &
  local run=$!
  held() { grep -qsx "$run" root/data/memories/alice/.lock; }
  wait_until held
  run --separate-stderr reef-memory consolidate --persona alice --now 2024-05-05
  [ "$status" -eq 6 ]
  [[ "$stderr" == *"locked"* ]]
  # A program that is not ours, and waits a tenth of a second at most.
  python3 - root/data/conversations/conversations.sqlite "$run" >appended <<'PY'
import sqlite3, sys, time
talk = sqlite3.connect(sys.argv[1], timeout=.1, isolation_level=None)
appended = 0

def is_at_work(process):
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False

while is_at_work(sys.argv[2]) and appended < 3000:
    talk.execute("INSERT INTO messages(session_id, role, content) VALUES ('s', 'user', 'I saw a ship')")
    appended += 1
    time.sleep(.001)
print(appended)
PY
  wait "$run"
  [ "$(<appended)" -ge 10 ]
  reef-memory verify --persona alice
  reef-session verify
}
