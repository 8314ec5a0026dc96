#!/usr/bin/env bats
# reef-memory on the command line: what is remembered, changed and forgotten, and bad input.
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

# field PYTHON < JSON: an expression over the object `o`, or the objects of all lines, `all`.
field() { python3 -c 'import json, sys; all = [json.loads(l) for l in sys.stdin]; o = all[-1] if all else None; print(eval(sys.argv[1]))' "$1"; }

# npy FILE: its shape, and the first value of each row, without numpy.
npy() {
  python3 - "$1" <<'PYTHON'
import ast, struct, sys
data = open(sys.argv[1], "rb").read()
length = struct.unpack("<H", data[8:10])[0]
header = ast.literal_eval(data[10:10 + length].decode())
assert data[:6] == b"\x93NUMPY" and header["descr"] == "<f4" and not header["fortran_order"]
rows, dim = header["shape"]
assert len(data) == 10 + length + rows * dim * 4
print(header["shape"], [data[10 + length + i * dim * 4:][:dim * 4].hex() for i in range(rows)])
PYTHON
}

talk() {
  printf '%s\n' "$@" | reef-session import - --persona "${persona:-alice}" -q
}

@test "remember, list and show: a text comes back with its id" {
  run reef-memory remember 'The cellar key hangs behind the clock' "${m[@]}" --tag house --tag keys
  [ "$status" -eq 0 ]
  [ "$output" = "alice: M1 added" ]
  reef-memory list "${m[@]}" --json >list
  [ "$(field 'o["schema"], o["id"], o["content"], o["importance"], o["recency"], o["tags"]' <list)" = \
    "('reef.memory.list/1', 'M1', 'The cellar key hangs behind the clock', 0.9, 1.0, ['house', 'keys'])" ]
  [ "$(field 'o["external_ids"], o["external_id"], o["source_session"], o["valid_to"], o["superseded_by"], o["access_count"]' <list)" = \
    "([], None, None, None, None, 0)" ]
  for id in M1 m1 1; do
    run reef-memory show "$id" "${m[@]}"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = 'The cellar key hangs behind the clock' ]
  done
  [ "$(reef-memory show 1 "${m[@]}" --json | field 'o["schema"], o["vector"], o["sources"], o["history"]')" = "('reef.memory.show/1', True, [], [])" ]
  run reef-memory list "${m[@]}"
  [[ "$output" == *"M1 "*"The cellar key hangs behind the clock"* ]]
  reef-memory verify
}

@test "the same again changes nothing, from standard input as well" {
  reef-memory remember 'The gate is red' "${m[@]}" -q
  reef-memory list "${m[@]}" --json >list
  cp -a root before
  run reef-memory remember ' the gate  IS red' "${m[@]}"
  [ "$output" = "already so; M1 says the same" ]
  reef-memory list "${m[@]}" --json | cmp - list
  for name in embeddings.npy relationships.json emotional_state.json; do
    [ "$(stat -c %y "root/data/memories/alice/$name")" = "$(stat -c %y "before/data/memories/alice/$name")" ]
    cmp "before/data/memories/alice/$name" "root/data/memories/alice/$name"
  done
  [ "$(printf 'The gate is red\n\n' | reef-memory remember - "${m[@]}" --json | field 'o["changed"], o["outcome"], o["id"]')" = "(False, 'merged', 'M1')" ]
  [ "$(reef-memory remember 'The gate is red' --tag gate "${m[@]}" --json | field 'o["changed"]')" = True ]
  [ "$(reef-memory list "${m[@]}" --json | field 'len(all), o["tags"]')" = "(1, ['gate'])" ]
}

@test "what changed supersedes, and stays as the past" {
  REEF_NOW=2026-01-01T00:00:00Z reef-memory remember 'My phone number is 555-0100.' "${m[@]}" -q
  REEF_NOW=2026-03-01T00:00:00Z run reef-memory remember 'my phone number is now 555-0199' "${m[@]}"
  [ "$output" = "alice: M2 added, M1 is superseded" ]
  REEF_NOW=2026-02-01T00:00:00Z run reef-memory remember 'My phone number is 555-0150' "${m[@]}"
  [ "$output" = "alice: M3 added, M1 is superseded, M2 is newer" ]
  [ "$(reef-memory list "${m[@]}" --json | field '[x["id"] for x in all]')" = "['M2']" ]
  [ "$(reef-memory list --all "${m[@]}" --json | field '[(x["id"], x["valid_to"], x["superseded_by"]) for x in all]')" = \
    "[('M1', '2026-02-01T00:00:00.000Z', 'M3'), ('M2', None, None), ('M3', '2026-03-01T00:00:00.000Z', 'M2')]" ]
  [ "$(reef-memory show M2 "${m[@]}" --json | field '[x["id"] for x in o["history"]]')" = "['M1', 'M3', 'M2']" ]
  run reef-memory show M1 "${m[@]}"
  [[ "$output" == *"superseded  by M3"* ]]
  reef-memory verify
}

@test "recency halves in ninety days, or what the configuration says" {
  REEF_NOW=2026-01-01T00:00:00Z reef-memory remember 'Fades' "${m[@]}" -q
  recency() { REEF_NOW=2026-04-01T00:00:00Z reef-memory list "${m[@]}" --json | field 'o["recency"]'; }
  [ "$(recency)" = 0.5 ]
  printf 'memory:\n  half_life_days: 45\n' >root/config/system.yaml
  [ "$(recency)" = 0.25 ]
  # The column follows with the next run that writes.
  REEF_NOW=2026-04-01T00:00:00Z reef-memory remember 'Another thing' "${m[@]}" -q
  [ "$(python3 -c "import sqlite3; print(round(sqlite3.connect('root/data/memories/alice/memories.sqlite').execute('select recency from memories where id = 1').fetchone()[0], 2))")" = 0.25 ]
}

@test "the files for other programs: vectors for numpy, JSON for the rest" {
  reef-memory remember 'Anna showed Lisbon to me' "${m[@]}" -q
  reef-memory remember 'We met Anna in Lisbon, I am so happy' "${m[@]}" -q
  cd root/data/memories/alice
  [ "$(npy embeddings.npy)" = "$(python3 -c "import sqlite3
rows = [b.hex() for (b,) in sqlite3.connect('memories.sqlite').execute('select embedding from memories order by vector_row')]
print((2, len(rows[0]) // 8), rows)")" ]
  python3 - <<'PYTHON'
import json
said = json.load(open("relationships.json"))
names = {e["name"]: e["mentions"] for e in said["entities"]}
assert names.get("Lisbon") == 2, said
assert all(set(r) == {"from", "to", "kind", "weight", "memories"} for r in said["relations"])
assert said["links"][0]["from"] == "M2" and said["links"][0]["to"] == "M1"
mood = json.load(open("emotional_state.json"))
assert mood["valence"] > 0 and mood["evidence"][0]["memory"] == "M2", mood
PYTHON
  cd -
  [ "$(reef-memory state "${m[@]}" --json)" = "$(cat root/data/memories/alice/emotional_state.json)" ]
  rm root/data/memories/alice/embeddings.npy
  echo '{}' >root/data/memories/alice/relationships.json
  run reef-memory verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"embeddings.npy: it is gone"*"relationships.json"* ]]
  run reef-memory export "${m[@]}" -o copy
  [ "$output" = "alice: 2 memories, 3 files written; copied to copy" ]
  cmp copy/embeddings.npy root/data/memories/alice/embeddings.npy
  cmp copy/relationships.json root/data/memories/alice/relationships.json
  reef-memory verify
  run reef-memory export "${m[@]}" -o copy
  [ "$status" -eq 2 ]
  [[ "$output" == *"copy holds something already"* ]]
}

@test "memories are linked to what is near, and by hand" {
  for text in 'a red boat' 'a blue boat' 'rain and wind'; do reef-memory remember "$text" "${m[@]}" -q; done
  [ "$(reef-memory link M2 "${m[@]}" --json | field 'o["schema"], sorted(l["id"] for l in o["links"])')" = "('reef.memory.link/1', ['M1', 'M3'])" ]
  [ "$(reef-memory link 3 M1 "${m[@]}" --json | field 'o["changed"]')" = True ]
  run reef-memory link M1 M3 "${m[@]}"
  [ "$output" = "already so; M1 and M3 are linked" ]
  [ "$(reef-memory link M1 "${m[@]}" --json | field 'o["links"][0]["id"], o["links"][0]["manual"]')" = "('M3', True)" ]
  run reef-memory link M1 M1 "${m[@]}"
  [ "$status" -eq 2 ]
  run reef-memory link M1 M9 "${m[@]}"
  [ "$status" -eq 5 ]
  reef-memory verify
}

@test "forget: first the plan, then no byte of it is left, with the messages where that is asked" {
  talk '{"session":"s1","role":"user","content":"The quixotic key hangs there.","id":"a","title":"Quixotic"}' \
    '{"session":"s1","role":"user","content":"Hello","id":"b"}' \
    '{"session":"s2","role":"user","content":"Quixotic, again","id":"c"}'
  reef-memory remember 'The quixotic key hangs behind the clock' "${m[@]}" -q
  reef-memory remember 'Something else' "${m[@]}" -q
  run reef-memory forget --matching QUIXOTIC "${m[@]}" --with-source --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"M1 "*"The quixotic key hangs behind the clock"* ]]
  [[ "$output" == *"session s1"*"1 of its 2 messages removed"* ]]
  [[ "$output" == *"session s2"*"1 of its 1 message removed, and the session itself"* ]]
  [ "$(reef-memory list "${m[@]}" --json | wc -l)" = 2 ]
  run reef-memory forget --matching QUIXOTIC "${m[@]}" --with-source </dev/null
  [ "$status" -eq 2 ]
  [[ "$output" == *"pass --yes"* ]]
  run reef-memory forget --matching QUIXOTIC "${m[@]}" --with-source --yes
  [ "$status" -eq 0 ]
  [ "$output" = "alice: 1 memory forgotten, 2 messages removed, 1 title or summary removed" ]
  run grep -rlai quixotic root
  [ "$status" -eq 1 ]
  [ "$(reef-session list --json | field '[(s["session"], s["messages"]) for s in all]')" = "[('s1', 1)]" ]
  reef-memory verify
  reef-session verify
  run reef-memory forget --matching QUIXOTIC "${m[@]}" --with-source --yes
  [ "$output" = "already so; alice remembers nothing of it" ]
  # Who asks for it again gets it.
  run reef-memory remember 'The quixotic key hangs behind the clock' "${m[@]}"
  [ "$output" = "alice: M3 added" ]
  reef-memory verify
}

@test "forget by id: what is not there is named, the rest is done" {
  reef-memory remember one "${m[@]}" -q
  reef-memory remember two "${m[@]}" -q
  run reef-memory forget M1 M7 "${m[@]}" --yes
  [ "$status" -eq 3 ]
  [ "$output" = "alice: 1 memory forgotten; there is no M7" ]
  run reef-memory forget M1 "${m[@]}" --yes
  [ "$status" -eq 5 ]
  [ "$(reef-memory list "${m[@]}" --json | field '[x["id"] for x in all]')" = "['M2']" ]
}

@test "a persona never sees, changes or forgets another one's memories" {
  persona=bob talk '{"session":"bobs","role":"user","content":"the zephyr jar is mine","id":"z"}'
  reef-memory remember 'the zephyr jar is mine' --persona bob -q
  reef-memory remember 'the zephyr jar is yours' "${m[@]}" -q
  [ "$(reef-memory list "${m[@]}" --json | field '[x["content"] for x in all]')" = "['the zephyr jar is yours']" ]
  run reef-memory show M2 "${m[@]}"
  [ "$status" -eq 5 ]
  run reef-memory show M1 "${m[@]}"
  [[ "$output" != *mine* ]]
  reef-memory forget --matching zephyr --with-source "${m[@]}" --yes -q
  run reef-memory forget --session bobs --with-source "${m[@]}" --yes
  [ "$status" -eq 5 ]
  [ "$(reef-memory list --persona bob --json | field 'o["content"]')" = 'the zephyr jar is mine' ]
  [ "$(reef-session list --json | field 'o["session"], o["messages"]')" = "('bobs', 1)" ]
  run reef-memory list
  [ "$status" -eq 2 ]
  [[ "$output" == *"several personas"*"--persona alice, bob"* ]]
  run reef-memory list --persona eve
  [ "$status" -eq 5 ]
  run reef-memory list --persona ../bob
  [ "$status" -ne 0 ]
  reef-memory verify
}

@test "a tree with one persona needs no --persona" {
  REEF_ROOT=$PWD/one reef-init --persona carol -q
  export REEF_ROOT=$PWD/one
  # Without the model a memory is stored and found by its words.
  run --separate-stderr reef-memory remember 'The lamp is green' --json
  [ "$status" -eq 0 ]
  [ "$(field 'o["persona"], o["vector"]' <<<"$output")" = "('carol', False)" ]
  [[ "$stderr" == *"warning: "*"no vectors until it is there"* ]]
  reef-memory verify
  reef-model import "$BATS_FILE_TMPDIR/tiny" --name tiny -q
  printf 'default_embedding: tiny\n' >one/config/models.yaml
  [ "$(reef-memory export --json | field 'o["embedded"], o["vectors"]')" = "(1, 1)" ]
  make_tiny_model other 48 >/dev/null
  reef-model import other --name other -q
  printf 'default_embedding: other\n' >one/config/models.yaml
  run reef-memory remember 'The lamp is on'
  [ "$status" -eq 0 ]
  [[ "$(npy one/data/memories/carol/embeddings.npy)" == "(2, 48) "* ]]
  reef-memory verify
}

@test "bad input names what to do" {
  run reef-memory remember '  ' "${m[@]}"
  [ "$status" -eq 2 ]
  [[ "$output" == *"no text to remember"* ]]
  [ ! -e root/data/memories/alice/memories.sqlite ]
  run reef-memory show Mx "${m[@]}"
  [ "$status" -eq 2 ]
  [[ "$output" == *"ids look like M12"* ]]
  run reef-memory show 99999999999999999999 "${m[@]}"
  [ "$status" -eq 2 ]
  run reef-memory forget "${m[@]}" --yes
  [ "$status" -eq 2 ]
  run reef-memory forget M1 --matching x "${m[@]}" --yes
  [ "$status" -eq 2 ]
  run reef-memory list --persona bob
  [ "$status" -eq 5 ]
  [[ "$output" == *"no memories yet"* ]]
  run reef-memory frget M1
  [ "$status" -eq 2 ]
  [[ "$output" == *"did you mean 'forget'"* ]]
  printf 'a\xff\x00b' | reef-memory remember - "${m[@]}" -q
  [ "$(reef-memory list "${m[@]}" --json | field 'o["id"]')" = M1 ]
  run reef-memory remember - "${m[@]}" < <(head -c 1048577 /dev/zero | tr '\0' x)
  [ "$status" -eq 2 ]
  [[ "$output" == *"more than 1 MiB, too much for a text to remember"* ]]
  rm root/data/memories/alice/embeddings.npy
  mkdir root/data/memories/alice/embeddings.npy
  run reef-memory export "${m[@]}"
  [ "$status" -eq 1 ]
  [[ "$output" == *"embeddings.npy is a folder"*"move it away"* ]]
  rmdir root/data/memories/alice/embeddings.npy
  printf junk >root/data/memories/alice/memories.sqlite
  rm -f root/data/memories/alice/memories.sqlite-*
  run reef-memory verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"memories.sqlite"*"restore it from a backup"* ]]
  run reef-memory remember x "${m[@]}"
  [ "$status" -eq 4 ]
}

@test "another run that writes is waited for, or named" {
  reef-memory remember 'The gate is red' "${m[@]}" -q
  exec 9<>root/data/memories/alice/.lock
  flock 9
  echo $$ >&9
  run reef-memory remember 'The gate is blue' "${m[@]}"
  [ "$status" -eq 6 ]
  [[ "$output" == *"locked by process $$"* ]]
  run reef-memory verify
  [ "$status" -eq 6 ]
  reef-memory list "${m[@]}" -q >/dev/null
  (sleep 0.3 && exec 9>&-) &
  exec 9>&-
  reef-memory remember 'The gate is blue' "${m[@]}" --wait 30s -q
  wait
}

@test "a file of a newer version keeps no other persona from being checked" {
  reef-memory remember 'The gate is red' "${m[@]}" -q
  reef-memory remember 'The gate is red' --persona bob -q
  python3 -c 'import sqlite3; sqlite3.connect("root/data/memories/alice/memories.sqlite").execute("PRAGMA user_version = 99")'
  echo '{}' >root/data/memories/bob/relationships.json
  run reef-memory verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"alice: memories.sqlite: "*"version 99"*"bob: relationships.json"* ]]
}

@test "commands that answer link no heavy library" {
  run ldd "$REEF_BIN/reef-memory"
  for library in faiss blas gomp curl crypto ssl xml2 archive; do
    [[ "$output" != *"lib$library"* ]]
  done
}
