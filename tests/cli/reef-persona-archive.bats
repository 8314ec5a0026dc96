#!/usr/bin/env bats
# reef-persona export and import between two trees. REEF_BIN is the folder of the executables. Vectors come from a tiny
# random encoder.

bats_require_minimum_version 1.5.0
load prepared_tree

setup_file() {
  prepare_tree alice bob
}

setup() {
  use_tree
  cp -a root other
  mkdir in
  printf 'The red boat of alice leaks at the zanzibarpier.\n' >in/own.md
  printf 'The weather is the same for all.\n' >in/same.md
}

field() {
  python3 -c 'import json, sys; o = json.loads(sys.stdin.read()); print('"$1"')'
}

# talk PERSONA SESSION WORD COUNT
talk() {
  for ((i = 1; i <= $4; i++)); do
    printf '{"session":"%s","role":"user","id":"%s-%s","content":"My %s is number %s and I love it."}\n' "$2" "$2" "$i" "$3" "$i"
  done | reef-session import - --persona "$1" -q
}

fill() {
  talk bob b0 lighthouse 7
  reef-index ingest in --persona alice -q
  reef-index ingest in/same.md --persona bob -q
  talk alice a1 quixoticboat 3
  mkdir root/data/conversations/a1
  printf 'a picture' >root/data/conversations/a1/picture
  reef-session index --all -q
  reef-memory consolidate --persona alice --now 2030-01-01 -q
  reef-memory remember 'The quixoticboat key hangs behind the clock.' --persona alice -q
}

verify_all() {
  reef-session verify "$@" -q && reef-memory verify "$@" -q && reef-index verify "$@" -q
}

# answers ROOT PERSONA: what a persona knows, in one text.
answers() {
  reef-index query 'red boat' --root "$1" --persona "$2" --layers persona --no-touch --json | field '[(r["text"], round(r["score"], 4)) for r in o["results"]]'
  reef-session search quixoticboat --root "$1" --persona "$2" --json | field '[(r["external_id"], r["content"], round(r["score"], 4)) for r in o["results"]]'
  reef-memory list --root "$1" --persona "$2" --json | python3 -c 'import json, sys; print([(o["id"], o["content"], o["external_ids"], o["created"]) for o in map(json.loads, sys.stdin)])'
  reef-session export --root "$1" --persona "$2" -o -
}

@test "a persona goes to another tree, with all that it had" {
  fill
  run --separate-stderr reef-persona export alice -o alice.tar.zst --json
  [ "$status" -eq 0 ]
  [ "$(field 'o["schema"], o["counts"]["messages"], o["counts"]["sources"], o["counts"]["originals"]' <<<"$output")" = "reef.persona.export/1 3 2 4" ]
  [ "$(stat -c %a alice.tar.zst)" = 640 ]
  REEF_ROOT=$PWD/other talk bob o1 harbour 5
  run reef-persona import alice.tar.zst --root other
  [ "$status" -eq 2 ]
  [[ "$output" == *"there is a persona 'alice' already"*"--as ID"* ]]
  run reef-persona import alice.tar.zst --root other --as carol --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == "would import alice as carol: "*"(dry run)"* ]]
  [ -z "$(find other -name '*carol*')" ]
  run --separate-stderr reef-persona import alice.tar.zst --root other --as carol --json
  [ "$status" -eq 0 ]
  [ "$(field 'o["schema"], o["persona"], o["from"], o["notes"], o["changed"]' <<<"$output")" = "reef.persona.import/1 carol alice [] True" ]
  diff <(answers root alice) <(answers other carol)
  verify_all --root other
  [ "$(cat other/data/conversations/a1/picture)" = "a picture" ]
  reef-session search harbour --root other --persona bob | grep -q harbour
  # Nothing is left to be done, or to be learned again.
  [ "$(reef-session index --root other --persona carol --json | field 'o["changed"]')" = False ]
  [ "$(reef-index ingest in --root other --persona carol --json | field 'o["unchanged"]')" = 2 ]
  reef-memory consolidate --root other --persona carol --now 2030-01-02 -q
  diff <(answers root alice) <(answers other carol)
  run find other -maxdepth 1 -name '.import*'
  [ -z "$output" ]
  [ ! -e other/.reef-persona-change ]
}

@test "standard tools open the archive" {
  fill
  reef-persona export alice -o alice.tar.zst -q
  zstd -qt alice.tar.zst
  mkdir out
  tar -C out --zstd -xf alice.tar.zst
  [ "$(field 'o["schema"], o["persona"]' <out/persona.json)" = "reef.persona.archive/1 alice" ]
  [ "$(python3 -c 'import sqlite3; print(sqlite3.connect("out/conversations.sqlite").execute("SELECT count(*) FROM messages").fetchone()[0], sqlite3.connect("out/memories/memories.sqlite").execute("PRAGMA integrity_check").fetchone()[0])')" = "3 ok" ]
  for raw in out/originals/raw/*; do
    name=${raw##*/}
    [ "$(sha256sum <"$raw" | cut -d' ' -f1)" = "${name%.md}" ]
  done
  run grep -rl lighthouse out
  [ -z "$output" ]
  run reef-persona export alice -o alice.tar.zst
  [ "$status" -eq 2 ]
  reef-persona export alice -o alice.tar.zst --force -q
  run reef-persona export nobody -o x.tar.zst
  [ "$status" -eq 5 ]
  [ ! -e x.tar.zst ]
}

@test "what is damaged or no archive is refused, and nothing is left" {
  fill
  reef-persona export alice -o alice.tar.zst -q
  before=$(find other | sort | sha256sum)
  size=$(stat -c %s alice.tar.zst)
  for at in 30 $((size / 3)) $((size / 2)) $((2 * size / 3)); do
    cp alice.tar.zst bad.tar.zst
    printf 'XXXX' | dd of=bad.tar.zst bs=1 seek="$at" conv=notrunc status=none
    run reef-persona import bad.tar.zst --root other --as carol
    [ "$status" -eq 4 ]
    rm -f other/.reef-persona.lock
    [ "$(find other | sort | sha256sum)" = "$before" ]
  done
  head -c $((size / 2)) alice.tar.zst >bad.tar.zst
  run reef-persona import bad.tar.zst --root other --as carol
  [ "$status" -eq 4 ]
  run reef-persona import in/own.md --root other
  [ "$status" -eq 4 ]
  run reef-persona import none --root other
  [ "$status" -eq 5 ]
  reef-persona list --root other | grep -q '^bob'
}

@test "sessions and adapters of others are never replaced" {
  fill
  mkdir -p root/models/adapters/hers other/models/adapters/hers
  printf 'x' >root/models/adapters/hers/adapter.bin
  sed -i 's/^  alice:.*/  alice:\n    adapters: [hers]/' root/config/personas.yaml
  reef-persona export alice -o alice.tar.zst -q
  REEF_ROOT=$PWD/other talk bob a1 lighthouse 1
  run reef-persona import alice.tar.zst --root other --as carol
  [ "$status" -eq 2 ]
  [[ "$output" == *"1 of its sessions have ids that are taken here: 'a1'"* ]]
  reef-session delete a1 --root other --yes -q
  printf 'other' >other/models/adapters/hers/adapter.bin
  run reef-persona import alice.tar.zst --root other --as carol
  [ "$status" -eq 2 ]
  [[ "$output" == *"another adapter called hers"* ]]
  [ "$(cat other/models/adapters/hers/adapter.bin)" = other ]
  rm -r other/models/adapters/hers
  reef-persona import alice.tar.zst --root other --as carol -q
  [ "$(cat other/models/adapters/hers/adapter.bin)" = x ]
  verify_all --root other
}

@test "the embedding model of another tree is told" {
  fill
  reef-persona export alice -o alice.tar.zst -q
  sed -i 's/^default_embedding:.*/default_embedding: another/' other/config/models.yaml
  run reef-persona import alice.tar.zst --root other --as carol
  [ "$status" -eq 0 ]
  [[ "$output" == *"note: its documents are embedded by tiny, and this tree embeds by another: run 'reef-index build --persona carol --embedding another'"* ]]
}

@test "an export beside writers is of one moment" {
  fill
  python3 - <<'PYTHON'
import json, os, sqlite3, subprocess, tarfile
db = sqlite3.connect("root/data/conversations/conversations.sqlite", timeout=5, isolation_level=None)
run = subprocess.Popen(["reef-persona", "export", "alice", "-o", "live.tar.zst", "-q"])
added = 0
while run.poll() is None or added < 20:
    db.execute("BEGIN IMMEDIATE")  # two belong together
    for part in "xy":
        db.execute("INSERT INTO messages(session_id, role, content, external_id) VALUES ('a1', 'user', 'keep me', ?)", (f"{part}{added}",))
    db.execute("COMMIT")
    added += 1
assert run.returncode == 0
os.mkdir("live")
subprocess.run(["tar", "-C", "live", "--zstd", "-xf", "live.tar.zst"], check=True)
copy = sqlite3.connect("live/conversations.sqlite")
(odd,) = copy.execute("SELECT count(*) % 2 FROM messages WHERE content = 'keep me'").fetchone()
assert odd == 0
PYTHON
  verify_all
}
