#!/usr/bin/env bats
# The tensors of models on the command line: extract, diff, duplicates. REEF_BIN is the folder of the executables.

bats_require_minimum_version 1.5.0

setup() {
  export LC_ALL=C
  PATH="${REEF_BIN:?set REEF_BIN to the folder of the executables}:$PATH"
  cd "$BATS_TEST_TMPDIR"
  export REEF_ROOT="$PWD/root"
  reef-init --quiet
}

# field KEY < JSON
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# make_grid_model FOLDER: an unaligned file whose tensor "grid" is 0 to 11 in three rows.
make_grid_model() {
  mkdir -p "$1"
  printf '{"model_type": "test"}' >"$1/config.json"
  python3 - "$1/model.safetensors" <<'PY'
import json, struct, sys
header = json.dumps({"flag": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
                     "grid": {"dtype": "I32", "shape": [3, 4], "data_offsets": [1, 49]},
                     "brain": {"dtype": "BF16", "shape": [2], "data_offsets": [49, 53]}}).encode()
data = b"\1" + struct.pack("<12i", *range(12)) + struct.pack("<2H", 0x3F80, 0xC000)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(header)) + header + data)
PY
}

# numbers FORMAT < BYTES: as Python's struct reads them.
numbers() { python3 -c 'import struct, sys; print(*[x[0] for x in struct.iter_unpack(sys.argv[1], sys.stdin.buffer.read())])' "$1"; }

@test "extract writes a slice as .npy, as raw bytes, and to a pipe" {
  make_grid_model grid
  reef-model import grid -q
  run reef-model extract grid 'grid[1:,-1]' -o column.npy
  [ "$status" -eq 0 ]
  [ "$output" = 'wrote column.npy: grid[1:,-1], I32 2, 8 B' ]
  [ "$(tail -c 8 column.npy | numbers '<i')" = '7 11' ]
  head -c 128 column.npy | tr -d '\0' | grep -aqF "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }"
  reef-model extract grid 'grid[0:2,1:3]' -o block.bin -q
  [ "$(numbers '<i' <block.bin)" = '1 2 5 6' ]
  [ "$(reef-model extract grid grid -o - | numbers '<i')" = '0 1 2 3 4 5 6 7 8 9 10 11' ]
  [ "$(reef-model extract grid brain -o b.npy --json | field converted_to)" = float32 ]
  [ "$(tail -c 8 b.npy | numbers '<f')" = '1.0 -2.0' ]
  [ -z "$(find . -maxdepth 1 -name '.*.tmp')" ]
}

@test "extract agrees with numpy" {
  python3 -c 'import numpy' 2>/dev/null || skip 'no numpy here'
  make_grid_model grid
  reef-model import grid -q
  for slice in '[:]' '[0]' '[-1]' '[:,3]' '[1:,-1:]' '[0:99,2:1]' '[...,1]' '[2,3]' '[0:2,1:3]'; do
    reef-model extract grid "grid$slice" -o part.npy -q --force
    python3 -c "
import numpy
expected = numpy.arange(12, dtype='<i4').reshape(3, 4)$slice
found = numpy.load('part.npy')
assert found.dtype == expected.dtype and numpy.array_equal(found, expected), (found, expected)"
  done
}

@test "extract refuses unknown tensors, bad slices, outputs that exist and full disks" {
  make_grid_model grid
  reef-model import grid -q
  run reef-model extract grid 'gird[0]' -o a.npy
  [ "$status" -eq 5 ]
  [[ "$output" == *"grid has no tensor 'gird', did you mean 'grid'?"* ]]
  run reef-model extract gird grid -o a.npy
  [ "$status" -eq 5 ]
  run reef-model extract grid 'grid[0,x]' -o a.npy
  [ "$status" -eq 2 ]
  [[ "$output" == *"the slice '[0,x]' has neither an integer nor 'begin:end' here (character 4)"* ]]
  [[ "$output" == *"hint: "*"3 x 4"* ]]
  run reef-model extract grid 'grid[3]' -o a.npy
  [ "$status" -eq 2 ]
  [ ! -e a.npy ]
  run reef-model extract grid grid
  [ "$status" -eq 2 ]
  echo mine >a.npy
  run reef-model extract grid grid -o a.npy
  [ "$status" -eq 2 ]
  [[ "$output" == *"--force"* ]]
  [ "$(cat a.npy)" = mine ]
  run reef-model extract grid grid -o /dev/full
  [ "$status" -eq 2 ]
  [ -c /dev/full ]
  run reef-model extract grid grid -o absent/a.npy
  [ "$status" -eq 2 ]
  run bash -c 'reef-model extract grid grid -o - >/dev/full'
  [ "$status" -eq 1 ]
  [[ "$output" == *"stdout: No space left on device"* ]]
  run reef-model extract grid grid -o - --json
  [ "$status" -eq 2 ]
  run script -qec 'reef-model extract grid grid -o -' /dev/null
  [ "$status" -eq 2 ]
  [[ "$output" == *"stdout is a terminal"* ]]
}

@test "a model whose name two kinds share is named with its folder" {
  make_grid_model grid
  reef-model import grid -q
  reef-model import grid -q --kind quantized
  run reef-model extract grid grid -o a.bin
  [ "$status" -eq 2 ]
  [[ "$output" == *"hint: say 'base/grid' or 'quantized/grid'"* ]]
  reef-model extract quantized/grid 'grid[0,0:2]' -o a.bin -q
  [ "$(numbers '<i' <a.bin)" = '0 1' ]
}

@test "diff ends with 0 for equal models and 4 for others, and tells what differs" {
  make_grid_model grid
  reef-model import grid -q
  reef-model import grid -q --name copy
  run reef-model diff grid copy
  [ "$status" -eq 0 ]
  [[ "$output" == "grid and copy are the same: 3 identical tensors "* ]]
  printf '\007' | dd of=grid/model.safetensors bs=1 seek=$(($(stat -c %s grid/model.safetensors) - 5)) conv=notrunc status=none
  echo '{"model_type": "other"}' >grid/config.json
  reef-model import grid -q --name changed
  run reef-model diff grid changed
  [ "$status" -eq 4 ]
  [[ "$output" == *"tensor  grid "*"1 of 12 elements"* ]]
  [[ "$output" == *"file    config.json  differs"* ]]
  [[ "$output" == *"2 identical tensors "* ]]
  run --separate-stderr reef-model diff grid changed --json
  [ "$status" -eq 4 ]
  [ -z "$stderr" ]
  [ "$(field schema <<<"$output")" = reef.model.diff/1 ]
  [ "$(field identical <<<"$output")" = False ]
  run reef-model diff grid changed -q
  [ "$status" -eq 4 ]
  [ -z "$output" ]
}

@test "diff trusts the manifests, and with --read nothing but bytes" {
  make_grid_model grid
  reef-model import grid -q
  reef-model import grid -q --name copy
  printf '\377' | dd of="$REEF_ROOT/models/base/copy/model.safetensors" bs=1 seek=$(($(stat -c %s grid/model.safetensors) - 1)) conv=notrunc status=none
  reef-model diff grid copy -q
  run reef-model diff grid copy --read
  [ "$status" -eq 4 ]
  [[ "$output" == *"brain"*"1 of 2 elements"* ]]
  run reef-model diff grid cpoy
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean 'copy'?"* ]]
  run reef-model diff grid
  [ "$status" -eq 2 ]
}

@test "duplicates groups equal tensors and files, names personas, and leaves small ones out" {
  reef-init --quiet --persona alice
  make_grid_model grid
  reef-model import grid -q
  mv grid/config.json grid/adapter_config.json
  reef-model import grid -q --name hers --persona alice
  printf '\007' | dd of=grid/model.safetensors bs=1 seek=$(($(stat -c %s grid/model.safetensors) - 1)) conv=notrunc status=none
  reef-model import grid -q --name changed
  run reef-model duplicates
  [ "$status" -eq 0 ]
  [[ "$output" == "3 models with 0 tensors of at least 4.00 KiB: 0 groups "* ]]
  run reef-model duplicates --min-size 40
  [ "$status" -eq 0 ]
  [[ "${lines[1]}" == *"file model.safetensors"*"grid, hers (alice)" ]]
  [[ "${lines[2]}" == *"48 B  "*"3  grid "*"grid, changed, hers (alice)" ]]
  run reef-model duplicates --min-size 40 --json
  python3 -c '
import json, sys
report = json.load(sys.stdin)
(group,) = report["tensors"]
assert group["bytes"] == group["saved_bytes"] == 48 and group["shape"] == [3, 4], group
assert {(c["model"], c["persona"]) for c in group["copies"]} == {("grid", None), ("hers", "alice"), ("changed", None)}
assert report["saved_bytes"] == 48 + report["files"][0]["saved_bytes"], report' <<<"$output"
}

@test "duplicates names what it leaves out, and ends with 3" {
  make_grid_model grid
  reef-model import grid -q
  mkdir "$REEF_ROOT/models/base/bare"
  run reef-model duplicates
  [ "$status" -eq 3 ]
  [[ "$output" == *"warning: bare is left out: there is no manifest.json"* ]]
  run reef-model duplicates grdi
  [ "$status" -eq 5 ]
  [[ "$output" == *"did you mean 'grid'?"* ]]
  run reef-model duplicates --min-size 4M
  [ "$status" -eq 2 ]
}

@test "what a killed extract left goes with the next one to that file, unless a process has it open" {
  make_grid_model grid
  reef-model import grid -q
  touch .a.bin.stale1.tmp .a.bin.open12.tmp .b.bin.stale1.tmp
  exec 9>>.a.bin.open12.tmp
  reef-model extract grid grid -o a.bin -q 9>&-
  [ ! -e .a.bin.stale1.tmp ]
  [ -e .a.bin.open12.tmp ]
  [ -e .b.bin.stale1.tmp ]
  exec 9>&-
  reef-model stream grid -o a.bin --force -q
  [ ! -e .a.bin.open12.tmp ]
}
