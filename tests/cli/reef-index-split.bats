#!/usr/bin/env bats
# reef-index shard and the shared knowledge: split over drives, split anew, joined, worked on, out of reach, killed.
# REEF_BIN is the folder of the executables. Vectors come from a tiny random encoder.

bats_require_minimum_version 1.5.0
load prepared_tree

setup_file() {
  prepare_tree alice
  printf '{"id":"own","text":"The red boat of Alice leaks."}\n' | reef-index ingest --persona alice -q -
  lines 1 60 >"$BATS_FILE_TMPDIR/boats.jsonl"
  reef-index ingest -q "$BATS_FILE_TMPDIR/boats.jsonl"
}

setup() {
  use_tree
  boats="$BATS_FILE_TMPDIR/boats.jsonl"
  mkdir s1 s2 s3
  pin tree
}

# lines FIRST LAST: documents.
lines() { for i in $(seq "$1" "$2"); do printf '{"id":"d%d","text":"Boat number %d lies at pier %d and carries %d barrels of oil."}\n' "$i" "$i" $((i % 7)) $((i * 3)); done; }

# shards PATH...: what storage.shards lists.
shards() {
  local IFS=,
  printf 'storage:\n  shards: [%s]\n' "$*" >root/config/system.yaml
}

# pin PLACE: of alice, so that the shared knowledge is all that moves.
pin() { printf 'personas:\n  alice:\n    shard: %s\n' "$1" >root/config/personas.yaml; }

# stores: how many folders hold shared knowledge.
stores() { find root/vectors s1 s2 s3 -name metadata.sqlite -not -path '*/personas/*' | wc -l; }

# A shard that a kill kept from ever being known may keep the note that was being written there: it goes with its next use.
leftovers() { find root/vectors s1 s2 s3 -name '*.moving*' -o -name '*.kept-*' -o -name '*.tmp' -not -name '.shard.json.*'; }

# answers: ids and scores in each mode.
answers() {
  for mode in hybrid bm25 dense; do
    reef-index query 'which boat at pier 3 carries barrels' --mode "$mode" -k 30 --json --no-touch | jq -c '[.results[] | {id, score}]'
  done
}

best() { reef-index query "$1" --mode bm25 --json --no-touch | jq -r '.results[0].document.id'; }

@test "split, split anew and join: the same answers, ids and vectors, and a second run has nothing to do" {
  answers >before
  for places in "$PWD/s1 $PWD/s2" "$PWD/s1 $PWD/s2 $PWD/s3" "$PWD/s3 $PWD/s2" "$PWD/s2" "$PWD/s3 $PWD/s1" ""; do
    # shellcheck disable=SC2086
    shards $places
    run reef-index shard plan
    [ "$status" -eq 0 ]
    [[ "$output" == *"(shared)"*"1 move"*"dry run"* ]]
    [ "$output" = "$(reef-index shard apply --dry-run)" ]
    reef-index shard plan --json | jq -S .shared >planned
    reef-index shard apply --json >made
    jq -e '.changed and .applied and .unmoved == []' made
    jq -S .shared made | cmp - planned
    run reef-index shard apply
    [ "$output" = 'already so; 0 moves' ]
    answers | cmp - before
    n=$(wc -w <<<"$places")
    [ "$(stores)" -eq $((n < 2 ? 1 : n)) ]
    reef-index shard show --json | jq -e '[.shards[].shared_vectors] | add' >/dev/null
    [ -z "$(leftovers)" ]
    reef-index verify
    reef-init --check
  done
  [ -z "$(ls -A s1 s2 s3 | grep -v :)" ]
  [ -e root/vectors/shared/vectors.npy ]
}

@test "one shard alone leaves the shared knowledge in the tree, and --persona leaves it where it is" {
  shards "$PWD/s1"
  run reef-index shard plan
  [ "$output" = 'already so; 0 moves' ]
  shards "$PWD/s1" "$PWD/s2"
  pin "$PWD/s1"
  reef-index shard apply --persona alice -q
  [ -e root/vectors/shared/metadata.sqlite ]
  reef-index shard apply -q
  [ ! -e root/vectors/shared/metadata.sqlite ]
  [ -e s1/shared/vectors.npy ]
  [ -e s2/shared/vectors.npy ]
  [ -L root/vectors/personas/alice ]
}

@test "ingest, remove, add, build, verify, stat, bench, export and show go over all parts" {
  shards "$PWD/s1" "$PWD/s2" "$PWD/s3"
  reef-index shard apply -q
  run reef-index ingest "$boats"
  [ "$status" -eq 0 ]
  [[ "$output" == *"1 file unchanged"* ]]
  lines 61 90 >more.jsonl
  mkdir notes
  for i in 1 2 3 4; do printf '# Note %d\n\nThe harbour master wrote note %d.\n' $i $i >"notes/$i.md"; done
  reef-index ingest -q more.jsonl notes
  reef-index verify
  reef-index stat --json | jq -e '.scopes[0] | .documents == 94 and .parts == 3 and .files == 6'
  for part in s1 s2 s3; do [ "$(sqlite3 $part/shared/metadata.sqlite 'SELECT count(*) FROM chunks')" -gt 10 ]; done
  ids=$(for part in s1 s2 s3; do sqlite3 $part/shared/metadata.sqlite 'SELECT id FROM chunks'; done)
  [ "$(sort -u <<<"$ids" | wc -l)" -eq 94 ]
  [ "$(best 'barrels 252')" = d84 ]
  id=$(reef-index query 'barrels 252' --mode bm25 --json | jq -r '.results[0].id')
  reef-index show "$id" | grep -q d84
  run reef-index remove d3 d70 notes/2.md --dry-run
  [ "$(sort <<<"$output" | grep -c 'd3\|d70\|2.md')" -eq 3 ]
  reef-index remove d3 d70 notes/2.md -q
  run reef-index show S3
  [ "$status" -eq 5 ]
  run reef-index ingest "$boats" more.jsonl
  [[ "$output" == *"2 files unchanged"* ]]
  rm notes/[23].md
  reef-index ingest -q --prune notes
  reef-index stat --json | jq -e '.scopes[0].documents == 90'
  reef-index build -q
  reef-index stat --json | jq -e '.scopes[0] | .index == "graph" and .indexed == 90 and .dead_rows == 0'
  reef-index bench --json | jq -e '.vectors == 90'
  reef-index export --to copy -q
  [ "$(find copy -name vectors.npy | wc -l)" -eq 3 ]
  reef-index verify
  # What would put all vectors in the place of others says how.
  run reef-index build --embedding tiny
  [ "$status" -eq 2 ]
  [[ "$output" == *"3 shards"*"hint: take the shards out"* ]]
  run reef-index build --embedding tiny --all
  [ "$status" -eq 3 ]
  [[ "$output" == *"shared is left as it is"*"3 shards"* ]]
  shards "$PWD/s1" "$PWD/s2"
  reef-index shard apply -q
  reef-index stat --json | jq -e '.scopes[0] | .index == "graph" and .indexed == 90 and .parts == 2'
  reef-index verify
}

@test "without one of its shards the rest answers, the shard is named, and nothing is written" {
  shards "$PWD/s1" "$PWD/s2"
  reef-index shard apply -q
  id=$(reef-index shard show --json | jq -r '.shards[2].id')
  mv s2 away
  run --separate-stderr reef-index query 'barrels pier' -k 5 --json
  [ "$status" -eq 3 ]
  jq -e --arg id "$id" '(.results | length) == 5 and .missing == ["shared@" + $id]' <<<"$output"
  [[ "$stderr" == *"$id"*"$PWD/s2"*"mount"* ]]
  run --separate-stderr reef-index query 'boat barrels' --persona alice --json
  [ "$status" -eq 3 ]
  for verb in "ingest $boats" "remove d1" build bench "export --to copy"; do
    # shellcheck disable=SC2086
    run reef-index $verb
    [ "$status" -eq 5 ]
    [[ "$output" == *"$id"*"hint: mount"* ]]
  done
  [ ! -e s2 ] && [ ! -e copy ]
  run reef-index build --all
  [ "$status" -eq 3 ]
  printf '{"id":"1","text":"barrels"}\n{"id":"2","text":"pier"}\n' >two.jsonl
  mv s1 away1
  run reef-index query --batch two.jsonl
  [ "$status" -eq 3 ]
  [[ "$output" == *"two.jsonl:1:"*"two.jsonl:2:"* ]]
  mv away1 s1
  run reef-index stat
  [ "$status" -eq 3 ]
  [[ "$output" == *"$id"* ]]
  run reef-index verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"shared@$id"* && "$output" != *"belongs to no document"* ]]
  lost=$(for i in $(seq 60); do reef-index show "S$i" >/dev/null 2>shown || { grep -q "$id" shown && echo "$i"; }; done | wc -l)
  [ "$lost" -gt 10 ] && [ "$lost" -lt 50 ]
  shards "$PWD/s1" "$PWD/s3"
  run reef-index shard apply
  [ "$status" -eq 3 ]
  [[ "$output" == *"shared knowledge"*"$id"* ]]
  # Mounted elsewhere: the link follows, nothing is copied.
  mv away s4
  shards "$PWD/s1" "$PWD/s4"
  run reef-index shard apply
  [ "$status" -eq 0 ]
  [[ "$output" == "0 moves"*"1 link mended"* ]]
  [ "$(best 'barrels 150')" = d50 ]
  reef-index verify
  # One part of two is lost for good: what is there stays found.
  rm -r s4/shared
  run reef-index query 'barrels pier' -k 5
  [ "$status" -eq 3 ]
  [[ "$output" == *"does not hold a part"* ]]
}

@test "a shard that is too small is told before anything is copied" {
  [ "$(id -u)" -eq 0 ] || skip "mounting a small filesystem needs root"
  mount -t tmpfs -o size=100k tmpfs s1 2>/dev/null || skip "no right to mount"
  shards "$PWD/s1" "$PWD/s2"
  run reef-index shard plan
  planned=$status text=$output
  run reef-index shard apply
  umount s1
  [ "$planned" -eq 4 ]
  [[ "$text" == *"$PWD/s1 has"*"free"* ]]
  [ "$status" -eq 1 ]
  [[ "$output" == *"nothing was moved"*hint* ]]
  [ "$(best 'barrels 150')" = d50 ]
}

@test "shared knowledge leaves a drive that went read-only" {
  [ "$(id -u)" -eq 0 ] || skip "mounting a small filesystem needs root"
  mount -t tmpfs -o size=8m tmpfs s1 2>/dev/null || skip "no right to mount"
  answers >before
  shards "$PWD/s1" "$PWD/s2"
  reef-index shard apply -q
  mount -o remount,ro s1
  shards "$PWD/s3" "$PWD/s2"
  run reef-index shard apply
  moved=$status text=$output
  run reef-index verify
  verified=$status
  answers >after
  umount s1
  [ "$moved" -eq 0 ]
  [[ "$text" == *"read-only"* ]]
  [ "$verified" -eq 0 ]
  cmp before after
  [ -e s3/shared/vectors.npy ]
}

@test "writers wait for a split, and a split for writers" {
  shards "$PWD/s1" "$PWD/s2"
  exec 8>root/vectors/shared/.lock
  flock 8
  run reef-index shard apply
  [ "$status" -eq 6 ]
  [ -e root/vectors/shared/metadata.sqlite ]
  flock -u 8
  reef-index shard apply -q
  exec 7>root/vectors/shared/.lock
  flock 7
  run reef-index ingest "$boats"
  [ "$status" -eq 6 ]
  run reef-index verify
  [ "$status" -eq 6 ]
  flock -u 7
  exec 7>&-
  exec 8>&-
  # A writer that waited for the lock of what is replaced goes on with what took its place.
  lines 61 400 >more.jsonl
  for places in "$PWD/s1 $PWD/s2 $PWD/s3" "" "$PWD/s1 $PWD/s3"; do
    # shellcheck disable=SC2086
    shards $places
    reef-index shard apply -q --wait 60s &
    reef-index ingest -q --wait 60s more.jsonl &
    wait %1 && wait %2
    reef-index remove -q more.jsonl
    reef-index verify
  done
}

@test "splits that are killed anywhere lose and double nothing, and questions are answered meanwhile" {
  lines 61 300 >more.jsonl
  reef-index ingest -q more.jsonl
  answers >before
  question() { reef-index query 'barrels 252 pier' -k 3 --json --no-touch | jq -c '[.results[] | {id, score}]'; }
  question >asked
  (for i in $(seq 30); do
    case $((i % 3)) in
      0) shards "$PWD/s1" "$PWD/s2" ;;
      1) shards "$PWD/s1" "$PWD/s2" "$PWD/s3" ;;
      2) shards ;;
    esac
    # Every fourth one ends by itself.
    killed_after "$(((i % 4 == 3) * 60)).$((i * 7 % 3))$((i * 11 % 10))1" reef-index shard apply -q
  done) 2>/dev/null &
  moves=$!
  count=0
  while kill -0 "$moves" 2>/dev/null; do
    question | cmp - asked
    count=$((count + 1))
  done
  wait "$moves" || true
  [ "$count" -gt 10 ]
  for places in "$PWD/s2 $PWD/s3" ""; do
    # shellcheck disable=SC2086
    shards $places
    reef-index shard apply -q
    [ "$(stores)" -eq "$([ -z "$places" ] && echo 1 || echo 2)" ]
    [ -z "$(leftovers)" ]
    reef-index verify
    answers | cmp - before
  done
}

@test "a split that is killed between its two renames is told, and the next one ends it" {
  answers >before
  shards "$PWD/s1" "$PWD/s2"
  reef-index shard apply -q
  # As REEF_IO=plain leaves it: the new one is whole under a hidden name.
  mv root/vectors/shared root/vectors/.shared.kept-abcdef
  run reef-index query barrels
  [ "$status" -eq 5 ]
  [[ "$output" == *"between two steps"*"shard apply"* ]]
  run reef-index ingest "$boats"
  [ "$status" -eq 5 ]
  [ ! -e root/vectors/shared ]
  run reef-index shard plan
  [[ "$output" == *"1 link mended"* ]]
  reef-index shard apply -q
  answers | cmp - before
  shards "$PWD/s3" "$PWD/s2"
  REEF_IO=plain reef-index shard apply -q
  answers | cmp - before
  reef-index verify
}
