#!/usr/bin/env bats
# reef-model stream on the command line: every target, its reader's failures, damaged models, segments.
# REEF_BIN is the folder of the executables.

bats_require_minimum_version 1.5.0

load wait_until

setup() {
  export LC_ALL=C
  PATH="${REEF_BIN:?set REEF_BIN to the folder of the executables}:$PATH"
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  cd "$BATS_TEST_TMPDIR"
  export REEF_ROOT="$PWD/root"
  reef-init --quiet
  make_model m
  reef-model import m -q
  weights="$REEF_ROOT/models/base/m/model.safetensors"
  page_reader >reader.py
}

# make_model FOLDER: 12 layers of unaligned tensors, 10 MB, in the order of names as text.
make_model() {
  mkdir -p "$1"
  printf '{"model_type": "test"}' >"$1/config.json"
  python3 - "$1/model.safetensors" <<'PY'
import json, random, struct, sys
random.seed(5)
names = sorted(["lm_head.weight", "model.embed_tokens.weight", "model.norm.weight", "nothing"]
               + [f"model.layers.{i}.{part}" for i in range(12) for part in ("attn", "mlp", "norm")])
header, data = {}, bytearray()
for name in names:
    size = 0 if name == "nothing" else 7 if "norm" in name else 400001
    header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [len(data), len(data) + size]}
    data += random.randbytes(size)
text = json.dumps(header).encode()
open(sys.argv[1], "wb").write(struct.pack("<Q", len(text)) + text + data)
PY
}

# The reader of the manual page, as it stands there.
page_reader() {
  sed -n '/^import json, struct, sys$/,/^```$/p' "$top/man/reef-stream.5.scd.in" | grep -v '^```$'
}

# same_tensors < STREAM: what the page's reader gets out of it is what the model's file holds, in layer order.
same_tensors() {
  {
    cat reader.py
    cat <<'PY'
file = open(sys.argv[1], "rb").read()
begin = 8 + struct.unpack("<Q", file[:8])[0]
header = json.loads(file[8:begin])
assert header.keys() == tensors.keys(), tensors.keys()
for name, entry in header.items():
    first, last = entry["data_offsets"]
    assert tensors[name] == file[begin + first:begin + last], name
assert [entry["name"] for entry in table] == (
    ["model.embed_tokens.weight"]
    + [f"model.layers.{i}.{part}" for i in range(12) for part in ("attn", "mlp", "norm")]
    + ["lm_head.weight", "model.norm.weight", "nothing"])
PY
  } >compare.py
  python3 compare.py "$weights"
}

@test "the reader of the manual gets every tensor, in layer order" {
  [ "$(wc -l <reader.py)" -ge 9 ]
  reef-model stream m -q | same_tensors
  REEF_IO=plain reef-model stream m -q --output - | same_tensors
}

@test "a stream that was cut off is noticed by the reader of the manual" {
  reef-model stream m -o whole -q
  run bash -c 'head -c 2000000 whole | python3 reader.py'
  [ "$status" -eq 1 ]
  [ "$output" = "the stream was cut off" ]
}

@test "with standard output for the stream, the result is on standard error, also as JSON" {
  run --separate-stderr bash -c 'reef-model stream m --json | cat >out'
  [ -z "$output" ]
  same_tensors <out
  python3 -c '
import json, os, sys
result = json.load(sys.stdin)
assert (result["schema"], result["tensors"], result["unchecked_bytes"]) == ("reef.model.stream/1", 40, 0), result
assert result["stream_bytes"] == os.path.getsize("out"), result' <<<"$stderr"
  run --separate-stderr bash -c 'reef-model stream m >out'
  [[ "$stderr" == "streamed m: 40 tensors, "*" frames" ]]
}

@test "a file appears whole, is not replaced, and --force replaces it" {
  run reef-model stream m -o out
  [ "$status" -eq 0 ]
  [[ "$output" == "streamed m: 40 tensors, "* ]]
  same_tensors <out
  echo mine >out
  run reef-model stream m -o out
  [ "$status" -eq 2 ]
  [[ "$output" == *"out exists"*"--force"* ]]
  [ "$(cat out)" = mine ]
  reef-model stream m -o out --force -q
  same_tensors <out
  [ -z "$(find . -maxdepth 1 -name '.*.tmp')" ]
}

@test "a terminal, a folder and targets that are none are refused" {
  run script -qec 'reef-model stream m' /dev/null
  [ "$status" -eq 2 ]
  [[ "$output" == *"standard output is a terminal"* ]]
  for target in . tcp:nowhere tcp::1 shm:a/b unix: ''; do
    run reef-model stream m -o "$target"
    [ "$status" -eq 2 ] || {
      echo "$target: $status $output"
      return 1
    }
  done
  run reef-model stream nm -o out
  [ "$status" -eq 5 ]
  [ ! -e out ]
}

@test "a reader that closes its end ends the stream with status 1" {
  run --separate-stderr bash -c 'reef-model stream m | head -c 1000 >/dev/null; exit "${PIPESTATUS[0]}"'
  [ "$status" -eq 1 ]
  [[ "$stderr" == *"the reader of standard output closed it after "* ]]
}

# holds_much FD: a pipe has at least 64 KiB in it, as much as it holds by default.
holds_much() {
  python3 -c 'import fcntl, struct, sys, termios
sys.exit(struct.unpack("i", fcntl.ioctl(int(sys.argv[1]), termios.FIONREAD, bytes(4)))[0] < 65536)' "$1"
}

@test "a slow reader holds the stream up and gets all of it" {
  mkfifo pipe
  reef-model stream m -q >pipe &
  exec 9<pipe
  wait_until holds_much 9
  cat <&9 >out
  wait $!
  same_tensors <out
}

# listen KIND: accepts one connection, writes its address to `address` and what it gets to `got`.
listen() {
  python3 - "$1" <<'PY' &
import os, socket, sys
if sys.argv[1] == "unix":
    server = socket.socket(socket.AF_UNIX)
    server.bind("sock")
    address = "unix:sock"
else:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    address = "tcp:127.0.0.1:%d" % server.getsockname()[1]
server.listen()
with open("address.new", "w") as file: file.write(address)
os.rename("address.new", "address")
peer = server.accept()[0]
with open("got", "wb") as file:
    while data := peer.recv(1 << 16):
        file.write(data)
        if sys.argv[1] == "closing": break
PY
  wait_until [ -e address ]
}

@test "unix and tcp sockets are connected to" {
  for kind in unix tcp; do
    rm -f address
    listen "$kind"
    run reef-model stream m -o "$(cat address)"
    [ "$status" -eq 0 ]
    wait
    same_tensors <got
  done
}

@test "a peer that is not there, or goes away, is named" {
  run reef-model stream m -o unix:nobody
  [ "$status" -eq 1 ]
  [[ "$output" == *"connect to unix:nobody: No such file"*"start the reader first"* ]]
  listen closing
  run reef-model stream m -o "$(cat address)"
  wait
  [ "$status" -eq 1 ]
  [[ "$output" == *"the reader of tcp:127.0.0.1:"*" closed it after "* ]]
  run reef-model stream m -o "$(cat address)"
  [ "$status" -eq 1 ]
  [[ "$output" == *"connect to tcp:127.0.0.1:"*": Connection refused"* ]]
}

@test "shared memory stays for its reader, and is not replaced" {
  [ -d /dev/shm ] || skip "needs /dev/shm"
  name="reef-test-$$-$BATS_TEST_NUMBER"
  run reef-model stream m -o "shm:$name"
  [ "$status" -eq 0 ]
  run -2 reef-model stream m -o "shm:$name"
  [[ "$output" == *"shm:$name exists"* ]]
  reef-model stream m -o "shm:$name" --force -q
  same_tensors <"/dev/shm/$name"
  rm "/dev/shm/$name"
  printf x | dd of="$weights" bs=1 seek=3000000 conv=notrunc status=none
  run -4 reef-model stream m -o "shm:$name"
  [ -z "$(find /dev/shm -name "*$name*")" ]
}

@test "a signal ends a stream at once: to a reader that reads nothing, and to a pipe without one" {
  mkfifo pipe
  python3 - <<'PY'
import select, signal, subprocess
signal.signal(signal.SIGINT, signal.default_int_handler)  # bats ignores it for background jobs
stream = subprocess.Popen(["reef-model", "stream", "m", "-q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
select.select([stream.stdout], [], [])
stream.send_signal(signal.SIGINT)
assert stream.wait(60) == -signal.SIGINT, stream.returncode
assert b"interrupted" in stream.stderr.read()
assert b"reef.stream.end" not in stream.stdout.read()
stream = subprocess.Popen(["reef-model", "stream", "m", "-v", "-o", "pipe"], stderr=subprocess.PIPE)
try:
    stream.wait(1)
    raise AssertionError(stream.returncode)
except subprocess.TimeoutExpired:
    stream.send_signal(signal.SIGTERM)
assert stream.wait(60) == -signal.SIGTERM, stream.returncode
PY
}

@test "a full device is an error that names it, and stays a device" {
  [ -c /dev/full ] || skip "needs /dev/full"
  run reef-model stream m -o /dev/full
  [ "$status" -eq 1 ]
  [[ "$output" == *"write /dev/full: No space left on device"* ]]
  [ -c /dev/full ]
  run bash -c 'reef-model stream m >/dev/full'
  [ "$status" -eq 1 ]
  [[ "$output" == *"write standard output: No space left"* ]]
}

@test "a disk without room is named before anything is written" {
  command -v unshare >/dev/null || skip "needs unshare"
  unshare -rm true 2>/dev/null || skip "user namespaces are not allowed here"
  mkdir small
  run unshare -rm sh -c '
    mount -t tmpfs -o size=5M none small
    reef-model stream m -o small/out; status=$?
    REEF_IO=plain reef-model stream m -o small/out
    find small -type f
    exit $status'
  [ "$status" -eq 1 ]
  [[ "$output" == *"bytes for small/out: No space left on device"* ]]
  [[ "$output" == *"write small/out: No space left on device"* ]]
  [[ "$output" != *".tmp"* ]]
}

@test "a damaged chunk ends the stream with status 4, and a live reader is told" {
  printf x | dd of="$weights" bs=1 seek=3000000 conv=notrunc status=none
  run --separate-stderr bash -c 'reef-model stream m | tee out | python3 reader.py 2>said; exit "${PIPESTATUS[0]}"'
  [ "$status" -eq 4 ]
  [[ "$stderr" == *"error: m: model.safetensors, chunk 1 (bytes 2097152-4194303, "*"): sha256 is "*"reef-model verify m"* ]]
  [[ "$(cat said)" == "m: model.safetensors, chunk 1 "* ]]
  run -1 grep -q reef.stream.end out
  run -4 reef-model stream m -o file
  [ ! -e file ]
  [ -z "$(find . -maxdepth 1 -name '.*.tmp')" ]
}

@test "without digests of chunks a stream works and says what is not compared" {
  python3 - "$REEF_ROOT/models/base/m/manifest.json" <<'PY'
import json, sys
manifest = json.load(open(sys.argv[1]))
for file in manifest["files"]: file.pop("chunks_sha256", None)
json.dump(manifest, open(sys.argv[1], "w"))
PY
  run --separate-stderr bash -c 'reef-model stream m >out'
  [ "$status" -eq 0 ]
  [[ "$stderr" == *"warning: m: "*" bytes are sent without being compared"*"reef-model manifest m"* ]]
  same_tensors <out
}

@test "memory is bounded, whatever the size of a tensor" {
  mkdir -p "$REEF_ROOT/models/base/large"
  cd "$REEF_ROOT/models/base/large"
  printf '{"model_type": "test"}' >config.json
  python3 - <<'PY'
import json, os, struct
size = 512 << 20
header = json.dumps({"h.0.w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
open("model.safetensors", "wb").write(struct.pack("<Q", len(header)) + header)
os.truncate("model.safetensors", 8 + len(header) + size)
PY
  reef-model manifest large -q
  # A sanitizer keeps freed memory for a while, and shadows all of it.
  LIMIT=$((1 ${ASAN_OPTIONS:++ 3})) python3 - <<'PY'
import os, resource, subprocess
subprocess.run(["reef-model", "stream", "large", "-q", "-o", "/dev/null"], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
assert peak < int(os.environ["LIMIT"]) * (64 << 10), f"{peak} KiB"
PY
}

# with_segments [KEYS OF THE SECOND]: imports the model with two segments, the second first in the pipeline.
with_segments() {
  cd m
  head -c 3000000 /dev/urandom >first.tflite
  head -c 1000 /dev/urandom >second.tflite
  printf '{"compiler_version": "16.0", "segments": [{"file": "second.tflite"%s}, {"file": "first.tflite", "sha256": "%s"}]}' \
    "${1:-}" "$(sha256sum <first.tflite | cut -c1-64)" >tpu_config.json
  cd - >/dev/null
  reef-model import m --force -q
}

@test "segments are streamed in the order of the pipeline" {
  with_segments
  reef-model stream m --segments -o out -q
  python3 - "$REEF_ROOT/models/base/m" <<'PY'
import json, struct, sys
stream, parts = open("out", "rb"), {}
while head := stream.read(40):
    magic, kind, zero, layer, index, length, offset, xxh3 = struct.unpack("<4sHHIIQQQ", head)
    data = stream.read(length)
    if kind == 1: header = json.loads(data)
    if kind == 3: parts[index] = parts.get(index, b"") + data
assert kind == 4 and header["content"] == "segments"
assert [segment["file"] for segment in header["segments"]] == ["second.tflite", "first.tflite"]
for index, segment in enumerate(header["segments"]):
    assert parts[index] == open(f"{sys.argv[1]}/{segment['file']}", "rb").read()
PY
  run reef-model show m
  [[ "$output" == *"compiler 16.0"*"second.tflite"*"8.00 MiB"*"fits"* ]]
}

@test "segments that are too large, missing or another are refused" {
  run reef-model stream m --segments -o out
  [ "$status" -eq 2 ]
  [[ "$output" == *"m has no segments: there is no tpu_config.json"* ]]
  with_segments ', "parameter_bytes": 8388609'
  run reef-model stream m --segments -o out
  [ "$status" -eq 2 ]
  [[ "$output" == *"segment second.tflite has 8388609 bytes of parameters, an Edge TPU has 8388608 bytes"* ]]
  [ "$(reef-model show m --json | python3 -c '
import json, sys
print([segment["state"] for segment in json.load(sys.stdin)["tpu"]["segments"]])')" = "['too large', 'fits']" ]
  with_segments
  printf x | dd of="$REEF_ROOT/models/base/m/first.tflite" bs=1 seek=2500000 conv=notrunc status=none
  run reef-model stream m --segments -o out
  [ "$status" -eq 4 ]
  [[ "$output" == *"m: first.tflite: sha256 is "*"tpu_config.json says "* ]]
  rm "$REEF_ROOT/models/base/m/second.tflite"
  run reef-model stream m --segments -o out
  [ "$status" -eq 4 ]
  [[ "$output" == *"m: second.tflite: tpu_config.json names this segment, and it is missing"* ]]
  [ ! -e out ]
}
