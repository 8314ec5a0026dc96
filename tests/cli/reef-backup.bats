#!/usr/bin/env bats
# reef-backup on the command line: tiers 1 and 2, what is there, whether it is sound, what goes. REEF_BIN is the folder
# of the executables.

bats_require_minimum_version 1.5.0
load prepared_tree

setup_file() {
  prepare_tree alice bob
  printf '{"id":"d%s","text":"Text number %s about ropes."}\n' 1 1 2 2 3 3 >"$BATS_FILE_TMPDIR/docs.jsonl"
  reef-index ingest "$BATS_FILE_TMPDIR/docs.jsonl" -q
  reef-memory remember 'The cellar key hangs behind the clock' --persona alice -q
}

setup() {
  use_tree
  mkdir one two
}

# field PYTHON < JSON: an expression over the object `o`, or the objects of all lines, `all`.
field() { python3 -c 'import json, sys; all = [json.loads(l) for l in sys.stdin]; o = all[-1] if all else None; print(eval(sys.argv[1]))' "$1"; }

@test "a run says nothing when all is well and nobody looks, and shows the snapshot otherwise" {
  run --separate-stderr reef-backup tier1 --to one
  [ "$status" -eq 0 ]
  [ "$output" = "" ]
  [[ "$stderr" == *"same filesystem"* ]]
  run --separate-stderr reef-backup tier1 --to one
  [ "$status" -eq 0 ]
  [ "$(reef-backup list --to one --json | field 'len(all), all[0]["schema"], all[0]["tier"], all[0]["verified"]')" = "(2, 'reef.backup.list/1', 1, None)" ]
  run reef-backup list --to one
  [[ "${lines[0]}" == TIER*SNAPSHOT*TAKEN* ]]
  [ "${#lines[@]}" -eq 3 ]
}

@test "JSON of a run: what was taken, whether anything changed" {
  reef-backup tier1 --to one --json 2>/dev/null >first
  [ "$(field 'o["schema"], o["changed"], o["files"] > 10, o["problems"], o["pruned"]' <first)" = "('reef.backup.tier1/1', True, True, [], [])" ]
  sleep 1.1 # files that changed within a clock tick are read again
  reef-backup tier1 --to one -q
  reef-backup tier1 --to one --json 2>/dev/null >again
  [ "$(field 'o["changed"]' <again)" = False ]
}

@test "a persona that is half renamed is taken as it is, and named" {
  printf 'reef persona change 1\nkind rename\npersona alice\nto carol\nbegan 2026-11-30T10:00:00.000Z\nxxh3 0000000000000000\n' >root/.reef-persona-change
  run --separate-stderr reef-backup tier1 --to one
  [ "$status" -eq 3 ]
  [[ "$stderr" == *".reef-persona-change"* ]]
  rm root/.reef-persona-change
  reef-backup tier1 --to one -q
}

@test "destinations of the configuration are remembered, and missed when they are not mounted" {
  printf 'backup:\n  tier1: {to: %s}\n' "$PWD/one" >root/config/system.yaml
  reef-backup tier1 2>/dev/null
  [ "$(reef-backup list --json | field 'len(all)')" = 1 ]
  rm -r one && mkdir one
  run --separate-stderr reef-backup tier1
  [ "$status" -eq 1 ]
  [[ "$stderr" == *"not mounted"* ]]
  [ -z "$(ls -A one)" ]
  reef-backup tier1 --adopt 2>/dev/null
  rmdir two
  printf 'backup:\n  tier1: {to: %s}\n' "$PWD/two" >root/config/system.yaml
  run reef-backup tier1
  [ "$status" -eq 5 ]
}

@test "usage: no destination, an unknown rule, a folder of the tree, a foreign folder" {
  run reef-backup tier1
  [ "$status" -eq 2 ]
  [[ "$output" == *"backup.tier1.to"* ]]
  run reef-backup list
  [ "$status" -eq 2 ]
  printf 'backup:\n  tier1: {keep: [sometimes]}\n' >root/config/system.yaml
  run reef-backup tier1 --to one
  [ "$status" -eq 2 ]
  [[ "$output" == *"backup.tier1.keep in system.yaml"* ]]
  [ -z "$(ls -A one)" ]
  printf '' >root/config/system.yaml
  mkdir root/inside
  run reef-backup tier1 --to root/inside
  [ "$status" -eq 2 ]
  touch one/mine
  run reef-backup tier1 --to one
  [ "$status" -eq 1 ]
  run reef-backup verify --to two --sample 0
  [ "$status" -eq 2 ]
}

@test "verify: sound, a sample, one snapshot; a flipped bit is named, with status 4" {
  reef-backup tier1 --to one -q 2>/dev/null
  id=$(reef-backup list --to one --json | field 'o["snapshot"]')
  run reef-backup verify --to one --sample 50%
  [ "$status" -eq 0 ]
  [ "$output" = "" ]
  [ "$(reef-backup verify "$id" --to one --json | field 'o["schema"], o["snapshots"], o["faults"]')" = "('reef.backup.verify/1', 1, [])" ]
  reef-backup verify --to one
  [ "$(reef-backup list --to one --json | field 'o["verified"] is not None')" = True ]
  pack=$(ls one/packs/*.pack | head -n 1)
  python3 - "$pack" <<'PYTHON'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 1
open(sys.argv[1], "wb").write(data)
PYTHON
  run reef-backup verify --to one
  [ "$status" -eq 4 ]
  [[ "$output" == *"packs/"*"$id"* ]]
  run reef-backup verify no-such --to one
  [ "$status" -eq 5 ]
}

@test "prune: a dry run tells why, the newest stays" {
  for day in 01 02 03 04; do REEF_NOW=2026-11-${day}T12:00:00Z reef-backup tier1 --to one --keep-all -q 2>/dev/null; done
  printf 'backup:\n  tier1: {keep: [last 2]}\n' >root/config/system.yaml
  run reef-backup prune --to one --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"2 snapshots to remove, none removed"* ]]
  [ "$(reef-backup list --to one --json | field 'len(all)')" = 4 ]
  [ "$(reef-backup prune --to one --json | field 'o["changed"], len(o["removed"]), len(o["stayed"])')" = "(True, 2, 2)" ]
  run reef-backup prune --to one -v
  [[ "$output" == *"already so; 2 snapshots stay"* ]]
  REEF_NOW=2026-11-05T12:00:00Z reef-backup tier1 --to one --json 2>/dev/null >run
  [ "$(field 'len(o["pruned"])' <run)" = 1 ]
}

@test "two runs at once: the second ends with status 6, or waits" {
  reef-backup tier1 --to one -q 2>/dev/null
  exec 9>one/.lock
  flock 9
  run reef-backup tier1 --to one
  [ "$status" -eq 6 ]
  [[ "$output" == *"--wait"* ]]
  (sleep 1; flock -u 9) &
  reef-backup tier1 --to one --wait 20s -q 2>/dev/null
}

@test "tier 2: plain files that sha256sum and sqlite3 read" {
  reef-backup tier2 --to two -q 2>/dev/null
  folder=$(echo two/2*)
  (cd "$folder" && sha256sum -c --quiet SHA256SUMS)
  [ "$(reef-backup list --to two --json | field 'o["tier"]')" = 2 ]
  reef-backup verify --to two
}

@test "tier 3: an archive that tar and zstd open, models by digest; a drill of it" {
  mkdir three
  reef-backup tier3 --to three -q 2>/dev/null
  mkdir out
  zstd -dcq three/system-*.tar.zst | tar -xf - -C out
  cmp out/config/models.yaml root/config/models.yaml
  (cd three/models && for file in *; do [ "$(sha256sum <"$file")" = "$file  -" ]; done)
  [ "$(reef-backup list --to three --json | field 'len(all), o["tier"]')" = "(1, 3)" ]
  reef-backup verify --to three
  [ "$(reef-restore drill --from three --json | field 'o["tier"], o["sound"]')" = "(3, True)" ]
}

@test "no tree, and options that do not go together" {
  run reef-backup tier1 --root none --to one
  [ "$status" -eq 5 ]
  run reef-backup verify x --all --to one
  [ "$status" -eq 2 ]
  run reef-backup list --tier 9
  [ "$status" -eq 2 ]
}
