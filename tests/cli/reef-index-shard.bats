#!/usr/bin/env bats
# reef-index shard: stores of personas on several drives, moved, out of reach, killed in the middle.
# REEF_BIN is the folder of the executables. Vectors come from a tiny random encoder.

bats_require_minimum_version 1.5.0
load prepared_tree

setup_file() {
  prepare_tree alice bob
  printf '{"id":"boat","text":"The red boat of Alice leaks."}\n' | reef-index ingest --persona alice -q -
  printf '{"id":"sail","text":"The sails of Bob need drying."}\n' | reef-index ingest --persona bob -q -
  printf '{"id":"pier","text":"The boats lie at the north pier."}\n' | reef-index ingest -q -
}

setup() {
  use_tree
  mkdir s1 s2
}

# shards PATH...: what storage.shards lists.
shards() {
  local IFS=,
  printf 'storage:\n  shards: [%s]\n' "$*" >root/config/system.yaml
}

# pin ALICE [BOB]: where their stores are to be.
pin() { printf 'personas:\n  alice:\n    shard: %s\n  bob:\n    shard: %s\n' "$1" "${2:-}" >root/config/personas.yaml; }

# stores: how many stores of alice there are, anywhere.
stores() { find root/vectors/personas s1 s2 -name metadata.sqlite -path '*alice*' | wc -l; }

leftovers() { find root/vectors s1 s2 -name '*.moving*' -o -name '*.kept-*' -o -name '*.tmp'; }

best() { reef-index query "$1" --persona "$2" --mode bm25 --json --no-touch | jq -r '.results[0].document.id'; }

@test "plan, apply, again, and back into the tree" {
  run reef-index shard plan
  [ "$status" -eq 0 ]
  [ "$output" = 'already so; 0 moves' ]
  shards "$PWD/s1" "$PWD/s2"
  run reef-index shard plan
  [ "$status" -eq 0 ]
  [[ "$output" == *"3 moves"*"dry run"* ]]  # and the shared knowledge
  [ "$output" = "$(reef-index shard apply --dry-run)" ]
  [ -z "$(ls -A s1 s2 | grep -v :)" ]
  reef-index shard plan --json | jq -S '[.moves[] | {persona, to, bytes}]' >planned
  reef-index shard apply --json >made
  jq -e '.changed and .applied and .unmoved == []' made
  jq -S '[.moves[] | {persona, to, bytes}]' made | cmp - planned
  [ -L root/vectors/personas/alice ] && [ -L root/vectors/personas/bob ]
  run reef-index shard apply
  [ "$status" -eq 0 ]
  [ "$output" = 'already so; 0 moves' ]
  reef-index shard show --json | jq -e '[.shards[].personas] == [0] + ([.shards[1:][].personas]) and ([.shards[].personas] | add) == 2'
  reef-index shard show --json | jq -e '[.personas[] | select(.shard == .wanted and .in_reach)] | length == 2'
  run reef-index shard show
  [ "$status" -eq 0 ]
  [[ "$output" == *"$PWD/s1"*"$PWD/s2"*alice*bob* ]]
  [ "$(best boat alice)" = boat ]
  [ "$(best sails bob)" = sail ]
  reef-index verify
  # Work goes on there.
  printf '{"id":"oar","text":"The oars of Alice are new."}\n' | reef-index ingest --persona alice -q -
  reef-index remove boat --persona alice -q
  reef-index build --all -q
  reef-index export --persona alice --to copy -q
  [ "$(best oars alice)" = oar ]
  reef-index verify
  shards
  run reef-index shard apply
  [ "$status" -eq 0 ]
  [ -d root/vectors/personas/alice ] && [ ! -L root/vectors/personas/alice ]
  [ -z "$(ls -A s1 s2 | grep -v :)" ]
  [ "$(best oars alice)" = oar ]
  reef-index verify
  reef-init --check
}

@test "one persona alone, and pins" {
  shards "$PWD/s1" "$PWD/s2"
  pin "$PWD/s2" tree
  run reef-index shard apply --persona alice
  [ "$status" -eq 0 ]
  [ "$(readlink root/vectors/personas/alice)" = "$PWD/s2/personas/alice" ]
  reef-index shard apply -q
  [ ! -L root/vectors/personas/bob ]
  reef-index shard show --json | jq -e '[.personas[].pinned] == [true, true]'
  pin s3
  run reef-index shard plan
  [ "$status" -eq 2 ]
  [[ "$output" == *"personas.yaml:3: personas.alice.shard"*"'s3'"*hint* ]]
}

@test "bad words, bad places" {
  run reef-index shard
  [ "$status" -eq 2 ]
  run reef-index shard move
  [ "$status" -eq 2 ]
  run reef-index shard show --dry-run
  [ "$status" -eq 2 ]
  run reef-index shard show --persona alice
  [ "$status" -eq 2 ]
  run reef-index shard plan --persona alcie
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean 'alice'?"* ]]
  shards "$PWD/s1" "$PWD/s1/"
  run reef-index shard plan
  [ "$status" -eq 2 ]
  [[ "$output" == *"listed twice"* ]]
  shards "$REEF_ROOT/vectors"
  run reef-index shard apply
  [ "$status" -eq 2 ]
  [[ "$output" == *"own folder"* ]]
  # A folder that is not there is no shard; what belongs elsewhere moves all the same.
  shards "$PWD/none" "$PWD/s1"
  pin "$PWD/s1" "$PWD/none"
  run reef-index shard apply
  [ "$status" -eq 3 ]
  [[ "$output" == *"bob"*"no folder $PWD/none"* ]]
  [ -L root/vectors/personas/alice ] && [ ! -e none ]
}

@test "a missing shard is named; the other layers answer; nothing is made in its place" {
  shards "$PWD/s1"
  reef-index shard apply -q
  id=$(reef-index shard show --json | jq -r '.shards[1].id')
  mv s1 away
  mkdir s1
  run --separate-stderr reef-index query boat --persona alice --json
  [ "$status" -eq 3 ]
  jq -e '.results[0].document.id == "pier" and .missing == ["persona:alice"]' <<<"$output"
  [[ "$stderr" == *"'alice'"*"$id"*"$PWD/s1"*"mount"* ]]
  run reef-index query boat --persona alice --layers persona
  [ "$status" -eq 5 ]
  [[ "$output" == *"$id"* ]]
  printf '{"id":"q1","text":"boat","persona":"alice"}\n{"id":"q2","text":"boat"}\n{"id":"q3","text":"pier","persona":"alice"}\n' >batch
  run --separate-stderr reef-index query --batch batch --json
  [ "$status" -eq 3 ]
  [ "${#lines[@]}" -eq 3 ]
  [ "$(grep -c warning <<<"$stderr")" -eq 1 ]
  for verb in "ingest batch" "remove boat" build bench "export --to copy"; do
    run reef-index $verb --persona alice
    [ "$status" -eq 5 ]
    [[ "$output" == *"$id"*"hint: mount"* ]]
  done
  run reef-index show P1@alice
  [ "$status" -eq 5 ]
  [[ "$output" == *"$id"* ]]
  run reef-index build --all
  [ "$status" -eq 3 ]
  [[ "$output" == *"'alice'"*"'bob'"* ]]
  run reef-index stat
  [ "$status" -eq 3 ]
  reef-index stat --json | jq -e '[.missing[].scope] == ["persona:alice", "persona:bob"]' || [ "${PIPESTATUS[0]}" -eq 3 ]
  run reef-index verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"$id"* && "$output" != *"belongs to no document"* ]]
  run reef-index shard apply
  [ "$status" -eq 3 ]
  run reef-index shard show
  [ "$status" -eq 0 ]
  [[ "$output" == *missing*"out of reach"* ]]
  [ -z "$(ls -A s1)" ]
  reef-init --persona carol -q
  run reef-init --check
  [ "$status" -eq 4 ]
  [[ "$output" == *"vectors/personas/alice"*"$PWD/s1/personas/alice"*"mount the drive"* ]]
  # Mounted elsewhere: the links follow, nothing is copied.
  shards "$PWD/away"
  run reef-index shard apply
  [ "$status" -eq 0 ]
  [[ "$output" == "1 move"*"2 links mended"* ]]  # carol's empty folder
  [ "$(best boat alice)" = boat ]
  reef-index verify
}

@test "a folder of another tree is refused, and what is in it stays" {
  shards "$PWD/s1"
  reef-index shard apply -q
  reef-init --root other --persona alice -q
  sed -i "s|shards: \[\]|shards: [$PWD/s1]|" other/config/system.yaml
  run reef-index shard apply --root other
  [ "$status" -eq 2 ]
  [[ "$output" == *"another tree"* ]]
  [ "$(best boat alice)" = boat ]
}

@test "two at once: the second ends with status 6" {
  shards "$PWD/s1"
  exec 9>root/vectors/.shards.lock
  flock 9
  run reef-index shard apply
  [ "$status" -eq 6 ]
  [[ "$output" == *"--wait"* ]]
  flock -u 9
  # A store that is being written waits for its next turn; the others move.
  exec 8>root/vectors/personas/bob/.lock
  flock 8
  run reef-index shard apply
  [ "$status" -eq 3 ]
  [[ "$output" == *"bob"*"locked"* ]]
  [ -L root/vectors/personas/alice ] && [ ! -L root/vectors/personas/bob ]
  flock -u 8
  reef-index shard apply -q
  [ -L root/vectors/personas/bob ]
}

@test "a shard that is too small is told before anything moves; one on another filesystem is moved to" {
  [ "$(id -u)" -eq 0 ] || skip "mounting a small filesystem needs root"
  mount -t tmpfs -o size=128k tmpfs s1 2>/dev/null || skip "no right to mount"
  mount -t tmpfs -o size=8m tmpfs s2
  shards "$PWD/s1"
  run reef-index shard plan
  planned=$status text=$output
  run reef-index shard apply
  applied=$status refusal=$output
  stayed=$([ -L root/vectors/personas/alice ] || echo yes)
  shards "$PWD/s2"
  pin "$PWD/s2" "$PWD/s2"
  run reef-index shard apply
  moved=$status
  run reef-index verify
  verified=$status
  found=$(best boat alice)
  pin tree tree
  run reef-index shard apply
  umount s1 s2
  [ "$planned" -eq 4 ]
  [[ "$text" == *"$PWD/s1 has"*"free"* ]]
  [ "$applied" -eq 1 ]
  [[ "$refusal" == *"nothing was moved"*hint* ]]
  [ "$stayed" = yes ]
  [ "$moved" -eq 0 ]
  [ "$verified" -eq 0 ]
  [ "$found" = boat ]
  [ "$status" -eq 0 ]
  [ "$(best boat alice)" = boat ]
}

@test "stores leave a drive that went read-only" {
  [ "$(id -u)" -eq 0 ] || skip "mounting a small filesystem needs root"
  mount -t tmpfs -o size=8m tmpfs s1 2>/dev/null || skip "no right to mount"
  shards "$PWD/s1"
  reef-index shard apply -q
  mount -o remount,ro s1
  shards "$PWD/s2"
  run reef-index shard apply
  text=$output moved=$status
  found=$(best boat alice)
  run reef-index verify
  verified=$status
  run reef-index shard apply
  again=$output
  umount s1
  [ "$moved" -eq 0 ]
  [[ "$text" == *"2 moves"*"read-only"* || "$text" == *"read-only"*"2 moves"* ]]
  [ "$found" = boat ]
  [ "$verified" -eq 0 ]
  [ "$again" = 'already so; 0 moves' ]
  [ "$(readlink root/vectors/personas/alice)" = "$PWD/s2/personas/alice" ]
}

@test "moves that are killed anywhere neither lose nor double a store, and questions are answered meanwhile" {
  for i in $(seq 400); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours, of which there are many."}\n' "$i" "$i"; done >many.jsonl
  reef-index ingest many.jsonl --persona alice -q
  shards "$PWD/s1" "$PWD/s2"
  reef-index query 'ropes number 7' --persona alice --json -k 3 --no-touch | jq -c '[.results[].document.id]' >before
  (for i in $(seq 40); do
    case $((i % 3)) in
      0) pin "$PWD/s1" ;;
      1) pin "$PWD/s2" ;;
      2) pin tree ;;
    esac
    # Every fourth one ends by itself.
    killed_after "$(((i % 4 == 3) * 60)).0$((i * 7 % 10))$i" reef-index shard apply -q
  done) 2>/dev/null &
  moves=$!
  asked=0
  while kill -0 "$moves" 2>/dev/null; do
    reef-index query 'ropes number 7' --persona alice --json -k 3 --no-touch | jq -c '[.results[].document.id]' | cmp - before
    asked=$((asked + 1))
  done
  wait "$moves" || true
  [ "$asked" -gt 10 ]
  for place in "$PWD/s1" tree; do
    pin "$place"
    reef-index shard apply -q
    [ "$(stores)" -eq 1 ]
    [ -z "$(leftovers)" ]
    reef-index verify
    reef-index query 'ropes number 7' --persona alice --json -k 3 | jq -c '[.results[].document.id]' | cmp - before
  done
}

@test "an interrupted move leaves the store where it was" {
  for i in $(seq 400); do printf '{"id":"d%d","text":"Text number %d about ropes and harbours, of which there are many."}\n' "$i" "$i"; done >many.jsonl
  reef-index ingest many.jsonl --persona alice -q
  for wait in .01 .02 .04 .08; do
    shards "$PWD/s1"
    timeout --foreground --signal=INT --preserve-status "$wait" reef-index shard apply -q 2>/dev/null && status=0 || status=$?
    [ "$status" -eq 130 ] || [ "$status" -eq 0 ]
    [ "$(stores)" -eq 1 ]
    [ "$(best 'number 7' alice)" = d7 ]
    shards
    reef-index shard apply -q
    [ -z "$(leftovers)" ]
  done
  reef-index verify
}
