#!/usr/bin/env python3
"""reef's GGUF reader against the gguf package of Python's registry, which belongs to llama.cpp.

usage: gguf_package.py GGUF_PEER [SEED]

Files that the package writes are read alike by both: names, types, shapes, places, values. Of those
files mutated at random, reef accepts exactly what the package reads and no rule of the format
forbids (faults() below; the package checks few of them), and reads the same from it. Prints a
message and ends with 77 (skipped) when the package is not installed.
"""

import itertools
import json
import math
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

# The folder of this script must not hide the package that has its name.
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
try:
    import numpy
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
except ImportError as missing:
    print(f"skipped: {missing} (python3 -m pip install gguf)")
    sys.exit(77)

MUTATIONS = 1500

# Differences of the tables of types:
# - ggml's block_q8_1 has had two float16 beside its 32 bytes since 2024, the package still counts
#   two float32. Files do not hold the type: ggml makes it of activations.
# - Q2_0 came after the package's 0.19.
WRONG_SIZES = {"Q8_1"}
NEWER_TYPES = {"Q2_0"}


def check(truth, about):
    if not truth:
        sys.exit(f"failed: {about}")


def reef_reads(peer, paths):
    done = subprocess.run([peer], input="".join(f"{p}\n" for p in paths), capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    check(len(answers) == len(paths), f"{len(answers)} answers to {len(paths)} files")
    return answers


class BoundedReader(GGUFReader):
    """Up to 0.19, arrays that reach past the end of a file are read as empty ones, 2^63 times."""

    def _get(self, offset, dtype, count=1, override_order=None):
        if int(offset) + numpy.dtype(dtype).itemsize * int(count) > len(self.data):
            raise ValueError("past the end of the file")
        return super()._get(offset, dtype, count, override_order)


def package_reads(path):
    """A reader, or the reason why there is none."""
    try:
        with numpy.errstate(all="ignore"):
            return BoundedReader(path), None
    except (ValueError, KeyError, IndexError, OverflowError, MemoryError, RecursionError) as refused:
        return None, f"{type(refused).__name__}: {refused}"


def keys(reader):
    """The fields of the file; the package adds three of its own before them."""
    return [field for name, field in reader.fields.items() if not name.startswith("GGUF.")]


def elements_of(field):
    """Of an array: the type of its elements, their number, their bytes."""
    return GGUFValueType(int(field.parts[3][0])), int(field.parts[4][0]), b"".join(p.tobytes() for p in field.parts[5:])


def bools(field):
    """The bytes of a bool, or of the bools of an array; of arrays of arrays, the last type is the innermost."""
    if field.types[-1] != GGUFValueType.BOOL:
        return []
    return [field.parts[i].tobytes()[0] for i in field.data]


def faults(reader, content):
    """The rules of the specification and of llama.cpp that a file breaks which the package reads."""
    if reader.byte_order != "I":
        yield "big-endian"
    if reader.alignment < 8:
        yield "alignment is no multiple of 8"
    for field in keys(reader):
        if not re.fullmatch(r"[!-~]{1,65535}", field.name):
            yield f"key {field.name!r}"
        if any(value > 1 for value in bools(field)):
            yield f"{field.name}: a bool that is neither 0 nor 1"
        if field.types == [GGUFValueType.STRING]:
            try:
                field.contents()
            except UnicodeDecodeError:
                yield f"{field.name}: not UTF-8"
        if field.types.count(GGUFValueType.ARRAY) > 8:
            yield f"{field.name}: deep arrays"
    if reader.tensors and reader.data_offset > len(content):
        yield "no data"
    place = int(reader.data_offset)
    for tensor in reader.tensors:
        if not 1 <= len(tensor.name.encode()) <= 64 or "\0" in tensor.name:
            yield f"tensor's name {tensor.name!r}"
        if len(tensor.shape) > 4:
            yield f"{tensor.name}: {len(tensor.shape)} dimensions"
        block, size = GGML_QUANT_SIZES[tensor.tensor_type]
        row = int(tensor.shape[0]) if len(tensor.shape) > 0 else 1
        if row % block != 0:
            yield f"{tensor.name}: part of a block"
        # The package multiplies in 64 bits and does not notice when they overflow.
        extents = [int(extent) for extent in tensor.shape]
        elements = math.prod(extent or 1 for extent in extents)
        if elements >= 2**63 or elements // block * size >= 2**63:
            yield f"{tensor.name}: too large"
        if tensor.data_offset != place:
            yield f"{tensor.name}: at {tensor.data_offset} instead of {place}"
        end = place + (0 if 0 in extents else elements // block * size)
        if end > len(content):
            yield f"{tensor.name}: past the end"
        place = int(reader.data_offset) + -(-(end - int(reader.data_offset)) // int(reader.alignment)) * int(reader.alignment)


def compare_value(field, row, content):
    kind = field.types[0]
    check(row["type"] == kind.name.lower(), f"{field.name}: {row} is {kind.name}")
    if kind == GGUFValueType.ARRAY:
        element, count, raw = elements_of(field)
        check((row["element"], row["count"]) == (element.name.lower(), count), f"{field.name}: {row} is {element} {count}")
        check(content[row["begin"]:row["end"]] == raw, f"{field.name}: the elements lie elsewhere")
    elif kind in (GGUFValueType.FLOAT32, GGUFValueType.FLOAT64):
        number = field.parts[-1].dtype.type(row["text"])
        alike = number == field.parts[-1][0] or math.isnan(number) and math.isnan(field.parts[-1][0])
        check(alike, f"{field.name}: {row['text']} is {field.parts[-1][0]}")
    elif kind == GGUFValueType.BOOL:
        check(row["text"] == str(field.contents()).lower(), f"{field.name}: {row}")
    else:
        check(row["text"] == str(field.contents()), f"{field.name}: {row['text']!r} is {field.contents()!r}")


def compare(reader, header, content, about):
    """Everything that both say of one file."""
    fields = keys(reader)
    check([f.name for f in fields] == [row["key"] for row in header["metadata"]], f"{about}: other keys")
    for field, row in zip(fields, header["metadata"]):
        compare_value(field, row, content)
    check(header["version"] == reader.fields["GGUF.version"].contents(), f"{about}: version")
    check(header["alignment"] == reader.alignment, f"{about}: alignment")
    check([t.name for t in reader.tensors] == [row["name"] for row in header["tensors"]], f"{about}: other tensors")
    for tensor, row in zip(reader.tensors, header["tensors"]):
        check(row["type"] == tensor.tensor_type.name, f"{about}: {row}")
        check(row["shape"] == [int(extent) for extent in reversed(tensor.shape)], f"{about}: {row} {tensor.shape}")
        check(row["begin"] == tensor.data_offset, f"{about}: {row} {tensor.data_offset}")
        if row["type"] not in WRONG_SIZES:
            check(row["end"] - row["begin"] == tensor.n_bytes, f"{about}: {row} {tensor.n_bytes}")
            check(content[row["begin"]:row["end"]] == tensor.data.tobytes(), f"{about}: {row}: other bytes")


def compare_types(peer):
    ours = json.loads(subprocess.run([peer, "--types"], capture_output=True, text=True, check=True).stdout)
    for kind, (elements, size) in GGML_QUANT_SIZES.items():
        expected = {"number": int(kind), "elements": elements, "bytes": size}
        if kind.name in WRONG_SIZES:
            expected["bytes"] = ours[kind.name]["bytes"]
        check(ours.get(kind.name) == expected, f"{kind.name}: {ours.get(kind.name)} is {expected}")
    extra = set(ours) - {kind.name for kind in GGML_QUANT_SIZES} - NEWER_TYPES
    check(not extra, f"types that only reef knows: {extra}")
    return len(ours)


def add_values(writer):
    """Each type of value, and arrays of each."""
    writer.add_uint8("peer.u8", 255)
    writer.add_int8("peer.i8", -128)
    writer.add_uint16("peer.u16", 65535)
    writer.add_int16("peer.i16", -32768)
    writer.add_uint32("peer.u32", 2**32 - 1)
    writer.add_int32("peer.i32", -2**31)
    writer.add_uint64("peer.u64", 2**64 - 1)
    writer.add_int64("peer.i64", -2**63)
    for i, value in enumerate([1e-5, 0.1, -0.0, 3.4028234663852886e38, 1e-45, math.inf, -math.inf, math.nan]):
        writer.add_float32(f"peer.f32.{i}", value)
        writer.add_float64(f"peer.f64.{i}", value)
    writer.add_bool("peer.yes", True)
    writer.add_bool("peer.no", False)
    writer.add_string("general.name", "naïve 名 \U0001f600\n")
    for kind, values in {
        "UINT8": [0, 255], "INT8": [-1, 1], "UINT16": [1, 2, 3], "INT16": [-1], "UINT32": [7] * 9, "INT32": [-7, 7],
        "FLOAT32": [0.5, -1.5], "BOOL": [True, False, True], "UINT64": [2**63], "INT64": [-2**62], "FLOAT64": [0.1],
        "STRING": ["a", "", "é"],
    }.items():
        writer.add_key_value(f"peer.array.{kind.lower()}", values, GGUFValueType.ARRAY, GGUFValueType[kind])
    writer.add_array("peer.nested", [[1, 2], [3]])
    writer.add_token_list([b"piece", b"\xe2\x96", b"<s>"])


def write_samples(folder):
    """What the package writes: values, every type of tensors, other alignments, parts."""
    rng = numpy.random.default_rng(1)
    names = []

    def write(name, fill, **options):
        writer = GGUFWriter(folder / name, "llama", **options)
        fill(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        names.append(folder / name)

    def some_tensors(writer):
        writer.add_tensor("token_embd.weight", rng.standard_normal((3, 5), dtype=numpy.float32))
        writer.add_tensor("blk.0.attn_q.weight", rng.standard_normal((2, 4)).astype(numpy.float16))
        writer.add_tensor("blk.0.ffn_down.weight", rng.integers(0, 255, (2, 144), numpy.uint8),
                          raw_dtype=GGMLQuantizationType.Q4_K)
        writer.add_tensor("blk.1.ffn_down.weight", rng.integers(0, 255, (3, 34), numpy.uint8),
                          raw_dtype=GGMLQuantizationType.Q8_0)
        writer.add_tensor("output_norm.bias", rng.integers(-9, 9, (2, 3, 1, 4), numpy.int8))

    def every_type(writer):
        for kind, (_, size) in GGML_QUANT_SIZES.items():
            if kind.name in WRONG_SIZES:
                continue
            raw = rng.integers(0, 255, (2, 3 * size), numpy.uint8)
            writer.add_tensor(f"of.{kind.name}", raw, raw_dtype=kind)

    def odd_shapes(writer):
        writer.add_tensor("scalar", numpy.array(4.5, dtype=numpy.float32))
        writer.add_tensor("__mark__", numpy.zeros((0,), dtype=numpy.float32))
        writer.add_tensor("empty", numpy.zeros((3, 0), dtype=numpy.int16))
        writer.add_tensor("naïve 名", numpy.arange(6, dtype=numpy.int64).reshape(1, 2, 3))
        writer.add_tensor("n" * 64, numpy.arange(3, dtype=numpy.int32))

    def aligned(alignment):
        def fill(writer):
            writer.add_custom_alignment(alignment)
            some_tensors(writer)
        return fill

    write("values.gguf", add_values)
    write("some.gguf", lambda writer: (add_values(writer), some_tensors(writer)))
    write("types.gguf", every_type)
    write("shapes.gguf", odd_shapes)
    for alignment in (8, 64, 4096):
        write(f"aligned-{alignment}.gguf", aligned(alignment))
    write("part.gguf", some_tensors, split_max_tensors=2)
    names.pop()
    parts = sorted(folder.glob("part-*.gguf"))
    check(len(parts) == 3, f"{parts}")
    return names + parts


def mutate(rng, content, header_bytes):
    """One to three changes, mostly of the header: what a damaged disk or an attacker would write."""
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(4, header_bytes)
        kind = rng.randrange(7)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at] = rng.randrange(256)
        elif kind == 2:  # a number that some field may not be
            width = rng.choice((4, 8))
            value = rng.choice((0, 1, 2, 8, 13, 31, 32, 33, 42, 2**16, 2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 32))
            content[at:at + width] = struct.pack("<Q", value)[:width]
        elif kind == 3:
            del content[at:at + rng.choice((1, 4, 8))]
        elif kind == 4:
            content[at:at] = bytes(rng.choice((1, 4, 8)))
        elif kind == 5:
            del content[rng.randrange(len(content)):]
        else:  # the same bytes twice: keys and names collide, offsets overlap
            length = rng.choice((4, 8, 16))
            source = rng.randrange(4, header_bytes)
            content[at:at + length] = content[source:source + length]
        if len(content) < 32:
            break
        header_bytes = min(header_bytes, len(content))
    return bytes(content)


def compare_mutations(peer, folder, samples, seed):
    rng = random.Random(seed)
    headers = reef_reads(peer, samples)
    paths = []
    for i, (sample, header) in zip(range(MUTATIONS), itertools.cycle(zip(samples, headers))):
        path = folder / f"mutation-{i}"
        path.write_bytes(mutate(rng, sample.read_bytes(), header["data_offset"]))
        paths.append(path)
    accepted = refused_by_rules = 0
    for path, header in zip(paths, reef_reads(peer, paths)):
        content = path.read_bytes()
        about = f"seed {seed}, {path.name}: {header.get('error', 'accepted')}"
        reader, refusal = package_reads(path)
        if reader is None:
            # The one thing that reef reads and the package does not: types newer than it.
            newer = any(row["type"] in NEWER_TYPES for row in header.get("tensors", []))
            check("error" in header or newer, f"{about}; the package: {refusal}")
            continue
        broken = next(faults(reader, content), None)
        if "error" not in header:
            check(broken is None, f"{about}, but it breaks a rule: {broken}")
            compare(reader, header, content, about)
            accepted += 1
        else:
            wrong = any(t.tensor_type.name in WRONG_SIZES for t in reader.tensors)
            check(broken is not None or wrong, f"{about}; the package reads it and no rule forbids it")
            refused_by_rules += 1
    # Mutations that all end in one way would test little.
    check(min(accepted, refused_by_rules) > MUTATIONS / 50, f"{accepted} read alike, {refused_by_rules} by rules alone")
    return accepted, refused_by_rules


def main():
    peer = os.path.abspath(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    types = compare_types(peer)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        samples = write_samples(folder)
        for sample, header in zip(samples, reef_reads(peer, samples)):
            check("error" not in header, f"{sample.name}: {header.get('error')}")
            check(header["trailing_bytes"] == 0, f"{sample.name}: {header['trailing_bytes']} bytes more")
            reader, refusal = package_reads(sample)
            check(reader is not None, f"{sample.name}: {refusal}")
            content = sample.read_bytes()
            check(next(faults(reader, content), None) is None, f"{sample.name}: {list(faults(reader, content))}")
            compare(reader, header, content, sample.name)
        accepted, refused_by_rules = compare_mutations(peer, folder, samples, seed)
    print(f"gguf: {types} types and {len(samples)} files alike; of {MUTATIONS} mutations {accepted} read alike, "
          f"{refused_by_rules} refused by reef's rules alone, the rest by both")


if __name__ == "__main__":
    main()
