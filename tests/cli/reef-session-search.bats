#!/usr/bin/env bats
# reef-session index and search, reef-memory search, and memories as a layer of reef-index query.
# REEF_BIN is the folder of the executables.

bats_require_minimum_version 1.5.0
load prepared_tree

setup_file() { prepare_tree alice bob carol; }
setup() {
  use_tree
  cat >talk.jsonl <<'END'
{"session":"s","id":"m1","role":"user","speaker":"Ann","content":"Where shall we meet on Sunday?","created_at":"2026-01-01T08:00:00Z"}
{"session":"s","id":"m2","role":"assistant","speaker":"Ben","content":"At the lighthouse, remember that I will bring the violin.","created_at":"2026-01-01T08:01:00Z"}
{"session":"s","id":"m3","role":"user","speaker":"Ann","content":"Good.","created_at":"2026-01-01T08:02:00Z"}
{"session":"t","id":"m4","role":"user","speaker":"Ann","content":"My brother Tom lives in Lisbon and plays chess.","created_at":"2026-01-02T08:00:00Z"}
END
  reef-session import talk.jsonl --persona alice -q
}

# field PYTHON < JSON: an expression over the object `o`.
field() { python3 -c 'import json, sys; o = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }
found() { field '[r["external_id"] for r in o["results"]]'; }

@test "index embeds what is pending once; a message more costs one" {
  run reef-session index --persona alice --json
  [ "$status" -eq 0 ]
  [ "$(field '(o["schema"], o["embedded"], o["turns"], o["changed"], o["model"])' <<<"$output")" = "('reef.session.index/1', 4, 4, True, 'tiny')" ]
  run reef-session index --all
  [ "$output" = "alice: already so; 4 turns have vectors" ]
  reef-session append s --role user 'One more.'
  [ "$(reef-session index --persona alice --json | field 'o["embedded"]')" = 1 ]
  reef-session verify
  run reef-session index
  [ "$status" -eq 2 ]
  run reef-session index --persona nobody
  [ "$status" -eq 5 ]
}

@test "another default model: each persona is told how its vectors are made anew, and the others go on" {
  sed 's/"s"/"b"/; s/"t"/"c"/; s/"m/"b/' talk.jsonl | reef-session import - --persona bob -q
  reef-session index --persona alice -q
  make_tiny_model other 96 >/dev/null
  reef-model import other --name other -q
  sed -i 's/default_embedding: .*/default_embedding: other/' root/config/models.yaml
  run --separate-stderr reef-session index --all
  [ "$status" -eq 3 ]
  [[ "$stderr" == *"alice: "*"reef-session index --persona alice --again"* ]]
  [ "$output" = "bob: 4 turns embedded by other; 4 have vectors" ]
  run --separate-stderr reef-session index --all --again
  [ "$status" -eq 0 ]
  [ "$output" = $'alice: 4 turns embedded by other; 4 have vectors\nbob: already so; 4 turns have vectors' ]
  [ "$(reef-session index --persona bob --again --json | field 'o["embedded"]')" = 4 ]
  reef-session verify
}

@test "verify while a persona's vectors are written: the rest is looked at, and the status says so" {
  reef-session index --all -q
  flock root/vectors/conversations/alice/.lock bash -c '
    reef-session verify >said 2>&1; echo $? >status
    reef-session verify --json >json || true'
  [ "$(cat status)" -eq 3 ]
  grep -q 'vectors of alice were not looked at' said
  [ "$(field '(o["ok"], [s["persona"] for s in o["skipped"]])' <json)" = "(True, ['alice'])" ]
  [ ! -e root/vectors/conversations/carol ]
}

@test "the files of the turns open with other programs" {
  reef-session index --all -q
  python3 - root/vectors/conversations/alice <<'PY'
import json, os, sqlite3, sys
folder = sys.argv[1]
mapping = json.load(open(f"{folder}/id_mapping.json"))
ids = [row[0] for row in sqlite3.connect("root/data/conversations/conversations.sqlite").execute("SELECT id FROM messages ORDER BY id")]
assert [mapping["messages"][str(i)] for i in range(4)] == ids, mapping
head = open(f"{folder}/vectors.npy", "rb").read(128)
assert b"'shape': (4," in head.replace(b" ", b"").replace(b":(", b": ("), head
assert "tiny" in open(f"{folder}/config.json").read()
PY
}

@test "search finds a message by its words, its neighbours behind it, and embeds first what is new" {
  run --separate-stderr reef-session search lighthouse --persona alice --mode bm25 --json
  [ "$status" -eq 0 ]
  [ "$(found <<<"$output")" = "['m2', 'm3', 'm1']" ]
  run --separate-stderr reef-session search 'where is the lighthouse' --persona alice --json
  [ "$status" -eq 0 ]
  [ -z "$stderr" ]
  [ "$(field 'o["results"][0]["external_id"], o["by_words"], sorted(o["results"][0])' <<<"$output")" = "('m2', 0, ['bm25', 'content', 'created', 'dense', 'external_id', 'id', 'persona', 'rank', 'role', 'score', 'session', 'speaker'])" ]
  run reef-session search 'What did Ben say of a violin?' -k 1 --mode bm25
  [[ "$output" == " 1. 2026-01-01T08:01 Ben  [s]"*"At the lighthouse"* ]]
}

@test "without the model, on a tree that cannot be written, and under another run, words remain" {
  mv root/models/base/tiny away
  run --separate-stderr reef-session search lighthouse --persona alice --json
  [ "$status" -eq 0 ]
  [[ "$stderr" == *"searched by words alone"* ]]
  [ "$(field 'o["by_words"], len(o["results"])' <<<"$output")" = '(4, 3)' ]
  run --separate-stderr reef-session search lighthouse --persona alice --mode dense
  [ "$status" -eq 5 ]
  mv away root/models/base/tiny
  reef-session index --all -q
  reef-session append s --role user 'A lighthouse more.'
  flock root/vectors/conversations/alice/.lock bash -c '
    run() { reef-session search lighthouse --persona alice --json; }
    run >answer 2>words; reef-session index --persona alice; echo $? >status' || true
  [ "$(cat status)" -eq 6 ]
  [ "$(field 'o["by_words"], len(o["results"])' <answer)" = '(1, 5)' ]
}

@test "questions in a batch: bad lines are named, personas stay apart" {
  sed 's/"s"/"b"/; s/"t"/"c"/; s/"m/"b/' talk.jsonl | reef-session import - --persona bob -q
  printf '%s\n' '{"id":"q1","text":"lighthouse"}' 'nonsense' '{"id":"q2","text":"lighthouse","persona":"bob"}' '{"id":"q3","text":"lighthouse","persona":"carol"}' >questions.jsonl
  run --separate-stderr reef-session search --batch questions.jsonl --persona alice --mode bm25 --no-touch
  [ "$status" -eq 3 ]
  [ "${#lines[@]}" -eq 2 ]
  [ "$(found <<<"${lines[0]}")" = "['m2', 'm3', 'm1']" ]
  [ "$(found <<<"${lines[1]}")" = "['b2', 'b3', 'b1']" ]
  [[ "$stderr" == *"questions.jsonl:2: "* ]]
  [[ "$stderr" == *"questions.jsonl:4: persona 'carol' has no conversations"* ]]
  [ "$(reef-session search lighthouse --json | field 'sorted({r["persona"] for r in o["results"]})')" = "['alice', 'bob']" ]
  run reef-session search
  [ "$status" -eq 2 ]
  run reef-session search ' '
  [ "$status" -eq 2 ]
}

@test "an archived message is found by its words, with its text while the archive is there" {
  mkdir archive
  printf 'storage:\n  archive: %s\n' "$PWD/archive" >root/config/system.yaml
  reef-session index --all -q
  reef-session archive s -q
  [ "$(reef-session search lighthouse --persona alice --json | field 'o["results"][0]["content"]')" = 'At the lighthouse, remember that I will bring the violin.' ]
  mv archive away
  run --separate-stderr reef-session search lighthouse --persona alice --json
  [ "$status" -eq 0 ]
  [[ "$stderr" == *"warning: "* ]]
  [ "$(field 'o["results"][0]["external_id"], o["results"][0]["content"]' <<<"$output")" = "('m2', '')" ]
}

@test "memory search: sources and days; a persona never sees another's; accesses count" {
  reef-memory consolidate --persona alice --now 2026-01-05 -q
  run --separate-stderr reef-memory search 'where does Tom live' --persona alice --json
  [ "$status" -eq 0 ]
  [ "$(field '(o["schema"], "m4" in [r["external_id"] for r in o["results"]])' <<<"$output")" = "('reef.memory.search/1', True)" ]
  reef-memory search 'where does Tom live' --persona alice --no-touch -q >/dev/null
  [ "$(reef-memory list --persona alice --json | head -n 1 | field 'o["access_count"]')" = 1 ]
  run reef-memory search lighthouse --persona bob
  [ "$status" -eq 5 ]
  [[ "$output" == *"no memories"*"consolidate"* ]]
  reef-memory remember 'The cellar key is under the pot.' --persona bob -q
  run reef-memory search 'Lisbon Tom lighthouse' --persona bob --json
  [ "$(field '[r["content"] for r in o["results"]]' <<<"$output")" = "['The cellar key is under the pot.']" ]
  run reef-index query 'cellar key' --persona alice --mode bm25 --json
  [ "$(field '[r["text"] for r in o["results"] if "cellar" in r["text"]]' <<<"$output")" = '[]' ]
}

@test "memory search: without the model by words, and bad lines and counts are named" {
  reef-memory remember 'Tom lives in Lisbon' --persona alice -q
  mv root/models/base/tiny away
  run --separate-stderr reef-memory search 'where does Tom live' --persona alice --json
  [ "$status" -eq 0 ]
  [ "$(field 'o["results"][0]["content"]' <<<"$output")" = 'Tom lives in Lisbon' ]
  [[ "$stderr" == *"warning: the memories of alice is searched by words alone"* ]]
  run reef-memory search 'where does Tom live' --persona alice --mode dense
  [ "$status" -eq 5 ]
  [[ "$output" == *"--mode bm25"* ]]
  [[ "$output" != *"--vector"* ]]
  mv away root/models/base/tiny
  printf '%s\n' '{"id":"a","persona":"../alice","text":"Tom"}' '{"id":"b","text":"Tom"}' '{"id":"c","persona":"alice","text":"Tom"}' >questions
  run --separate-stderr reef-memory search --batch questions
  [ "$status" -eq 3 ]
  [ "$(field 'o["id"], len(o["results"])' <<<"$output")" = "('c', 1)" ]
  [[ "$stderr" == *"questions:1: "*"questions:2: this tree has several personas"* ]]
  for command in 'reef-memory search' 'reef-session search' 'reef-index query'; do
    run $command Tom --persona alice -k 0
    [ "$status" -eq 2 ]
    [[ "$output" == *"-k 0 asks for no result"* ]]
    run $command - --persona alice < <(head -c 1048577 /dev/zero | tr '\0' x)
    [ "$status" -eq 2 ]
    [[ "$output" == *"more than 1 MiB"* ]]
  done
}

@test "memories are a layer of reef-index query, beside documents" {
  reef-memory consolidate --persona alice --now 2026-01-05 -q
  printf 'Lisbon has a river.\n' >lisbon.txt
  reef-index ingest lisbon.txt -q
  run reef-index query 'Tom Lisbon' --persona alice --json
  [ "$status" -eq 0 ]
  [ "$(field '[(r["layer"], r["memory"] is not None, r["document"] is not None) for r in o["results"] if "Lisbon" in r["text"]]' <<<"$output")" = "[('memories', True, False), ('shared', False, True)]" ]
  run reef-index query 'Tom Lisbon' --persona alice --context
  [[ "$output" == "[M"*" 2026-01-02] Ann"*"My brother Tom lives in Lisbon"*"[S1]"* ]]
  id=$(reef-index query Tom --persona alice --layers memories --json | field 'o["results"][0]["id"]')
  reef-memory show "$id" --persona alice | grep -q 'My brother Tom'
  run reef-index query 'Tom Lisbon' --json
  [ "$status" -eq 0 ]
  [[ "$output" != *brother* ]]
  run reef-index query 'Tom Lisbon' --persona alice --tag none --json
  [ "$status" -eq 0 ]
  [[ "$output" != *brother* ]]
}

@test "what was forgotten with its source is nowhere below the root, nor after the next runs" {
  reef-session append t --role user --speaker Ann --id m5 --time 2026-01-02T09:00:00Z 'Remember that my password is zanzibarquux.'
  reef-session append t --role user --speaker Ann --id m6 --time 2026-01-02T09:01:00Z 'And my sister Eva lives in Porto.'
  reef-memory consolidate --persona alice --now 2026-01-05 -q
  grep -raq zanzibarquux root
  reef-memory forget --matching zanzibarquux --with-source --persona alice --yes -q
  run ! grep -raq zanzibarquux root
  reef-session index --all -q
  reef-memory consolidate --persona alice --now 2026-02-01 -q
  run ! grep -raq zanzibarquux root
  reef-session verify
  reef-memory verify
  [ "$(reef-session search Eva --persona alice --mode bm25 --json | field 'o["results"][0]["external_id"]')" = m6 ]
}
