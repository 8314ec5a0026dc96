#!/usr/bin/env bats
# reef-restore on the command line: files, one persona, drills. REEF_BIN is the folder of the executables.

bats_require_minimum_version 1.5.0
load prepared_tree

setup_file() {
  prepare_tree alice bob
  printf '{"id":"d%s","text":"Text number %s about ropes."}\n' 1 1 2 2 3 3 >"$BATS_FILE_TMPDIR/docs.jsonl"
  reef-index ingest "$BATS_FILE_TMPDIR/docs.jsonl" --persona alice -q
  reef-memory remember 'The cellar key hangs behind the clock' --persona alice -q
  for persona in alice bob; do
    printf '{"session":"%s1","role":"user","content":"Hello from %s","created_at":"2026-11-01T08:00:00Z"}\n' "$persona" "$persona" |
      reef-session import - --persona "$persona" -q
  done
}

setup() {
  use_tree
  mkdir one
  printf 'backup:\n  tier1: {to: %s}\n' "$PWD/one" >root/config/system.yaml
  reef-backup tier1 -q 2>/dev/null
}

field() { python3 -c 'import json, sys; all = [json.loads(l) for l in sys.stdin]; o = all[-1] if all else None; print(eval(sys.argv[1]))' "$1"; }

@test "files: one file as it was, and no other is touched" {
  cp root/config/personas.yaml before
  : >root/config/personas.yaml
  run reef-restore files config/personas.yaml -o out
  [ "$status" -eq 0 ]
  [[ "$output" == *"1 file, "*"restored to out" ]]
  cmp before out/config/personas.yaml
  run reef-restore files config/personas.yaml -o out
  [ "$status" -eq 2 ]
  [[ "$output" == *"--force"* ]]
  reef-restore files "$PWD/root/config/personas.yaml" -o out --force -q
  [ "$(reef-restore files config -o out2 --dry-run --json | field 'o["schema"], o["files"], o["changed"]')" = "('reef.restore.files/1', 3, False)" ]
  [ ! -e out2 ]
  run reef-restore files config/sistem.yaml -o out
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean config/system.yaml?"* ]]
  run reef-restore files config --at 2020-01-01 -o out
  [ "$status" -eq 5 ]
}

@test "files: a database out of a snapshot opens by itself" {
  reef-restore files data/conversations -o out -q
  [ "$(sqlite3 out/data/conversations/conversations.sqlite 'PRAGMA integrity_check; SELECT count(*) FROM messages')" = $'ok\n2' ]
}

@test "drill: silent when all is well, recorded, and nothing is left behind" {
  run reef-restore drill
  [ "$status" -eq 0 ]
  [ "$output" = "" ]
  [ "$(find root/data/backups -name '.drill-*')" = "" ]
  grep -q '"drill"' root/data/backups/tier1.json
  [ "$(reef-restore drill --json | field 'o["schema"], o["sound"], o["indexes"], o["faults"]')" = "('reef.restore.drill/1', True, 1, [])" ]
  mkdir scratch
  reef-restore drill --to scratch
  [ -z "$(ls -A scratch)" ]
}

@test "persona: asks or wants --yes; a dry run tells what would be lost; others lose nothing" {
  for persona in alice bob; do
    printf '{"session":"%s2","role":"user","content":"Later from %s","created_at":"2099-11-01T08:00:00Z"}\n' "$persona" "$persona" |
      reef-session import - --persona "$persona" -q
  done
  run reef-restore persona alice </dev/null
  [ "$status" -eq 2 ]
  [[ "$output" == *"--yes"* ]]
  run reef-restore persona alice --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"put data/memories/alice into place"* ]]
  [[ "$output" == *"1 messages newer than the snapshot would be lost"* ]]
  [ "$(reef-session list --persona alice --json | field 'len(all)')" = 2 ]
  reef-restore persona alice --yes --json >report
  [ "$(field 'o["schema"], o["changed"], o["rows_went"] > 0' <report)" = "('reef.restore.persona/1', True, True)" ]
  [ "$(reef-session list --persona alice --json | field 'len(all)')" = 1 ]
  [ "$(reef-session list --persona bob --json | field 'len(all)')" = 2 ]
  reef-index verify
  reef-session verify
  reef-memory verify
  run reef-restore persona carol --yes
  [ "$status" -eq 5 ]
}

@test "persona: lost files come back, and its service is stopped and started" {
  rm -r root/data/memories/alice root/vectors/personas/alice
  printf 'services:\n  alice:\n    stop: [touch, "%s"]\n    start: [touch, "%s"]\n' "$PWD/stopped" "$PWD/started" >>root/config/system.yaml
  reef-restore persona alice --yes -q
  [ -e stopped ]
  [ -e started ]
  reef-index query ropes --persona alice --mode bm25 --json | grep -q '"d1"'
  [ "$(reef-memory list --persona alice --json | field 'len(all)')" = 1 ]
}

@test "system: a whole tree to an empty place, from a folder alone; a place that holds anything is refused" {
  run reef-restore system
  [ "$status" -eq 2 ]
  [[ "$output" == *"not empty"* ]]
  run reef-restore system --from one --to new --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"reef-model fetch --missing"* ]]
  [ ! -e new ]
  mv root old
  reef-restore system --from one --json >report
  [ "$(field 'o["schema"], o["changed"], o["tier"], o["faults"]' <report)" = "('reef.restore.system/1', True, 1, [])" ]
  reef-index query ropes --persona alice --mode bm25 --json | grep -q '"d1"'
  reef-session verify
  reef-memory verify
  [ "$(stat -c %a root)" = "$(stat -c %a old)" ]
  mkdir new three
  chmod 700 new
  REEF_ROOT=$PWD/old reef-backup tier3 --to three -q 2>/dev/null
  reef-restore system --from three --to new -q
  reef-model verify --root new
  reef-index verify --root new
  [ "$(stat -c %a new)" = "$(stat -c %a old)" ]
}

@test "system: what is damaged is named, and the rest comes" {
  python3 - one/packs/*.pack <<'PYTHON'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[200] ^= 1
open(sys.argv[1], "wb").write(data)
PYTHON
  run reef-restore system --from one --to new
  [ "$status" -eq 4 ]
  [[ "$output" == *"reef-restore files"* ]]
  [ -e new/config/models.yaml ] || [ -e new/config/system.yaml ]
}

@test "no backup at all" {
  printf '' >root/config/system.yaml
  run reef-restore drill
  [ "$status" -eq 2 ]
  [[ "$output" == *"backup.tier1.to"* ]]
  run reef-restore files config -o out --from "$PWD/none"
  [ "$status" -eq 5 ]
}
