#!/usr/bin/env bats
# reef-persona list, show, rename and remove. REEF_BIN is the folder of the executables. Vectors come from a tiny random
# encoder.

bats_require_minimum_version 1.5.0
load prepared_tree

setup_file() {
  prepare_tree alice bob
}

setup() {
  use_tree
  mkdir in
  printf 'The red boat of alice leaks at the zanzibarpier.\n' >in/own.md
  printf 'The weather is the same for all.\n' >in/same.md
}

# field EXPRESSION: of the object on standard input, named o.
field() {
  python3 -c 'import json, sys; o = json.loads(sys.stdin.read()); print('"$1"')'
}

# talk PERSONA SESSION WORD: some messages.
talk() {
  for i in 1 2 3; do
    printf '{"session":"%s","role":"user","id":"%s-%s","content":"My %s is number %s and I love it."}\n' "$2" "$2" "$i" "$3" "$i"
  done | reef-session import - --persona "$1" -q
}

# fill: both personas have something of everything.
fill() {
  reef-index ingest in --persona alice -q
  reef-index ingest in/same.md --persona bob -q
  talk alice a1 quixoticboat
  talk bob b1 lighthouse
  reef-session index --all -q
  reef-memory remember 'The quixoticboat key hangs behind the clock.' --persona alice -q
  reef-memory remember 'A lamp.' --persona bob -q
}

verify_all() {
  reef-session verify -q && reef-memory verify -q && reef-index verify -q
}

@test "list and show tell what each persona has" {
  fill
  run --separate-stderr reef-persona list --json
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 2 ]
  [ "$(field 'o["schema"], o["id"], o["documents"]["files"], o["conversations"]["messages"], o["memories"]["memories"], o["listed"]' <<<"${lines[0]}")" = "reef.persona.list/1 alice 2 3 1 True" ]
  [ "$(field 'o["vectors"]["turns"], o["vectors"]["chunks"] > 1, o["last_activity"] is not None' <<<"${lines[0]}")" = "3 True True" ]
  run reef-persona list
  [[ "${lines[0]}" == "id "*"last activity" ]]
  [[ "${lines[1]}" == "alice "* ]]
  run --separate-stderr reef-persona show alice --json
  [ "$(field 'o["schema"], o["id"], o["configuration"]["name"]["value"], len(o["stores"]), o["adapters"], o["pending_change"]' <<<"$output")" = "reef.persona.show/1 alice alice 5 [] None" ]
  reef-persona show alice | grep -q 'personas.yaml:'
  run reef-persona show alise
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean 'alice'?"* ]]
}

@test "an empty tree has no personas, and data without a section is told" {
  reef-init --root none -q
  run reef-persona list --root none
  [ "$status" -eq 0 ]
  [ -z "$output" ]
  fill
  python3 - <<'PYTHON'
import sqlite3
sqlite3.connect("root/data/conversations/conversations.sqlite").execute("INSERT INTO sessions(id, persona_id) VALUES ('z', 'zoe')").connection.commit()
PYTHON
  reef-persona list | grep -q '^zoe .*not in personas.yaml'
  reef-persona show zoe >/dev/null
}

@test "a renamed persona has all that it had, and the other one its own" {
  fill
  printf '# a note\n' >>root/config/personas.yaml
  sed -i 's/^  alice:.*/  alice:  # the first/' root/config/personas.yaml
  before=$(reef-index query 'red boat' --persona alice --no-touch --json | field '[r["text"] for r in o["results"]]')
  cp root/config/personas.yaml before.yaml
  run reef-persona rename alice bea --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"none is yet (dry run)"* ]]
  cmp before.yaml root/config/personas.yaml
  run --separate-stderr reef-persona rename alice bea --json
  [ "$status" -eq 0 ]
  [ "$(field 'o["schema"], o["changed"], o["finished"]' <<<"$output")" = "reef.persona.rename/1 True None" ]
  diff <(sed 's/alice/bea/' before.yaml) root/config/personas.yaml
  [ "$(reef-index query 'red boat' --persona bea --no-touch --json | field '[r["text"] for r in o["results"]]')" = "$before" ]
  reef-session search quixoticboat --persona bea | grep -q quixoticboat
  reef-memory search quixoticboat --persona bea --no-touch | grep -q clock
  [ "$(field 'o["persona"]' <root/data/memories/bea/emotional_state.json)" = bea ]
  [ ! -e root/data/memories/alice ]
  [ ! -e root/.reef-persona-change ]
  reef-session list --json | grep -q '"persona":"bob"'
  run grep -rl alice root/config root/data/conversations/conversations.sqlite
  verify_all
  run reef-persona rename alice bea
  [ "$status" -eq 0 ]
  [[ "$output" == "already so"* ]]
  run reef-index ingest in --persona bea --json
  [ "$(field 'o["unchanged"]' <<<"$output")" = 2 ]
}

@test "a rename is refused for ids that cannot be, are taken or unknown, and beside another run" {
  fill
  run reef-persona rename alice bob
  [ "$status" -eq 2 ]
  run reef-persona rename alice 'Not an id'
  [ "$status" -eq 2 ]
  run reef-persona rename carol dora
  [ "$status" -eq 5 ]
  mkdir -p root/data/memories/dora
  touch root/data/memories/dora/something
  run reef-persona rename alice dora
  [ "$status" -eq 2 ]
  [[ "$output" == *"there is a persona 'dora' already"* ]]
  for lock in vectors/personas/alice vectors/conversations/alice data/memories/alice; do
    run flock "root/$lock/.lock" reef-persona rename alice bea
    [ "$status" -eq 6 ]
    run flock "root/$lock/.lock" reef-persona remove alice --confirm=alice
    [ "$status" -eq 6 ]
  done
  [ ! -e root/.reef-persona-change ]
  verify_all
}

@test "a persona on a shard is renamed there" {
  fill
  mkdir s1 s2
  printf 'storage:\n  shards: [%s, %s]\n' "$PWD/s1" "$PWD/s2" >root/config/system.yaml
  reef-index shard apply -q
  place=$(readlink -f root/vectors/personas/alice)
  reef-persona show alice --json | field '[s["shard"] for s in o["stores"] if s["store"] == "vectors"][0]' | grep -qE '^[0-9a-f]{16}$'
  reef-persona rename alice bea -q
  [ ! -e "$place" ]
  [ "$(readlink -f root/vectors/personas/bea)" = "${place%/alice}/bea" ]
  reef-index query 'red boat' --persona bea --no-touch | grep -q boat
  reef-index shard apply -q
  reef-index verify -q
  reef-persona remove bea --confirm=bea -q
  run find s1 s2 -name '*bea*'
  [ -z "$output" ]
}

@test "what is removed is gone from every file, and what others have stays" {
  fill
  run reef-persona remove alice
  [ "$status" -eq 2 ]
  [[ "$output" == *"--confirm=alice"* ]]
  run reef-persona remove alice --confirm=bob
  [ "$status" -eq 2 ]
  run reef-persona remove alice --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"stays: 1 original: others took it in, too"* ]]
  [[ "$output" == *"nothing was removed (dry run)"* ]]
  grep -rqla quixoticboat root
  run --separate-stderr reef-persona remove alice --confirm=alice --json
  [ "$status" -eq 0 ]
  [ "$(field 'o["schema"], o["changed"], o["words_purged"]' <<<"$output")" = "reef.persona.remove/1 True True" ]
  run grep -rlaE 'quixoticboat|zanzibarpier' root
  [ "$status" -eq 1 ]
  run find root -name '*alice*'
  [ -z "$output" ]
  reef-session search lighthouse --persona bob | grep -q lighthouse
  reef-index query weather --persona bob --no-touch | grep -q weather
  verify_all
  run reef-persona remove alice --confirm=alice
  [ "$status" -eq 0 ]
  [[ "$output" == "already so"* ]]
}

@test "adapters stay with those who have them" {
  fill
  mkdir -p root/models/adapters/{own,both}
  for name in own both; do printf 'x' >"root/models/adapters/$name/adapter.bin"; done
  sed -i 's/^  alice:.*/  alice:\n    adapters: [own, both]/; s/^  bob:.*/  bob:\n    adapters: [both]/' root/config/personas.yaml
  [ "$(reef-persona show alice --json | field '[(a["name"], a["others"]) for a in o["adapters"]]')" = "[('own', []), ('both', ['bob'])]" ]
  run reef-persona remove alice --dry-run
  [[ "$output" == *"adapter own"*"--with-adapters"* ]]
  [[ "$output" == *"adapter both"*"belongs to bob"* ]]
  reef-persona remove alice --confirm=alice --with-adapters -q
  [ ! -e root/models/adapters/own ]
  [ -e root/models/adapters/both/adapter.bin ]
}

@test "the next run finishes what a killed one began" {
  strace -qq -o /dev/null true || skip "needs strace and the right to ptrace"
  fill
  # Between the folders.
  strace -f -qq -o /dev/null -e trace=renameat2 -e inject=renameat2:signal=SIGKILL:when=2 reef-persona rename alice bea || true
  [ -e root/.reef-persona-change ]
  run --separate-stderr reef-persona rename alice bea --json
  [ "$status" -eq 0 ]
  [ "$(field 'o["finished"]["kind"], o["steps"], o["changed"]' <<<"$output")" = "rename [] True" ]
  [ ! -e root/.reef-persona-change ]
  verify_all
  strace -f -qq -o /dev/null -e trace=unlink -e inject=unlink:signal=SIGKILL:when=3 reef-persona remove bea --confirm=bea || true
  [ -e root/.reef-persona-change ]
  run --separate-stderr reef-persona rename bob carol
  [ "$status" -eq 0 ]
  [[ "$output" == "finished what an earlier run began: to remove persona bea"* ]]
  run grep -rlaE 'quixoticboat|zanzibarpier' root
  [ "$status" -eq 1 ]
  verify_all
}
