#!/usr/bin/env bats
# reef-index on the command line: good runs, and bad input of which each must name what to do.
# REEF_BIN is the folder of the executables. Vectors come from a tiny random encoder.

bats_require_minimum_version 1.5.0
load prepared_tree
load wait_until

setup_file() {
  prepare_tree alice
}

setup() {
  use_tree
  mkdir docs
  printf '# Boats\n\nThe red boat leaks at the north pier.\n\n## Repairs\n\nPitch and oakum are bought in April.\n' >docs/boats.md
  printf '{"id":"r1","title":"Ropes","text":"Hemp ropes rot in wet winters."}\n{"id":"r2","title":"Sails","text":"Canvas sails need drying."}\n' >docs/gear.jsonl
}

# field PYTHON < JSON: an expression over the object `o`.
field() { python3 -c 'import json, sys; o = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

@test "ingest, query, show: the answer is cited and the citation resolves" {
  run reef-index ingest docs
  [ "$status" -eq 0 ]
  [[ "$output" == "shared: 3 documents added; "*"new chunk"* ]]
  reef-index query 'which boat leaks?' --json >answer
  [ "$(field 'o["schema"]' <answer)" = reef.index.query/1 ]
  [ "$(field 'o["results"][0]["document"]["id"].split("/")[-1]' <answer)" = boats.md ]
  id=$(field 'o["results"][0]["id"]' <answer)
  run reef-index show "$id"
  [ "$status" -eq 0 ]
  [[ "$output" == *"red boat leaks"* ]]
  run reef-index query 'which boat leaks?'
  [[ "${lines[0]}" == *"[$id]"* ]]
  # The offsets cite the file itself.
  start=$(field 'o["results"][0]["document"]["start"]' <answer) end=$(field 'o["results"][0]["document"]["end"]' <answer)
  [ "$(head -c "$end" docs/boats.md | tail -c +$((start + 1)))" = "$(reef-index show "$id" --json | field 'o["text"]')" ]
}

@test "a second run is unchanged, a changed file is replaced, a removed one is gone" {
  reef-index ingest docs -q
  run reef-index ingest docs
  [ "$status" -eq 0 ]
  [[ "$output" == "already so; 2 files unchanged" ]]
  printf '# Boats\n\nThe blue boat floats.\n' >docs/boats.md
  [ "$(reef-index ingest docs --json | field '(o["replaced"], o["unchanged"])')" = '(1, 1)' ]
  [ "$(reef-index query 'boat pier' --mode bm25 --json | field '"red boat" in str(o["results"])')" = False ]
  rm docs/boats.md
  [ "$(reef-index ingest docs --prune --json | field 'o["removed"]')" = 1 ]
  reef-index verify
  run reef-index remove r1
  [ "$status" -eq 0 ]
  run reef-index remove r1
  [ "$status" -eq 5 ]
  [ "$(reef-index stat --json | field 'o["scopes"][0]["documents"]')" = 1 ]
  reef-index verify
}

@test "query --document: one document alone, by its id or its file" {
  reef-index ingest docs -q
  source=$(reef-index query boat --json | field 'o["results"][0]["document"]["source"]')
  [ "$(reef-index query boat --document "$source" --json | field '{r["document"]["source"] for r in o["results"]}')" = "{'$source'}" ]
  run reef-index query boat --document nothing.md
  [ "$status" -eq 5 ]
  [[ "${lines[0]}" == "reef-index: error: no document 'nothing.md'"* ]]
}

@test "a persona's documents stay its own" {
  reef-index ingest docs --persona alice -q
  [ "$(reef-index query 'boat' --persona alice --json | field 'len(o["results"]) > 0')" = True ]
  run reef-index query 'boat'
  [ "$status" -eq 5 ]
  run reef-index ingest docs --persona alcie
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean 'alice'?"* ]]
  run reef-index query boat --persona nobody
  [ "$status" -eq 5 ]
}

@test "JSONL from a pipe; a cut line is named, the others come in" {
  run bash -c "printf '{\"id\":\"a\",\"text\":\"Anchors hold.\"}\n{\"id\":\"b\",\"te' | reef-index ingest -"
  [ "$status" -eq 3 ]
  [[ "$output" == *"stdin:"*":2: "* ]]
  [ "$(reef-index query anchors --json | field 'o["results"][0]["document"]["id"]')" = a ]
}

@test "a batch answers in input order; a bad line is named and skipped" {
  reef-index ingest docs -q
  printf '{"id":"q1","text":"ropes"}\nnonsense\n{"id":"q2","text":"sails"}\n' >batch
  run --separate-stderr reef-index query --batch batch --json
  [ "$status" -eq 3 ]
  [ "${#lines[@]}" -eq 2 ]
  [ "$(field 'o["id"]' <<<"${lines[0]}")" = q1 ]
  [ "$(field 'o["id"]' <<<"${lines[1]}")" = q2 ]
  [[ "$stderr" == *"batch:2:"* ]]
}

@test "context cites and keeps its budget" {
  reef-index ingest docs -q
  run reef-index query 'boats ropes sails' --context --budget 30
  [ "$status" -eq 0 ]
  [[ "${lines[0]}" =~ ^\[S[0-9]+\] ]]
  [ "$(wc -w <<<"$output")" -le 30 ]
}

@test "embed writes an array that matches its input" {
  run reef-index embed 'one text' 'another text' -o v.npy
  [ "$status" -eq 0 ]
  head -c 6 v.npy | grep -q NUMPY
  run reef-index embed 'one text' -o v.npy
  [ "$status" -eq 2 ]
  [[ "$output" == *"--force"* ]]
  reef-index ingest docs -q
  reef-index embed 'which boat leaks?' --as-query -o q.npy -q
  [ "$(reef-index query --vector q.npy --json | field 'len(o["results"]) > 0')" = True ]
}

@test "no tree, empty tree, nothing ingested" {
  run reef-index query x --root "$PWD/nowhere"
  [ "$status" -eq 5 ]
  [[ "$output" == *"no storage tree"*"reef-init"* ]]
  run reef-index query x
  [ "$status" -eq 5 ]
  [[ "$output" == *"nothing to search"*"reef-index ingest"* ]]
  run reef-index verify
  [ "$status" -eq 0 ]
}

@test "files that cannot be used are listed with reasons and status 3" {
  : >docs/empty.txt
  head -c 4096 /dev/urandom >docs/image.txt
  printf 'text\n' >"docs/$(printf 'bad\377').txt"
  printf 'secret\n' >docs/unreadable.txt
  chmod 0 docs/unreadable.txt
  expected=3
  [ "$(id -u)" -eq 0 ] || expected=4
  run --separate-stderr reef-index ingest docs
  [ "$status" -eq 3 ]
  [[ "$stderr" == *"empty.txt"*"empty"* ]]
  [[ "$stderr" == *"image.txt"*"binary"* ]]
  [[ "$stderr" == *"not UTF-8"* ]]
  [ "$(reef-index ingest docs --json | field 'len(o["faults"])')" = $expected ]
  reef-index verify
}

@test "a file over the limit is refused, --text-only takes it in little memory" {
  sed -i 's/max_file_bytes: .*/max_file_bytes: 1MiB/' root/config/system.yaml
  mkdir big
  yes 'The quick brown fox jumps over the lazy dog.' | head -c 3000000 >big/big.txt || true
  run reef-index ingest big
  [ "$status" -eq 3 ]
  [[ "$output" == *"max_file_bytes"*"--text-only"* ]]
  run reef-index ingest big --text-only
  [ "$status" -eq 0 ]
  [ "$(reef-index query 'lazy fox' --json | field 'o["results"][0]["layer"]')" = documents ]
  reef-index verify
}

@test "a missing file ends the run before it begins" {
  run reef-index ingest docs nowhere.txt
  [ "$status" -eq 5 ]
  [[ "$output" == *"nowhere.txt"* ]]
  run reef-index stat --json
  [ "$(field 'len(o["scopes"])' <<<"$output")" = 0 ]
}

@test "two runs at once: the second ends with status 6 and names the first" {
  mkfifo pipe
  reef-index ingest - <pipe &
  exec 9>pipe
  # The first run holds its lock while it waits for the pipe.
  wait_until [ -s root/vectors/shared/.lock ]
  run reef-index ingest docs
  [ "$status" -eq 6 ]
  [[ "$output" == *"locked by process"* ]]
  [[ "$output" == *"--wait"* ]]
  printf 'late text\n' >&9
  exec 9>&-
  wait
  reef-index ingest docs -q
  reef-index verify
}

@test "a store keeps its model when the default changes, and says so when that is gone" {
  reef-index ingest docs -q
  make_tiny_model other 96 >/dev/null
  reef-model import other --name other -q
  sed -i 's/default_embedding: .*/default_embedding: other/' root/config/models.yaml
  printf 'More text.\n' >docs/more.txt
  reef-index ingest docs -q
  [ "$(reef-index stat --json | field '(o["scopes"][0]["model"], o["scopes"][0]["dim"], o["scopes"][0]["documents"])')" = "('tiny', 64, 4)" ]
  [ "$(reef-index query boat --json | field 'o["results"][0]["dense"] is not None')" = True ]
  rm -r root/models/*/tiny
  printf 'More text, changed.\n' >docs/more.txt
  for command in "ingest docs" "query boat" "query boat --mode dense"; do
    run reef-index $command
    [ "$status" -eq 5 ]
    [[ "$output" == *"of tiny"* || "$output" == *"from tiny"* ]]
    [[ "$output" == *"reef-model import"*"build --embedding"* ]]
  done
  run reef-index query boat --mode bm25
  [ "$status" -eq 0 ]
}

@test "without a model the way out is named" {
  sed -i 's/default_embedding: .*/default_embedding: absent/' root/config/models.yaml
  run reef-index ingest docs
  [ "$status" -eq 5 ]
  [[ "$output" == *"absent"*"--text-only"* ]]
}

@test "a full disk leaves what was there" {
  [ "$(id -u)" -eq 0 ] || skip "mounting a small filesystem needs root"
  mkdir small
  mount -t tmpfs -o size=3m tmpfs small 2>/dev/null || skip "no right to mount"
  cp -a root/. small/
  export REEF_ROOT="$PWD/small"
  reef-index ingest docs -q
  yes 'Filling the disk with words that mean nothing.' | head -c 4000000 >huge.txt || true
  run reef-index ingest huge.txt --text-only
  status_of_run=$status text=$output
  run reef-index verify
  verified=$status
  rm -f small/cache/embedding_cache/*.sqlite*
  run reef-index query 'boat' --json
  umount small
  [ "$status_of_run" -eq 1 ]
  [[ "$text" == *"space"* ]]
  [ "$verified" -eq 0 ] || [ "$verified" -eq 4 ]
  [ "$status" -eq 0 ]
}

@test "a read-only tree still answers" {
  [ "$(id -u)" -eq 0 ] || skip "mounting read-only needs root"
  reef-index ingest docs -q
  mount --bind root root 2>/dev/null || skip "no right to mount"
  mount -o remount,ro,bind root
  run reef-index query boat --json
  answered=$status
  run reef-index verify
  verified=$status
  run reef-index ingest docs/boats.md
  wrote=$status
  text=$output
  umount root
  [ "$answered" -eq 0 ]
  [ "$verified" -eq 0 ]
  [ "$wrote" -eq 1 ]
  [[ "$text" == *"ead-only"* ]]
}

@test "an interrupted run ends by its signal and the next one finishes it" {
  for i in $(seq 400); do printf '{"id":"d%d","text":"Text number %d of a long list of texts about harbours and ships."}\n' "$i" "$i"; done >many.jsonl
  timeout --foreground --signal=INT --preserve-status .2 reef-index ingest many.jsonl && status=0 || status=$?
  [ "$status" -eq 130 ] || [ "$status" -eq 0 ]
  reef-index ingest many.jsonl -q
  [ "$(reef-index stat --json | field 'o["scopes"][0]["documents"]')" = 400 ]
  reef-index verify
}

@test "wrong words are met with a suggestion and status 2" {
  run reef-index qurey x
  [ "$status" -eq 2 ]
  [[ "${lines[0]}" == "reef-index: error: unknown command 'qurey', did you mean 'query'?" ]]
  [ "${#lines[@]}" -eq 2 ]
  run reef-index query x --mod dense
  [ "$status" -eq 2 ]
  [[ "$output" == *"did you mean '--mode'?"* ]]
  run reef-index query x -k -3
  [ "$status" -eq 2 ]
  run reef-index query x --mode fuzzy
  [ "$status" -eq 2 ]
  run reef-index query x --layers shraed
  [ "$status" -eq 2 ]
  [[ "$output" == *"did you mean 'shared'?"* ]]
  run reef-index
  [ "$status" -eq 2 ]
  run reef-index query
  [ "$status" -eq 2 ]
}

@test "errors with --json are JSON on stderr" {
  run --separate-stderr reef-index query x --json
  [ "$status" -eq 5 ]
  [ -z "$output" ]
  [ "$(field '(o["schema"], o["status"])' <<<"$stderr")" = "('reef.error/1', 5)" ]
}

@test "output into head ends quietly, into a full device with status 1" {
  reef-index ingest docs -q
  for i in $(seq 2000); do printf '{"id":"%d","text":"boats and ropes"}\n' "$i"; done >batch
  run bash -c 'set -o pipefail; reef-index query --batch batch --json | head -1 | wc -l'
  [ "$output" = 1 ]
  run bash -c 'reef-index query boat >/dev/full'
  [ "$status" -eq 1 ]
}

@test "commands that answer link no heavy library" {
  run ldd "$REEF_BIN/reef-index"
  for library in faiss blas gomp curl crypto ssl xml2 archive; do
    [[ "$output" != *"lib$library"* ]]
  done
}

@test "questions are counted, and not with --no-touch" {
  reef-index ingest docs -q
  reef-index query boat --no-touch >/dev/null
  [ ! -e root/cache/query_latency.bin ]
  reef-index query boat >/dev/null
  [ -e root/cache/query_latency.bin ]
}

@test "the files open with standard tools" {
  reef-index ingest docs -q
  [ "$(sqlite3 root/vectors/shared/metadata.sqlite 'SELECT count(*) FROM documents' 2>/dev/null || echo 3)" = 3 ]
  python3 - root/vectors/shared <<'PY'
import json, sys
from pathlib import Path
folder = Path(sys.argv[1])
mapping = json.loads((folder / "id_mapping.json").read_text())
config = json.loads((folder / "config.json").read_text())
assert mapping["rows_total"] == len(mapping["ids"]) == config["rows"], (mapping, config)
header = (folder / "vectors.npy").read_bytes()[:128]
assert header[:6] == b"\x93NUMPY" and b"'<f4'" in header
PY
}

@test "a page whose headings alone change is cited by its new ones" {
  printf '<title>T</title><h1>Turtles</h1><p>They eat grass.</p>' >page.html
  reef-index ingest --text-only page.html -q
  printf '<title>T</title><p>Turtles</p><h2>Food</h2><p>They eat grass.</p>' >page.html
  reef-index ingest --text-only page.html -q
  reef-index query --mode bm25 grass --json | grep -q '"heading":""'
}

@test "a folder that lost all its files is not pruned unasked" {
  mkdir mnt && echo 'Some text.' >mnt/a.txt
  reef-index ingest --text-only mnt -q
  rm mnt/a.txt
  run reef-index ingest --text-only --prune mnt
  [ "$status" -eq 1 ]
  [[ "$output" == *"not mounted"*"--force"* ]]
  run reef-index ingest --text-only --force mnt
  [ "$status" -eq 2 ]
  run reef-index ingest --text-only --prune --force mnt
  [ "$status" -eq 0 ]
  [[ "$output" == *"1 removed"* ]]
}

@test "input that cannot be read is an error, not the end of the input" {
  reef-index ingest docs -q
  run reef-index query --batch "$PWD/docs" --mode bm25
  [ "$status" -eq 1 ]
  [[ "$output" == *"read $PWD/docs: Is a directory"* ]]
  run bash -c 'reef-index query --batch - --mode bm25 <docs'
  [ "$status" -eq 1 ]
  [[ "$output" == *"standard input"*"directory"* ]]
  run bash -c 'reef-index query - --mode bm25 <docs'
  [ "$status" -eq 1 ]
  [[ "$output" == *"standard input"*"directory"* ]]
  run reef-index embed --batch docs -o v.npy
  [ "$status" -eq 1 ]
  [[ "$output" == *"docs"*"directory"* ]]
  [ ! -e v.npy ]
}

@test "a batch without lines gives no answers, and an array without rows" {
  reef-index ingest docs -q
  run reef-index query --batch /dev/null
  [ "$status" -eq 0 ]
  [ -z "$output" ]
  reef-index embed --batch /dev/null -o v.npy -q
  head -c 128 v.npy | grep -aqE "'shape': \( *0, 64\)"
}

@test "an empty question is refused, alone and as a line of a batch" {
  reef-index ingest docs -q
  for question in '' '   ' $'\n\t' $'\xc2\xa0'; do
    for mode in hybrid dense bm25; do
      run --separate-stderr reef-index query "$question" --mode $mode
      [ "$status" -eq 2 ]
      [ -z "$output" ]
      [[ "$stderr" == *"the question is empty"* ]]
    done
  done
  run bash -c 'reef-index query - </dev/null'
  [ "$status" -eq 2 ]
  printf '{"id":"q1","text":" "}\n{"id":"q2","text":"sails"}\n' >batch
  run --separate-stderr reef-index query --batch batch
  [ "$status" -eq 3 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ "$stderr" == *"batch:1: the question is empty"* ]]
}

@test "a budget too small for one citation is refused with the least one" {
  reef-index ingest docs -q
  run --separate-stderr reef-index query boats --context --budget 2
  [ "$status" -eq 2 ]
  [ -z "$output" ]
  least=$(sed -n 's/.*pass --budget \([0-9]*\) or more.*/\1/p' <<<"$stderr")
  run reef-index query boats --context --budget "$least"
  [ "$status" -eq 0 ]
  [[ "${lines[0]}" =~ ^\[S[0-9]+ ]]
}

@test "context passes no control characters of documents on" {
  printf 'Bells \033]0;owned\007ring.\r\nTwice\ta day.\n' >docs/bells.txt
  reef-index ingest docs -q
  reef-index query bells --context >context
  grep -q 'ring.' context
  [ "$(tr -d '\n\t' <context | LC_ALL=C grep -c '[[:cntrl:]]')" = 0 ]
}

@test "short documents are found beside a long one, words beside any punctuation" {
  mkdir long
  for i in $(seq 400); do printf '# Section %d\n\nThe wombat digs wombat burrows %d feet deep, says wombat lore.\n\n' "$i" "$i"; done >long/book.md
  for i in one two three; do printf 'Note %s tells of a long walk past the mill, where at last, tired and late, a wombat was seen by us under the %s oaks.\n' "$i" "$i" >"long/$i.txt"; done
  reef-index ingest long -q
  for mode in hybrid dense bm25; do
    [ "$(reef-index query wombat -k 100 --mode $mode --json | field 'len(o["results"])')" = 4 ]
  done
  [ "$(reef-index query $'tired\xe2\x80\x94oaks\xc2\xa0mill' --mode bm25 --json | field 'len(o["results"])')" = 3 ]
}

@test "damage to the embedding cache never fails an ingest" {
  reef-index ingest docs -q
  cache=(root/cache/embedding_cache/*.sqlite)
  python3 -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute("update vectors set vector = zeroblob(length(vector))"); d.commit()' "${cache[0]}"
  run reef-index ingest docs --persona alice
  [ "$status" -eq 0 ]
  head -c 8192 /dev/urandom >"${cache[0]}"
  rm -f "${cache[0]}"-*
  printf 'More text.\n' >docs/more.txt
  run reef-index ingest docs
  [ "$status" -eq 0 ]
  [[ "$output" == *"warning: embedding cache:"*"made again"* ]]
  run reef-index ingest docs --persona alice
  [ "$status" -eq 0 ]
  [[ "$output" != *warning* ]]
  reef-index verify
}

@test "build makes a graph that questions are answered from, and purges what was removed" {
  for i in $(seq 300); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours."}\n' "$i" "$i"; done >many.jsonl
  reef-index ingest many.jsonl -q
  before=$(reef-index query 'number 17' --mode dense --json | jq -c '[.results[].document.id]')
  reef-index remove d3 -q
  run reef-index build --json
  [ "$status" -eq 0 ]
  [ "$(jq .rows <<<"$output")" -eq 299 ]
  [ "$(jq .removed <<<"$output")" -eq 1 ]
  [ -f root/vectors/shared/index.bin ]
  reef-index verify
  [ "$(reef-index query 'number 17' --mode dense --json | jq -c '[.results[].document.id]')" = "$before" ]
  # What comes later is found beside the graph.
  printf '{"id":"late","text":"A late text about whales."}\n' | reef-index ingest -q -
  reef-index query 'whales' --json | jq -e '.results[0].document.id == "late"'
  reef-index stat --json | jq -e '.scopes[0] | .indexed == 299 and .vectors == 300'
  reef-index verify
}

# has_faiss: skips the test where reef-faiss was not built.
has_faiss() { [ -x "$REEF_BIN/../libexec/reef/reef-faiss" ] || skip 'reef-faiss is not built'; }

@test "where codes lose too much the graph is built over floats, or a warning says why not" {
  for i in $(seq 300); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours."}\n' "$i" "$i"; done >many.jsonl
  reef-index ingest many.jsonl -q
  reef-index build --recall .5 --json | jq -e '.index == "graph" and .reason == null and .recall_at_10.reached'
  # Of these vectors codes find nearly all, which is less than all.
  REEF_LIBEXEC="$PWD" run reef-index build --recall 1
  [ "$status" -eq 4 ]
  [[ "$output" == *"warning: shared: 8-bit codes"*"under the 1 asked for; "*"reef-faiss is missing"* ]]
  [[ "$output" == *"warning: shared: recall@10 is 0.99"* ]]
  REEF_LIBEXEC="$PWD" run --separate-stderr reef-index build --recall 1 --json
  jq -e '.index == "graph" and (.reason | contains("reef-faiss is missing")) and (.recall_at_10.reached | not)' <<<"$output"
  reef-index verify
  has_faiss
  run reef-index build --recall 1
  [ "$status" -eq 0 ]
  [[ "$output" == *"under the 1 asked for; the graph was built over floats"* ]]
  jq -e '.index.built_over == "floats"' root/vectors/shared/config.json
  [ "$(reef-index query 'number 17' --mode dense --json | jq '.results | length')" -eq 10 ]
  reef-index verify
  reef-index build --json | jq -e '.index == "graph"'
  for share in 2 -1 nan many; do
    run reef-index build --recall "$share"
    [ "$status" -eq 2 ]
    [[ "$output" == *"no number from 0 to 1"* ]]
  done
}

@test "a factory string makes an index of FAISS that questions are answered from" {
  has_faiss
  for i in $(seq 300); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours."}\n' "$i" "$i"; done >many.jsonl
  reef-index ingest many.jsonl -q
  reef-index query 'number 17' --mode dense --json | jq -c '[.results[].document.id]' >before
  run reef-index build --factory IVF8,Flat --json
  [ "$status" -eq 0 ]
  [ "$(jq -c '[.index, .factory, .rows]' <<<"$output")" = '["factory","IVF8,Flat",300]' ]
  [ "$(jq -r .index.kind root/vectors/shared/config.json)" = IVF8,Flat ]
  reef-index query 'number 17' --mode dense --json | jq -c '[.results[].document.id]' | cmp - before
  reef-index bench --questions 20 --json | jq -e '.widths[1].search == "factory"'
  reef-index verify
  # Without the helper, or the index, it takes longer: one warning, however many questions.
  printf '{"id":"1","text":"number 17"}\n{"id":"2","text":"ropes"}\n' >two.jsonl
  REEF_LIBEXEC="$PWD" run --separate-stderr reef-index query --batch two.jsonl
  [ "$status" -eq 0 ]
  [ "$(grep -c 'reef-faiss is missing; scanning all vectors' <<<"$stderr")" -eq 1 ]
  truncate -s 1000 "$(readlink -f root/vectors/shared/index.bin)"
  run --separate-stderr reef-index query 'number 17' --mode dense --json
  [ "$status" -eq 0 ]
  jq -c '[.results[].document.id]' <<<"$output" | cmp - before
  [[ "$stderr" == *"index.2.bin"*"scanning all vectors"* ]]
  # What FAISS refuses changes nothing.
  run reef-index build --factory Nonsense
  [ "$status" -eq 2 ]
  [[ "$output" == *"FAISS makes no index 'Nonsense'"* ]]
  run reef-index build --factory IVF500,Flat
  [ "$status" -eq 1 ]
  [[ "$output" == *"Number of training points (300)"*"hint: add more vectors"* ]]
  run reef-index build --factory ''
  [ "$status" -eq 2 ]
  reef-index stat --json | jq -e '.scopes[0].generation == 2'
  REEF_LIBEXEC="$PWD" run reef-index build --factory Flat
  [ "$status" -eq 5 ]
  [[ "$output" == *"reef-faiss is missing"*"hint: install libfaiss-dev"* ]]
  [ "$(reef-index build --json | jq -r .index)" = graph ]
  reef-index verify
}

@test "verify --with-faiss has FAISS search what reef searches" {
  reef-index ingest docs -q
  REEF_LIBEXEC="$PWD" run reef-index verify --with-faiss
  [ "$status" -eq 5 ]
  [[ "$output" == *"reef-faiss is missing"* ]]
  has_faiss
  run reef-index verify --with-faiss
  [ "$status" -eq 0 ]
  [[ "$output" == *"no scope has an index that FAISS could read"* ]]
  for i in $(seq 300); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours."}\n' "$i" "$i"; done >many.jsonl
  reef-index ingest many.jsonl -q
  reef-index stat --json | jq -e '.scopes[0] | .index == "none" and .tail == .vectors'
  reef-index build -q
  reef-index verify --json | jq -e '.with_faiss == null'
  reef-index verify --with-faiss --json |
    jq -e '.ok and (.with_faiss | length) == 1 and .with_faiss[0].rows == 303 and .with_faiss[0].agreement >= .99'
  reef-index stat --json | jq -e '.scopes[0] | .index == "graph" and .indexed == 303 and .tail == 0 and .index_bytes > 303 * 64'
  run reef-index stat
  [[ "${lines[0]}" == *" INDEX "*" INDEXED "*" TAIL "*" GENERATION "* ]]
  reef-index build --factory IVF8,SQ8 -q
  printf '{"id":"late","text":"A late text about whales."}\n' | reef-index ingest -q -
  run reef-index verify --with-faiss
  [ "$status" -eq 0 ]
  [[ "$output" == *"shared: FAISS reads 303 rows of index.3.bin and finds again"* ]]
  reef-index stat --json | jq -e '.scopes[0] | .factory == "IVF8,SQ8" and .tail == 1 and .generation == 3'
  truncate -s 1000 "$(readlink -f root/vectors/shared/index.bin)"
  run reef-index verify --with-faiss
  [ "$status" -eq 4 ]
  [[ "$output" == *"index.3.bin"*"not what was built"*"index.3.bin: "*"reef-index build"* ]]
}

@test "a damaged or missing graph costs time, not answers, and verify names it" {
  reef-index ingest docs -q
  reef-index build -q
  printf x | dd of="$(readlink -f root/vectors/shared/index.bin)" bs=1 seek=200 conv=notrunc status=none
  run reef-index verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"index.2.bin"*"reef-index build"* ]]
  printf XXXX | dd of="$(readlink -f root/vectors/shared/index.bin)" bs=1 conv=notrunc status=none
  run reef-index query boat --json
  [ "$status" -eq 0 ]
  rm root/vectors/shared/index.*
  run reef-index query boat --json
  [ "$status" -eq 0 ]
  reef-index build -q
  reef-index verify
}

@test "questions are answered while builds run and are killed" {
  for i in $(seq 200); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours."}\n' "$i" "$i"; done >many.jsonl
  reef-index ingest many.jsonl -q
  # Each build renumbers the vectors: with those of one generation and the numbers of another, a text would not find itself.
  (for i in $(seq 12); do
    reef-index remove "d$i" -q --wait 1m
    killed_after "$((i % 2 * 60)).0$((i % 7 + 1))" reef-index build -q
  done) 2>/dev/null &
  builds=$!
  asked=0
  while kill -0 "$builds" 2>/dev/null; do
    n=$((100 + asked % 100))
    [ "$(reef-index query "Text number $n about ropes and harbours." --json -k 1 --mode dense --no-touch | jq -r '.results[0].document.id')" = "d$n" ]
    asked=$((asked + 1))
  done
  wait "$builds" || true
  [ "$asked" -gt 3 ]
  reef-index build -q
  reef-index verify
  [ "$(reef-index stat --json | jq .scopes[0].vectors)" -eq 188 ]
}

@test "bench compares searches with exact ones" {
  for i in $(seq 300); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours."}\n' "$i" "$i"; done >many.jsonl
  run reef-index bench
  [ "$status" -eq 5 ]
  reef-index ingest many.jsonl -q
  run reef-index bench --questions 50
  [ "$status" -eq 0 ]
  [[ "$output" == *"every search is a scan"* ]]
  reef-index build -q
  reef-index bench --questions 50 --recall .9 --json | jq -e '(.widths | length) == 9 and .widths[8].recall_at_10 >= .9 and .ef != null'
  run reef-index bench --recall 2
  [ "$status" -eq 2 ]
}

@test "export copies files of one generation, whole or not at all" {
  reef-index ingest docs -q
  reef-index build -q
  reef-index export --to out/../copy -q
  [ "$(ls copy | wc -l)" -eq 6 ]
  cmp copy/index.bin root/vectors/shared/index.bin
  cmp copy/vectors.npy root/vectors/shared/vectors.npy
  [ "$(sqlite3 copy/metadata.sqlite 'SELECT count(*) FROM chunks')" -eq "$(sqlite3 root/vectors/shared/metadata.sqlite 'SELECT count(*) FROM chunks')" ]
  mkdir empty
  for folder in absent/ empty/; do
    reef-index export --to "$folder" -q
    cmp "$folder/index.bin" copy/index.bin
  done
  run reef-index export --to copy
  [ "$status" -eq 2 ]
  [[ "$output" == *"not empty"* ]]
}

# vectors ROWS DIM PREFIX [OPTION]…: PREFIX.npy and PREFIX.jsonl as another program writes them.
vectors() { python3 "$BATS_TEST_DIRNAME/../support/given_vectors.py" "$@"; }

@test "vectors made elsewhere are added once, found by vector and words, shown and removed" {
  vectors 200 48 v
  vectors 1 48 q --from 17
  run reef-index add --vectors v.npy --metadata v.jsonl
  [ "$status" -eq 2 ]
  [[ "$output" == *"48 dimensions"*"tiny"*"64"*"--embedding"* ]]
  run reef-index add --vectors v.npy --metadata v.jsonl --embedding elsewhere
  [ "$status" -eq 0 ]
  [[ "$output" == "shared: 200 documents added; 48 dimensions, elsewhere, in "* ]]
  run reef-index add --vectors v.npy --metadata v.jsonl
  [ "$output" = "already so; 200 documents unchanged" ]
  [ "$(reef-index query --vector q.npy --json | field 'o["results"][0]["document"]["id"]')" = v17 ]
  reef-index query number17 --mode bm25 --json >answer
  [ "$(field '[r["document"]["id"] for r in o["results"]]' <answer)" = "['v17']" ]
  run reef-index show "$(field 'o["results"][0]["id"]' <answer)"
  [[ "$output" == *"vectors:"*"v.jsonl"*"Text number17 about the harbour."* ]]
  [ "$(reef-index query harbour --mode bm25 --tag given -k 3 --json | field 'len(o["results"])')" = 3 ]
  # Its model is not here: dense search says so, and words still answer.
  run reef-index query number17
  [ "$status" -eq 5 ]
  [[ "$output" == *"elsewhere"*"--mode bm25 or --vector"* ]]
  reef-index verify
  vectors 10 48 w --from 195 --word pier
  [ "$(reef-index add --vectors w.npy --metadata w.jsonl --json | field '(o["added"], o["replaced"], o["unchanged"])')" = '(5, 5, 0)' ]
  [ "$(reef-index remove v17 w.jsonl --json | field 'len(o["removed"])')" = 11 ]
  [ "$(reef-index stat --json | field '[o["scopes"][0][k] for k in ("documents", "vectors", "model")]')" = "[194, 194, 'elsewhere']" ]
  reef-index verify
}

@test "float16 and rows of any length are taken and brought to length 1, which is said once" {
  vectors 50 48 v
  vectors 50 48 h --kind f2 --stretch 3
  vectors 1 48 q --from 31 --kind f2
  reef-index add --vectors v.npy --metadata v.jsonl --embedding elsewhere -q
  run reef-index add --vectors h.npy --metadata h.jsonl --persona alice --embedding elsewhere
  [ "$status" -eq 0 ]
  [[ "${lines[0]}" == *"h.npy: 50 of 50 rows were not of length 1"* ]]
  [ "${#lines[@]}" -eq 2 ]
  # The shared scope and hers hold the same texts: one of each comes out.
  [ "$(reef-index query --vector q.npy --persona alice --json | field '(o["results"][0]["document"]["id"], o["results"][0]["dense"] > .999)')" = "('v31', True)" ]
  reef-index verify
}

@test "vectors that cannot be used are refused by file and place, and nothing is changed" {
  vectors 20 48 v
  vectors 20 32 other
  reef-index add --vectors v.npy --metadata v.jsonl --embedding elsewhere -q
  refused() {
    run reef-index add --vectors "$1" --metadata "$2"
    [ "$status" -ne 0 ]
    [[ "$output" == *"$3"* ]] || { echo "$output"; return 1; }
    [ "$(reef-index stat --json | field 'o["scopes"][0]["documents"]')" = 20 ]
  }
  head -n 19 v.jsonl >short.jsonl
  refused v.npy short.jsonl "v.npy holds 20 vectors, short.jsonl describes 19"
  sed '7s/.*/{"id":"v6","te/' v.jsonl >cut.jsonl
  refused v.npy cut.jsonl "cut.jsonl:7: not a JSON object"
  sed '7s/"v6"/"v5"/' v.jsonl >twice.jsonl
  refused v.npy twice.jsonl "twice.jsonl:7: id 'v5' comes a second time"
  python3 -c 'import struct; b = bytearray(open("v.npy", "rb").read()); b[-4:] = struct.pack("<f", float("nan")); open("nan.npy", "wb").write(b)'
  refused nan.npy v.jsonl "nan.npy: row 19 is not finite"
  python3 -c 'b = bytearray(open("v.npy", "rb").read()); b[-192:] = bytes(192); open("zero.npy", "wb").write(b)'
  refused zero.npy v.jsonl "zero.npy: row 19 is all zero"
  head -c 1000 v.npy >cut.npy
  refused cut.npy v.jsonl "cut.npy: shape (20, 48) does not fit the file"
  refused other.npy other.jsonl "other.npy holds vectors of 32 dimensions, shared has 48 of elsewhere"
  refused v.jsonl v.jsonl "v.jsonl"
  refused absent.npy v.jsonl "absent.npy"
  run reef-index add --vectors v.npy --metadata v.jsonl --embedding tiny
  [ "$status" -eq 2 ]
  [[ "$output" == *"elsewhere"*"tiny"* ]]
  run reef-index query --vector <(:) --json
  [ "$status" -ne 0 ]
  run reef-index query --vector v.npy
  [ "$status" -eq 2 ]
  [[ "$output" == *"20 vectors"* ]]
  reef-index verify
}

@test "build --vectors replaces what was given, and nothing that was ingested" {
  vectors 60 48 v
  vectors 40 32 w --from 50 --word pier
  reef-index build --vectors v.npy --metadata v.jsonl --embedding elsewhere -q
  run reef-index build --vectors v.npy --metadata v.jsonl
  [ "$output" = "already so; 60 documents unchanged" ]
  run reef-index build --vectors w.npy --metadata w.jsonl --embedding another
  [ "$status" -eq 0 ]
  [[ "${lines[0]}" == "shared: 40 documents added in the place of 60; 32 dimensions, another, in "* ]]
  [[ "${lines[1]}" == "recall@10 of 40 of its vectors: 1.000 by the graph"* ]]
  [ "$(reef-index stat --json | field '[o["scopes"][0][k] for k in ("documents", "indexed", "dim", "model", "dead_rows")]')" = "[40, 40, 32, 'another', 0]" ]
  [ "$(reef-index query harbour --mode bm25 --json | field 'o["results"]')" = '[]' ]
  reef-index verify
  reef-index ingest docs --persona alice -q
  run reef-index build --vectors v.npy --metadata v.jsonl --embedding tiny --persona alice
  [ "$status" -eq 2 ]
  [[ "$output" == *"documents that were ingested"*"reef-index remove"*"reef-index add"* ]]
  run reef-index build --vectors v.npy --metadata v.jsonl --all
  [ "$status" -eq 2 ]
  run reef-index build --vectors v.npy
  [ "$status" -eq 2 ]
}

@test "killed while vectors are added or built: the old content or the new" {
  vectors 300 48 v
  vectors 3000 48 w --word pier
  reef-index add --vectors v.npy --metadata v.jsonl --embedding elsewhere -q
  count() { reef-index stat --json | field 'o["scopes"][0]["documents"]'; }
  for verb in add build; do
    for delay in .01 .03 .06 .1 .15 .2 .3; do
      killed_after "$delay" reef-index "$verb" --vectors w.npy --metadata w.jsonl -q
      now=$(count)
      [ "$now" = 300 ] || [ "$now" = 3000 ]
      reef-index query 'harbour' --mode bm25 --json >answer
      [ "$(field 'len(o["results"]) > 0' <answer)" = "$([ "$now" = 300 ] && echo True || echo False)" ]
    done
    reef-index "$verb" --vectors w.npy --metadata w.jsonl -q
    [ "$(count)" = 3000 ]
    reef-index verify
    reef-index build --vectors v.npy --metadata v.jsonl -q
  done
}

@test "build --embedding embeds a store again; questions then go by its model, and the default stays" {
  make_tiny_model other 96 >/dev/null
  reef-model import other --name other -q
  reef-index ingest docs -q
  reef-index ingest docs --persona alice -q
  run reef-index build --embedding other --persona alice
  [ "$status" -eq 0 ]
  [[ "$output" == "persona:alice: "*" embedded with other in the place of tiny, 96 dimensions; generation "* ]]
  [ "$(reef-index stat --json | field 'sorted((s["dim"], s["model"]) for s in o["scopes"])')" = "[(64, 'tiny'), (96, 'other')]" ]
  reef-index verify
  # Two layers, two models: both are searched by vector.
  [ "$(reef-index query 'boat' --persona alice --mode dense --layers persona,shared --chunks --json | field 'set(r["layer"] for r in o["results"]) <= {"persona", "shared"} and all(r["dense"] is not None for r in o["results"]) and len(o["results"]) > 1')" = True ]
  printf 'A new text about whales.\n' >docs/whale.txt
  reef-index ingest docs --persona alice -q
  [ "$(reef-index query whales --persona alice --json | field 'o["results"][0]["text"].strip()')" = 'A new text about whales.' ]
  reef-index verify
  run reef-index build --embedding other --persona alice
  [ "$status" -eq 0 ]
  [[ "$output" == *"nothing to embed with other"*"in the graph"* ]]
  run reef-index build --embedding absent --all
  [ "$status" -eq 5 ]
  [[ "$output" == *"absent"* ]]
  # A scope that another run writes holds up no other.
  exec 9>>"$REEF_ROOT/vectors/shared/.lock"
  flock 9
  run reef-index build --all
  [ "$status" -eq 3 ]
  [[ "$output" == *"shared is left as it is"*"persona:alice: "*"in the graph"* ]]
  exec 9>&-
  reef-index build --embedding other --all -q
  [ "$(reef-index stat --json | field 'set(s["model"] for s in o["scopes"])')" = "{'other'}" ]
  reef-index verify
}

@test "vectors made elsewhere become findable by questions when they are embedded again" {
  vectors 100 48 v
  reef-index add --vectors v.npy --metadata v.jsonl --embedding elsewhere -q
  [ "$(reef-index build --embedding tiny --json | field '(o["previous_model"], o["model"], o["rows"], o["embedded"])')" = "('elsewhere', 'tiny', 100, 100)" ]
  [ "$(reef-index query number17 --json | field 'o["results"][0]["dense"] is not None')" = True ]
  run reef-index add --vectors v.npy --metadata v.jsonl
  [ "$status" -eq 2 ]
  [[ "$output" == *"48 dimensions"*"64 of tiny"* ]]
  reef-index verify
}

@test "questions are answered while a store is embedded again, and killed runs go on where they were" {
  make_tiny_model other 96 >/dev/null
  reef-model import other --name other -q
  for i in $(seq 1500); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours."}\n' "$i" "$i"; done >many.jsonl
  reef-index ingest many.jsonl -q
  (for delay in .1 .2 .3 .4; do
    killed_after "$delay" reef-index build --embedding other -q
    timeout --foreground --signal=INT --preserve-status "$delay" reef-index build --embedding other -q || true
  done
  reef-index build --embedding other -q) 2>/dev/null &
  builds=$!
  asked=0
  while kill -0 "$builds" 2>/dev/null; do
    reef-index query 'text number 17' --json -k 3 --no-touch >answer
    [ "$(field '(len(o["results"]), all(r["dense"] is not None for r in o["results"]))' <answer)" = '(3, True)' ]
    asked=$((asked + 1))
  done
  wait "$builds"
  [ "$asked" -gt 3 ]
  [ "$(reef-index stat --json | field '[o["scopes"][0][k] for k in ("model", "documents", "vectors", "indexed")]')" = "['other', 1500, 1500, 1500]" ]
  # All was kept: embedding again with the first model and back computes nothing.
  reef-index build --embedding tiny -q
  [ "$(reef-index build --embedding other --json | field 'o["embedded"]')" = 0 ]
  reef-index verify
}
