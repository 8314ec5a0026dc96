#!/usr/bin/env bats
# reef-init on the command line. REEF_BIN is the folder of the executables.

load wait_until

setup() {
  export LC_ALL=C
  PATH="${REEF_BIN:?set REEF_BIN to the folder of the executables}:$PATH"
  cd "$BATS_TEST_TMPDIR"
  export REEF_ROOT="$PWD/root"
}

@test "a second run changes nothing and says so" {
  run reef-init --persona alice
  [ "$status" -eq 0 ]
  [[ "$output" == *" changes to "* ]]
  find root -printf '%p %T@ %i\n' | sort >before
  run reef-init --persona alice
  [ "$status" -eq 0 ]
  [[ "$output" == "already so; 0 changes"* ]]
  [[ "$(reef-init --json)" == *'"changed":false'* ]]
  find root -printf '%p %T@ %i\n' | sort >after
  diff before after
}

@test "personas are added one by one; comments and edits stay" {
  reef-init --persona alice -q
  printf '# a note of mine\n' >>root/config/personas.yaml
  sed -i 's/persona: 1.0/persona: 0.5 # tuned/' root/config/system.yaml
  reef-init --persona bob --persona carol -q
  grep -q '# a note of mine' root/config/personas.yaml
  grep -q 'persona: 0.5 # tuned' root/config/system.yaml
  [ -d root/vectors/personas/carol ]
  run reef-init --check
  [ "$status" -eq 0 ]
}

@test "a persona is added in the form that the file has, or not at all" {
  reef-init -q
  printf 'personas:\n    bob:\n        name: B\n' >root/config/personas.yaml
  run reef-init --persona dave
  [ "$status" -eq 0 ]
  grep -q '^    dave:$' root/config/personas.yaml
  run reef-init --check
  [ "$status" -eq 0 ]
  echo '{personas: {bob: {name: B}, dave: {}}}' >root/config/personas.yaml
  cp root/config/personas.yaml before
  run reef-init --persona erin
  [ "$status" -eq 2 ]
  [[ "${lines[0]}" == *"personas.yaml:1: persona 'erin' cannot be added"* ]]
  [[ "${lines[1]}" == *"hint: nothing was changed; write 'erin: {name: erin}' under 'personas' by hand"* ]]
  cmp before root/config/personas.yaml
  [ ! -e root/vectors/personas/erin ]
}

@test "an option never breaks a configuration file" {
  reef-init -q
  echo '{storage: {layout: minimal}, ingest: {max_file_bytes: 1MiB}}' >root/config/system.yaml
  reef-init --layout standard -q
  [ "$(cat root/config/system.yaml)" = '{storage: {layout: standard}, ingest: {max_file_bytes: 1MiB}}' ]
  echo '{}' >root/config/models.yaml
  run reef-init --embedding tiny
  [ "$status" -eq 2 ]
  [ "$(cat root/config/models.yaml)" = '{}' ]
}

@test "a run that waits for another one keeps what that one wrote" {
  reef-init -q
  exec 8>root/.reef-init.lock
  flock 8
  run reef-init --persona bob
  [ "$status" -eq 6 ]
  [[ "${lines[1]}" == *"hint:"*"--wait 10m"* ]]
  run reef-init
  [ "$status" -eq 0 ]
  reef-init --persona bob --wait 30s -q 8>&- 3>&- &
  # It waits as soon as it has the lock's file open.
  waits() { ls -l "/proc/$1/fd" 2>/dev/null | grep -q '/.reef-init.lock$'; }
  wait_until waits $!
  printf 'personas:\n  carol:\n    name: Carol\n' >root/config/personas.yaml
  flock -u 8
  wait $!
  grep -q '^  carol:$' root/config/personas.yaml
  grep -q '^  bob:$' root/config/personas.yaml
  [ -d root/vectors/personas/carol ]
}

@test "runs at once on a new tree lose no persona" {
  for id in a b c d; do
    reef-init --persona $id --wait 30s -q 3>&- &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  [ "$(grep -c '^  [a-d]:$' root/config/personas.yaml)" -eq 4 ]
  run reef-init --check
  [ "$status" -eq 0 ]
}

@test "a folder that holds other things is refused without --force" {
  mkdir -p root/lost+found
  echo x >root/holiday.txt
  for option in '' --dry-run; do
    run reef-init $option
    [ "$status" -eq 2 ]
    [[ "${lines[0]}" == *"root is no storage tree and holds other things: holiday.txt" ]]
    [[ "${lines[1]}" == *"hint:"*"--force"* ]]
  done
  [ "$(ls -A root)" = $'holiday.txt\nlost+found' ]
  reef-init --force -q
  reef-init --persona alice -q
  run reef-init --check
  [[ "$output" == *"holiday.txt"*"foreign"* ]]
  REEF_ROOT=fresh
  mkdir -p fresh/lost+found
  chmod 2750 fresh
  reef-init -q
  run reef-init --check
  [ "$status" -eq 0 ]
}

@test "a dry run prints the plan and makes nothing" {
  run reef-init --persona alice --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"none applied (dry run)"* ]]
  [ ! -e root ]
}

@test "--check names what is missing, foreign and open to everybody, and changes nothing" {
  reef-init --persona alice -q
  rmdir root/cache/inference_cache
  mkdir root/stray root/vectors/personas/ghost
  chmod o+rx root/data
  run reef-init --check
  [ "$status" -eq 4 ]
  [[ "$output" == *"cache/inference_cache"*"missing"* ]]
  [[ "$output" == *"stray"*"foreign"* ]]
  [[ "$output" == *"ghost"*"no persona"* ]]
  [[ "$output" == *"data"*"lets everybody in"* ]]
  [ ! -e root/cache/inference_cache ]
}

@test "--check -v tells where each value comes from" {
  reef-init -q
  sed -i 's/max_file_bytes: .*/max_file_bytes: 1MiB/' root/config/system.yaml
  line=$(grep -n max_file_bytes root/config/system.yaml | cut -d: -f1)
  run reef-init --check -v
  [ "$status" -eq 0 ]
  [[ "$output" == *"ingest.max_file_bytes"*"1MiB"*"system.yaml:$line"* ]]
  rm root/config/models.yaml
  run reef-init --check -v
  [ "$status" -eq 4 ]
  [[ "$output" == *"default_embedding"*"all-MiniLM-L6-v2"*"default"* ]]
}

@test "an unknown key is named with its file, line and nearest key" {
  reef-init -q
  printf 'retreive:\n  layers: [shared]\n' >>root/config/system.yaml
  run reef-init --check
  [ "$status" -eq 2 ]
  [[ "${lines[0]}" == *"system.yaml:"*"unknown key 'retreive', did you mean 'retrieve'?"* ]]
  [[ "${lines[1]}" == *"hint:"* ]]
}

@test "duplicate keys, wrong types and broken YAML are errors with a line" {
  reef-init -q
  cp -r root/config saved
  printf 'ingest:\n  max_file_bytes: 1\n' >>root/config/system.yaml
  run reef-init --check
  [ "$status" -eq 2 ]
  [[ "$output" == *"duplicate key 'ingest'"* ]]
  cp saved/system.yaml root/config
  sed -i 's/max_file_bytes: .*/max_file_bytes: lots/' root/config/system.yaml
  run reef-init --check
  [ "$status" -eq 2 ]
  [[ "$output" == *"system.yaml:"*"max_file_bytes"*"lots"* ]]
  printf 'a: [1\n' >root/config/system.yaml
  run reef-init --check
  [ "$status" -eq 2 ]
  [[ "$output" == *"system.yaml:"* ]]
}

@test "a value that no command can use is named with its place and what would do" {
  reef-init -q
  cp -r root/config saved
  fault() { # FILE YAML MESSAGE HINT
    printf "$2" >"root/config/$1"
    run reef-init --check
    echo "$output"
    [ "$status" -eq 2 ]
    [[ "${lines[0]}" == *"$1:"*": $3"* ]]
    [[ "${lines[1]}" == *"hint: "*"$4"* ]]
    cp saved/* root/config
  }
  fault system.yaml 'storage:\n  layout: standart\n' "storage.layout: unknown value 'standart', did you mean 'standard'?" enterprise
  fault system.yaml 'retrieve:\n  priors:\n    shared: -1\n' "retrieve.priors.shared: '-1' is out of range" 'from 0'
  fault system.yaml 'retrieve:\n  layers: [shard]\n' "retrieve.layers: unknown value 'shard', did you mean 'shared'?" documents
  fault system.yaml 'ingest:\n  converters:\n    docx: [cat]\n' "ingest.converters.docx: 'docx' is no extension, did you mean '.docx'?" dot
  fault models.yaml 'models:\n  x:\n    fusion_weight: 7\n' "models.x.fusion_weight: '7' is out of range" 'from 0 to 1'
  fault models.yaml 'models:\n  x:\n    pooling: max\n' "models.x.pooling: unknown value 'max'" 'mean, cls'
  fault personas.yaml 'personas:\n  ../x:\n' "personas.../x: '../x' is no persona id" 'a-z'
  grep -q '# .*(minimal, standard or enterprise)' root/config/system.yaml
}

@test "a tree of a newer version is left alone" {
  reef-init -q
  echo 'reef tree 99' >root/.reef-tree
  for command in "reef-init" "reef-init --check" "reef-index stat" "reef-model list"; do
    run $command
    [ "$status" -eq 2 ]
    [[ "$output" == *"version 99"* ]]
  done
  [ "$(cat root/.reef-tree)" = 'reef tree 99' ]
}

@test "a deleted cache is made again with the mode of the layout" {
  make_tiny_model tiny >/dev/null
  reef-init --embedding tiny -q
  umask 022
  rm -r root/cache
  reef-model import tiny --name tiny -q
  [ "$(stat -c %a root/cache root/cache/embedding_cache/encoders | sort -u)" = 2750 ]
  echo 'the red boat leaks' >note.txt
  rm -r root/cache
  reef-index ingest note.txt -q
  [ "$(stat -c %a root/cache root/cache/embedding_cache/encoders | sort -u)" = 2750 ]
  rm -r root/cache
  reef-index query boat >/dev/null
  [ "$(stat -c %a root/cache root/cache/embedding_cache/encoders | sort -u)" = 2750 ]
  reef-init -q
  run reef-init --check
  [ "$status" -eq 0 ]
}

@test "a folder that went missing is named with what to do" {
  make_tiny_model tiny >/dev/null
  reef-init --embedding tiny -q
  reef-model import tiny --name tiny -q
  echo 'the red boat leaks' >note.txt
  rm -r root/vectors/shared
  run reef-index ingest note.txt
  [ "$status" -eq 5 ]
  [[ "${lines[0]}" == *"root/vectors/shared is not there" ]]
  [[ "${lines[1]}" == *"hint: "*"mount"*"reef-init"* ]]
  ln -s ../unmounted root/vectors/shared
  run reef-init
  [ "$status" -eq 1 ]
  [[ "${lines[0]}" == *"root/vectors/shared is a symbolic link to a folder that is not there" ]]
  rm root/vectors/shared
  reef-init -q
  reef-index ingest note.txt -q
}

@test "wrong arguments end with status 2 and two lines" {
  run reef-init --persona 'Not An Id'
  [ "$status" -eq 2 ]
  [[ "$output" == *"no persona id"* ]]
  run reef-init --presona alice
  [ "$status" -eq 2 ]
  [ "${#lines[@]}" -eq 2 ]
  [[ "$output" == *"did you mean '--persona'?"* ]]
  run reef-init --layout huge
  [ "$status" -eq 2 ]
  run reef-init --root ''
  [ "$status" -eq 2 ]
  [ ! -e root ]
}

@test "a file in the way is named" {
  echo x >root
  run reef-init
  [ "$status" -eq 1 ]
  [[ "$output" == *"root"*"not a folder"* ]]
}

@test "output to a full device fails, output to head does not" {
  run bash -c 'reef-init --dry-run >/dev/full'
  [ "$status" -eq 1 ]
  [[ "$output" == *"standard output"* ]]
  run bash -c 'reef-init --dry-run | head -1'
  [ "$status" -eq 0 ]
}

@test "help is for stdout, the version stands on one line" {
  reef-init --help | grep -q -- --persona
  [[ "$(reef-init --version)" =~ ^reef-init\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

# in_mount_namespace COMMAND: where a mount is seen by nobody else, and ends with the command.
in_mount_namespace() {
  if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
    unshare -m "$@"
  else
    unshare -rm "$@"
  fi
}

@test "--mount-cache puts a tmpfs there once, models are loaded into it, and its size follows the configuration" {
  command -v unshare >/dev/null || skip 'needs unshare'
  in_mount_namespace sh -c 'mkdir probe && mount -t tmpfs none probe' 2>/dev/null || skip 'mounting is not allowed here'
  make_tiny_model tiny >/dev/null
  reef-init -q
  printf 'cache:\n  model:\n    cap_bytes: 64MiB\n' >root/config/system.yaml
  reef-model import tiny -q
  run reef-init --mount-cache --dry-run
  [ "$status" -eq 0 ]
  if [[ "$output" == 'already so; '*' is in memory' ]]; then skip 'the folder of the tests is in memory'; fi
  [[ "$output" == "tmpfs at $REEF_ROOT/cache/model_cache (new): size=67108864,"*"mode=2750,uid="*"1 change, none applied (dry run)" ]]
  run in_mount_namespace bash -euc '
    reef-init --mount-cache
    findmnt -no FSTYPE,OPTIONS root/cache/model_cache
    stat -c "mode %a" root/cache/model_cache
    reef-init --check -q
    reef-init --mount-cache
    reef-model load tiny -q
    reef-model cache status --json
    sed -i s/64MiB/32MiB/ root/config/system.yaml
    reef-init --mount-cache -n
    reef-init --mount-cache --json'
  echo "$output"
  [ "$status" -eq 0 ]
  [[ "$output" == *"a tmpfs of 64.0 MiB is mounted at $REEF_ROOT/cache/model_cache until the machine is restarted"* ]]
  [[ "$output" == *"tmpfs"*"size=65536k"* ]]
  [[ "$output" == *"mode 2750"* ]]
  [[ "$output" == *"already so; $REEF_ROOT/cache/model_cache is in memory"* ]]
  [[ "$output" == *'"in_memory":true'*'"sha256":'* ]]
  [[ "$output" == *"(64.0 MiB before): size=33554432,"* ]]
  [[ "$output" == *'"size_bytes":33554432'*'"changed":true'* ]]
  [ -z "$(ls root/cache/model_cache)" ]
}

@test "--mount-cache hides no files, and tells who may mount" {
  reef-init -q
  [[ "$(reef-init --mount-cache --dry-run)" != 'already so; '*' is in memory' ]] || skip 'the folder of the tests is in memory'
  echo x >root/cache/model_cache/file
  run reef-init --mount-cache
  [ "$status" -eq 1 ]
  [[ "${lines[0]}" == *"root/cache/model_cache holds 1 file of 2 B, which a mount would hide" ]]
  [[ "${lines[1]}" == *"hint: "*"find $REEF_ROOT/cache/model_cache -xdev -mindepth 1 -delete"* ]]
  rm root/cache/model_cache/file
  ln -s nowhere root/cache/model_cache/link
  reef-init --mount-cache --dry-run
  without_right=()
  if [ "$(id -u)" -eq 0 ]; then
    without_right=(setpriv --bounding-set=-sys_admin)
    "${without_right[@]}" true || skip 'capabilities cannot be dropped here'
  fi
  run "${without_right[@]}" reef-init --mount-cache
  [ "$status" -eq 1 ]
  [[ "${lines[0]}" == *"mount a tmpfs at $REEF_ROOT/cache/model_cache: only root may" ]]
  [[ "${lines[1]}" == *"hint: run 'sudo reef-init --root $PWD/root --mount-cache'"* ]]
}

@test "cache trim leaves alone what is mounted inside an entry of a cache" {
  command -v unshare >/dev/null || skip 'needs unshare'
  in_mount_namespace true 2>/dev/null || skip 'namespaces are not allowed here'
  reef-init -q
  printf 'cache:\n  inference:\n    cap_bytes: 1KiB\n' >root/config/system.yaml
  mkdir -p elsewhere root/cache/inference_cache/runtime/models
  head -c 60K /dev/zero >elsewhere/precious
  head -c 60K /dev/zero >root/cache/inference_cache/runtime/snapshot
  touch -d '2 hours ago' elsewhere/precious root/cache/inference_cache/runtime/snapshot
  run in_mount_namespace bash -uc '
    mount --bind elsewhere root/cache/inference_cache/runtime/models
    reef-model cache trim
    echo "status $?"'
  [[ "$output" == *"runtime"*"another filesystem in it"*"status 3"* ]]
  [ -s elsewhere/precious ]
  [ -s root/cache/inference_cache/runtime/snapshot ]
}

@test "--mount-unit writes a unit for systemd once, or prints it" {
  reef-init -q
  mkdir units
  run reef-init --mount-unit -
  [ "$status" -eq 0 ]
  [[ "$output" == *"Where=$(realpath root)/cache/model_cache"*"Type=tmpfs"*"Options=size="*"WantedBy=local-fs.target" ]]
  run reef-init --mount-unit units --dry-run
  [[ "$output" == *"1 change, none applied (dry run)" ]]
  [ -z "$(ls units)" ]
  run reef-init --mount-unit units
  [[ "$output" == "wrote $PWD/units/"*"; next: systemctl daemon-reload && systemctl enable --now '"*".mount'" ]]
  unit=$(ls units)
  if command -v systemd-escape >/dev/null; then
    [ "$unit" = "$(systemd-escape --path --suffix=mount "$(realpath root)/cache/model_cache")" ]
  fi
  run reef-init --mount-unit units
  [[ "$output" == "already so; "* ]]
  for wrong in '--mount-unit units --persona a' '--mount-unit units --mount-cache' '--mount-cache --check' "--mount-unit ''"; do
    run bash -c "reef-init $wrong"
    [ "$status" -eq 2 ]
  done
  run reef-init --mount-unit none
  [ "$status" -eq 5 ]
}
