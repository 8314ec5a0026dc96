#!/usr/bin/env bats
# reef-model fetch and archive: downloads that break off, servers that lie, an S3 service that checks signatures, and
# models that leave the tree and come back. REEF_BIN is the folder of the executables.

bats_require_minimum_version 1.5.0

load wait_until

setup() {
  export LC_ALL=C
  PATH="${REEF_BIN:?set REEF_BIN to the folder of the executables}:$PATH"
  cd "$BATS_TEST_TMPDIR"
  export REEF_ROOT="$PWD/root"
  reef-init --quiet
  make_model large
  published=$PWD/served/base/large
}

teardown() {
  exec 8>&- # ends the server
  [ -z "${server-}" ] || wait "$server" || true
}

# make_model FOLDER: one tensor of 6 MiB, whose bytes depend on where they are.
make_model() {
  mkdir -p "$1"
  printf '{"model_type": "test"}' >"$1/config.json"
  python3 - "$1/model.safetensors" <<'PY'
import json, random, struct, sys
header = json.dumps({"layers.0.w": {"dtype": "U8", "shape": [6 << 20], "data_offsets": [0, 6 << 20]}}).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + random.Random(1).randbytes(6 << 20))
PY
}

# publish: the model as another tree of reef has it, in the served folder; $pin is the digest of its manifest.
publish() {
  mkdir -p served
  reef-init --quiet --root other
  reef-model import large -q --root other "$@"
  cp -r other/models/base served/base
  pin=$(sha256sum <"$published/manifest.json" | cut -d ' ' -f 1)
}

# serve [ID:SECRET REGION]: starts the server; $url is its address.
serve() {
  mkfifo stop
  python3 "$BATS_TEST_DIRNAME/../support/model_server.py" "$PWD/port" "$PWD/log" "$PWD/served" "$PWD/faults" "$@" <stop 3>&- &
  server=$!
  exec 8>stop
  wait_until [ -e port ]
  url=http://127.0.0.1:$(cat port)
}

# faults JSON...: what the server does wrong from now on.
faults() {
  local IFS=,
  echo "[$*]" >faults
}

# models SOURCE [SHA256]
models() {
  printf 'models:\n  large:\n    source: "%s"\n    sha256: "%s"\n' "$1" "${2-}" >"$REEF_ROOT/config/models.yaml"
}

has_size() { [ "$(stat -c %s "$2" 2>/dev/null)" = "$1" ]; }

# asked TEXT: how many requests for such a path the server had.
asked() { grep -c "\"path\": \"[^\"]*$1" log || true; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
model_field() { python3 -c 'import json, sys; print(json.load(sys.stdin)["models"][0][sys.argv[1]])' "$1"; }

# The tree has what was published, byte for byte, and nothing else is left.
is_published() {
  diff -r "$published" "$REEF_ROOT/models/base/large"
  reef-model verify -q
  [ "$(ls -A "$REEF_ROOT/models/.fetch")" = .lock ]
  [ -z "$(find "$REEF_ROOT/models" -name '*.tmp')" ]
}

@test "fetch brings a model's folder with its manifest as it was published, and a second run changes nothing" {
  publish
  serve
  models "$url/base/large/" "$pin"
  run --separate-stderr reef-model fetch large
  [ "$status" -eq 0 ]
  [ "$output" = "fetched large from $url/base/large/: 6.00 MiB in $REEF_ROOT/models/base/large" ]
  is_published
  requests=$(wc -l <log)
  run reef-model fetch large
  [ "$status" -eq 0 ]
  [[ "$output" == "already so; large is in "* ]]
  [ "$(reef-model fetch --missing large --json 2>&1 | field schema)" = reef.error/1 ]
  reef-model fetch large --json >result.json
  [ "$(field schema <result.json)" = reef.model.fetch/1 ]
  [ "$(field changed <result.json)" = False ]
  [ "$(wc -l <log)" -eq "$requests" ]
}

@test "a signature comes along" {
  command -v openssl >/dev/null || skip 'no openssl here'
  reef-init --quiet --root other
  reef-model import large -q --root other
  openssl genpkey -algorithm ed25519 -out key.pem
  reef-model manifest sign large --key key.pem -q --root other
  publish
  serve
  models "$url/base/large"
  reef-model fetch large -q
  is_published
  reef-model verify --key key.pem -q
}

@test "connections that break, and a server that is busy, are tried again from where the file ends" {
  publish
  serve
  models "$url/base/large/" "$pin"
  faults '{"path": "safetensors", "do": "cut", "bytes": 2500000, "times": 1}' \
    '{"path": "safetensors", "do": "status", "status": 503, "after": 0, "times": 1}' \
    '{"path": "manifest.json", "do": "status", "status": 429, "after": 0, "times": 1}'
  reef-model fetch large --json >result.json
  [ "$(model_field received_bytes <result.json)" -gt 6291456 ]
  is_published
  [ "$(asked safetensors)" -eq 3 ]
  [ "$(grep -c '"range": "bytes=2500000-"' log)" -eq 2 ]
}

@test "killed or told to stop in the middle, the next run asks only for the rest" {
  publish
  serve
  models "$url/base/large/" "$pin"
  part=$REEF_ROOT/models/.fetch/large/files/model.safetensors
  for signal in TERM KILL; do
    faults '{"path": "safetensors", "do": "hold", "bytes": 3000000, "times": 1, "of": "'$signal'"}'
    rm -f log
    reef-model fetch large -q 3>&- 8>&- &
    fetching=$!
    wait_until has_size 3000000 "$part"
    run reef-model fetch large
    [ "$status" -eq 6 ]
    kill -$signal "$fetching"
    wait "$fetching" && false || [ $? -gt 128 ]
    [ -z "$(ls "$REEF_ROOT/models/base")" ]
    run --separate-stderr reef-model fetch large --wait 10s
    [ "$status" -eq 0 ]
    [[ "$output" == *": 6.00 MiB, 2.86 MiB of them by an earlier run in "* ]]
    [ "$(asked safetensors)" -eq 2 ]
    [ "$(tail -1 log | field range)" = bytes=3000000- ]
    is_published
    rm -r "$REEF_ROOT/models/base/large"
  done
}

@test "a model that changed on the server is begun anew; parts of two versions are not mixed" {
  publish
  serve
  models "$url/base/large/"
  faults '{"path": "safetensors", "do": "cut", "bytes": 3000000, "times": 1}' '{"path": "safetensors", "do": "status", "status": 400}'
  run reef-model fetch large
  [ "$status" -eq 1 ]
  [[ "$output" == *"status 400"*"2.86 MiB of 6.00 MiB are here"* ]]
  rm -r served other faults
  printf 'x' | dd of=large/model.safetensors bs=1 seek=200 conv=notrunc status=none
  publish
  run reef-model fetch large
  [ "$status" -eq 0 ]
  [[ "$output" == *"parts of another version"* ]]
  is_published
}

@test "a part that was damaged here is cut back to where it is sound" {
  publish
  serve
  models "$url/base/large/" "$pin"
  faults '{"path": "safetensors", "do": "cut", "bytes": 5000000, "times": 1}' '{"path": "safetensors", "do": "status", "status": 400}'
  run reef-model fetch large
  [ "$status" -eq 1 ]
  rm faults
  printf 'damage' | dd of="$REEF_ROOT/models/.fetch/large/files/model.safetensors" bs=1 seek=2500000 conv=notrunc status=none
  run reef-model fetch large
  [ "$status" -eq 0 ]
  [[ "$output" == *"damaged from byte 2097152; fetching the rest again"* ]]
  is_published
  [ "$(tail -1 log | field range)" = bytes=2097152- ]
}

@test "wrong bytes from the server are not published, and named with both digests" {
  publish
  serve
  models "$url/base/large/" "$pin"
  faults '{"path": "safetensors", "do": "flip", "at": 5000000}'
  run reef-model fetch large
  [ "$status" -eq 4 ]
  [[ "$output" == *"error: $url/base/large/model.safetensors: sha256 is "*", the manifest says "* ]]
  [ -z "$(ls "$REEF_ROOT/models/base")" ]
  rm faults
  reef-model fetch large -q
  is_published
}

@test "another manifest than the one pinned, and one that a stranger wrote, are refused" {
  publish
  serve
  models "$url/base/large/" "$(printf '%064d' 0)"
  run reef-model fetch large
  [ "$status" -eq 4 ]
  [[ "$output" == *"manifest.json: sha256 is $pin, models.yaml says 000"* ]]
  models "$url/base/large/"
  for change in 's/model.safetensors/..\/model.safetensors/' 's/config.json/setup.py/' 's/"name": "large"/"name": "small"/' 's/"bytes"/"byte"/'; do
    sed -i.bak "$change" "$published/manifest.json"
    run reef-model fetch large
    [ "$status" -eq 4 ] || [ "$status" -eq 2 ]
    [[ "$output" == *"$url/base/large/manifest.json"* ]]
    mv "$published/manifest.json.bak" "$published/manifest.json"
  done
  [ -z "$(ls "$REEF_ROOT/models/base")" ]
  models "$url/nothing/"
  run reef-model fetch large
  [ "$status" -eq 5 ]
  [[ "$output" == *"$url/nothing/manifest.json: there is no such file"* ]]
}

@test "a URL of one file is downloaded, compared with the pinned digest and imported" {
  mkdir -p served wheel/pkg
  cp -r large wheel/pkg/large
  (cd wheel && python3 -m zipfile -c ../served/pkg-1-py3-none-any.whl pkg)
  serve
  faults '{"path": "/pkg", "do": "redirect", "to": "/moved/pkg-1-py3-none-any.whl?key=1", "times": 1}' \
    '{"path": "/moved", "do": "other", "file": "pkg-1-py3-none-any.whl"}'
  models "$url/pkg-1-py3-none-any.whl"
  run reef-model fetch large
  [ "$status" -eq 2 ]
  [[ "$output" == *"write the SHA-256 of the file to models.large.sha256"* ]]
  models "$url/pkg-1-py3-none-any.whl" "$(printf '%064d' 0)"
  run reef-model fetch large
  [ "$status" -eq 4 ]
  models "$url/pkg-1-py3-none-any.whl" "$(sha256sum <served/pkg-1-py3-none-any.whl | cut -d ' ' -f 1)"
  rm faults
  reef-model fetch large -q
  cmp large/model.safetensors "$REEF_ROOT/models/base/large/model.safetensors"
  [ "$(reef-model show large --json | field source)" = "$url/pkg-1-py3-none-any.whl" ]
  # A query may hold a key: neither the manifest nor a message has it.
  models "$url/pkg-1-py3-none-any.whl?token=sesame" "$(sha256sum <served/pkg-1-py3-none-any.whl | cut -d ' ' -f 1)"
  run reef-model fetch large --force -vv
  [ "$status" -eq 0 ]
  [[ "$output" != *sesame* ]]
  run ! grep -r sesame "$REEF_ROOT/models"
  [ "$(ls -A "$REEF_ROOT/models/.fetch")" = .lock ]
}

@test "an S3 service gets signed requests; a wrong secret is refused" {
  publish
  mkdir -p bucket/models && mv served/base bucket/models/ && rmdir served && mkdir served && mv bucket served/
  published=$PWD/served/bucket/models/base/large
  serve id-1:se/cret+1 eu-test-1
  printf 'id-1\nse/cret+1\n' >"$REEF_ROOT/config/key"
  printf 'backup:\n  tier3:\n    endpoint: %s\n    region: eu-test-1\n    key_file: config/key\n' "$url" >"$REEF_ROOT/config/system.yaml"
  models s3://bucket/models/base/large/ "$pin"
  chmod 640 "$REEF_ROOT/config/key"
  run reef-model fetch large
  [ "$status" -eq 2 ]
  [[ "$output" == *"holds a secret, and others may read it (mode 0640)"*"chmod 600"* ]]
  chmod 600 "$REEF_ROOT/config/key"
  faults '{"path": "safetensors", "do": "cut", "bytes": 2500000, "times": 1}'
  reef-model fetch large -q
  is_published
  grep -q '"range": "bytes=2500000-"' log
  rm -r "$REEF_ROOT/models/base/large"
  printf 'id-1\nother\n' >"$REEF_ROOT/config/key"
  run reef-model fetch large
  [ "$status" -eq 1 ]
  [[ "$output" == *"status 403: "*SignatureDoesNotMatch* ]]
  [[ "$output" == *"hint: check backup.tier3.key_file"* ]]
  [[ "$output" != *other* ]]
}

@test "tier 3 has models by digest, and is asked when the source fails" {
  publish
  mkdir -p tier3/models
  for file in "$published"/*; do
    case $file in *.chunks) ;; *) cp "$file" "tier3/models/$(sha256sum <"$file" | cut -d ' ' -f 1)" ;; esac
  done
  printf 'backup:\n  tier3:\n    to: %s\n' "$PWD/tier3" >"$REEF_ROOT/config/system.yaml"
  models tier3 "$pin"
  reef-model fetch large -q
  is_published
  rm -r "$REEF_ROOT/models/base/large"
  models http://127.0.0.1:1/base/large/ "$pin"
  run reef-model fetch large
  [ "$status" -eq 0 ]
  [[ "$output" == *"trying tier 3 for large"* ]]
  is_published
  rm -r "$REEF_ROOT/models/base/large"
  rm "tier3/models/$(sha256sum <large/config.json | cut -d ' ' -f 1)"
  models tier3 "$pin"
  run reef-model fetch large
  [ "$status" -eq 5 ]
  [ -z "$(ls "$REEF_ROOT/models/base")" ]
}

@test "a folder is imported, with its manifest compared if a digest is given" {
  publish
  models "$published" "$pin"
  reef-model fetch large -q
  cmp large/model.safetensors "$REEF_ROOT/models/base/large/model.safetensors"
  rm -r "$REEF_ROOT/models/base/large"
  models "$published" "$(printf '%064d' 0)"
  run reef-model fetch large
  [ "$status" -eq 4 ]
  models "$PWD/large" "$pin"
  run reef-model fetch large
  [ "$status" -eq 2 ]
  [[ "$output" == *"has no manifest.json"* ]]
  reef-model fetch small --from large -q
  [ -d "$REEF_ROOT/models/base/small" ]
}

@test "--missing brings what models.yaml names and goes on after a failure, status 3" {
  publish
  printf 'default_embedding: large\nmodels:\n  large:\n    source: %s\n  absent:\n    source: %s\n  unknown:\n    pinned: true\n' \
    "$published" "$PWD/nowhere" >"$REEF_ROOT/config/models.yaml"
  run --separate-stderr reef-model fetch --missing --dry-run
  [[ "$output" == *"create large from $published"*"nothing done (dry run)" ]]
  [ -z "$(ls "$REEF_ROOT/models/base")" ]
  run --separate-stderr reef-model fetch --missing
  [ "$status" -eq 3 ]
  [[ "$output" == "fetched large from "* ]]
  [[ "$stderr" == *"warning: absent: "* ]]
  [[ "$stderr" == *"warning: unknown: nothing says where 'unknown' is to be had"* ]]
  [ "$(reef-model fetch --missing --json 2>/dev/null | field failures)" = 2 ]
  for wrong in "" "--missing large" "large small --from x" ../large large/x; do
    run reef-model fetch $wrong
    [ "$status" -eq 2 ]
  done
}

@test "a model that is there damaged, or in another version, is told and replaced only by force" {
  publish
  serve
  models "$url/base/large/" "$pin"
  reef-model fetch large -q
  truncate -s 5M "$REEF_ROOT/models/base/large/model.safetensors"
  run reef-model fetch large
  [ "$status" -eq 4 ]
  [[ "$output" == *"has 5242880 bytes, manifest says "*"'reef-model fetch --force large'"* ]]
  reef-model fetch large --force -q
  is_published
  models "$url/base/large/" "$(printf '%064d' 0)"
  run reef-model fetch large
  [ "$status" -eq 2 ]
  [[ "$output" == *"another version than models.yaml pins"* ]]
}

@test "a disk that cannot hold the model is named before anything is downloaded" {
  command -v unshare >/dev/null || skip "needs unshare"
  unshare -rm true 2>/dev/null || skip "user namespaces are not allowed here"
  publish
  serve
  models "$url/base/large/" "$pin"
  run unshare -rm sh -c '
    mount -t tmpfs -o size=8M none "$REEF_ROOT/models"
    reef-model fetch large'
  [ "$status" -eq 1 ]
  [[ "$output" == *"the model takes 6.00 MiB"*"are free"* ]]
  [ "$(asked safetensors)" -eq 0 ]
}

@test "a disk that runs full in the middle keeps what came, and the next run goes on" {
  command -v unshare >/dev/null || skip "needs unshare"
  unshare -rm true 2>/dev/null || skip "user namespaces are not allowed here"
  mkdir -p served wheel/pkg
  cp -r large wheel/pkg/large
  (cd wheel && python3 -m zipfile -c ../served/pkg-1-py3-none-any.whl pkg)
  serve
  models "$url/pkg-1-py3-none-any.whl" "$(sha256sum <served/pkg-1-py3-none-any.whl | cut -d ' ' -f 1)"
  run unshare -rm sh -c '
    mount -t tmpfs -o size=4M none "$REEF_ROOT/models"
    reef-model fetch large; echo "status $?"
    ls -A "$REEF_ROOT/models/.fetch/large"
    mount -o remount,size=60M "$REEF_ROOT/models"
    reef-model fetch large && reef-model verify'
  [ "$status" -eq 0 ]
  [[ "$output" == *"No space left on device; "*" are here"*"goes on from there"*"status 1"* ]]
  [[ "$output" != *".tmp"* ]]
  [[ "$output" == *"large: ok, 2 files"* ]]
  [ "$(wc -l <log)" -eq 2 ]
  [[ "$(tail -1 log | field range)" == bytes=[1-9]*- ]]
}

# ---- archive ---------------------------------------------------------------------------------------------------------

with_archive() {
  mkdir archive
  printf 'storage:\n  archive: %s\n' "$PWD/archive" >"$REEF_ROOT/config/system.yaml"
  reef-model import large -q
}

@test "archive moves a model out, list and show tell where, and fetch brings it back as it was" {
  with_archive
  cp -r "$REEF_ROOT/models/base/large" before
  run reef-model archive large --dry-run
  [[ "$output" == "archive large: 6.00 MiB to $PWD/archive/models/base/large"*"nothing done (dry run)" ]]
  [ -d "$REEF_ROOT/models/base/large" ]
  run reef-model archive large
  [ "$status" -eq 0 ]
  [ "$output" = "archived large: 6.00 MiB in $PWD/archive/models/base/large" ]
  diff -r before archive/models/base/large
  [ ! -e "$REEF_ROOT/models/base/large" ]
  [[ "$(reef-model list)" == *"large"*"archived at $PWD/archive/models/base/large"* ]]
  [ "$(reef-model list --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["archived"]["path"])')" = "$PWD/archive/models/base/large" ]
  run reef-model show large
  [ "$status" -eq 0 ]
  [[ "$output" == *"archived  $PWD/archive/models/base/large"*"model.safetensors"* ]]
  for verb in "verify large" "load large" "manifest large" "show large --tensors" "extract large w -o x.npy" "stream large -o x"; do
    run reef-model $verb
    [ "$status" -eq 5 ]
    [[ "$output" == *"error: large is archived at $PWD/archive/models/base/large"*"'reef-model fetch large' brings it back"* ]]
  done
  run reef-init --check
  [ "$status" -eq 0 ]
  run reef-model archive large
  [ "$status" -eq 0 ]
  [[ "$output" == "already so; large is archived at "* ]]
  run reef-model fetch large
  [ "$status" -eq 0 ]
  diff -r before "$REEF_ROOT/models/base/large"
  [ -z "$(ls "$REEF_ROOT/models/archived/base")" ]
  [ -d archive/models/base/large ]
  run reef-model archive large
  [ "$output" = "archived large: 6.00 MiB were already in $PWD/archive/models/base/large" ]
  [ "$(reef-model fetch large --json | model_field source)" = archive ]
}

@test "the archive is usable without reef" {
  with_archive
  reef-model archive large -q
  cd archive/models/base/large
  python3 -c '
import json
for f in json.load(open("manifest.json"))["files"]: print(f["sha256"] + "  " + f["path"])' | sha256sum --strict -c
}

@test "--missing leaves what is archived, and a copy whose record is lost is found" {
  with_archive
  models "$PWD/nowhere"
  echo 'default_embedding: large' >>"$REEF_ROOT/config/models.yaml"
  reef-model archive large -q --yes
  run reef-model fetch --missing
  [ "$status" -eq 0 ]
  [[ "$output" == "large is archived at "* ]]
  [ ! -e "$REEF_ROOT/models/base/large" ]
  rm -r "$REEF_ROOT/models/archived"
  echo 'default_embedding: large' >"$REEF_ROOT/config/models.yaml"
  reef-model fetch --missing -q
  reef-model verify -q
}

@test "archives that cannot be, models in use and the embedding model are refused" {
  reef-model import large -q
  run reef-model archive large
  [ "$status" -eq 2 ]
  [[ "$output" == *"storage.archive in system.yaml names no folder"* ]]
  mkdir archive
  for place in "$PWD/none" models/inside . models; do
    [ "$place" != models/inside ] || mkdir "$REEF_ROOT/models/inside"
    printf 'storage:\n  archive: %s\n' "$place" >"$REEF_ROOT/config/system.yaml"
    run reef-model archive large
    [ "$status" -eq 2 ] || [ "$status" -eq 5 ]
    [[ "$output" == *"archive"* ]]
  done
  printf 'storage:\n  archive: %s\n' "$PWD/archive" >"$REEF_ROOT/config/system.yaml"
  exec 9<"$REEF_ROOT/models/base/large/model.safetensors"
  run reef-model archive large
  [ "$status" -eq 1 ]
  [[ "$output" == *"model.safetensors is in use by "* ]]
  exec 9<&-
  echo notes >"$REEF_ROOT/models/base/large/notes.txt"
  run reef-model archive large
  [ "$status" -eq 2 ]
  [[ "$output" == *"notes.txt is not in the manifest"* ]]
  rm "$REEF_ROOT/models/base/large/notes.txt"
  echo 'default_embedding: large' >"$REEF_ROOT/config/models.yaml"
  run reef-model archive large
  [ "$status" -eq 2 ]
  [[ "$output" == *"--yes"* ]]
  mkdir -p archive/models/base/large && echo x >archive/models/base/large/file
  run reef-model archive large --yes
  [ "$status" -eq 2 ]
  [[ "$output" == *"holds another model"* ]]
  run reef-model archive lrage
  [ "$status" -eq 5 ]
  reef-model verify -q
}

@test "a damaged model is not archived, and a damaged copy does not come back" {
  with_archive
  cp -r "$REEF_ROOT/models/base/large" before
  printf 'x' | dd of="$REEF_ROOT/models/base/large/model.safetensors" bs=1 seek=3000000 conv=notrunc status=none
  run reef-model archive large
  [ "$status" -eq 4 ]
  [ -z "$(ls archive/models/base)" ]
  rm -r "$REEF_ROOT/models/base/large" && cp -r before "$REEF_ROOT/models/base/large"
  reef-model archive large -q
  printf 'x' | dd of=archive/models/base/large/model.safetensors bs=1 seek=3000000 conv=notrunc status=none
  run reef-model fetch large
  [ "$status" -eq 4 ]
  [[ "$output" == *"the copy in the archive is damaged"* ]]
  [ ! -e "$REEF_ROOT/models/base/large" ]
  mv archive elsewhere
  run reef-model fetch large
  [ "$status" -eq 5 ]
  [[ "$output" == *"which is not there"* ]]
}
