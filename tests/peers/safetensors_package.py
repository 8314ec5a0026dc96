#!/usr/bin/env python3
"""reef-model against the safetensors package of Python's registry.

usage: safetensors_package.py REEF_MODEL SAFETENSORS_PEER [COUNT [SEED]]

Files that the package writes are described alike by reef-model, its extract takes the slices that numpy
takes of them, and every damaged file that the package refuses is refused by reef-model too. Then COUNT
headers of safetensors_cases.py: what the package refuses, reef refuses; what it accepts, reef reads
alike, but for the classes of FORBIDDEN. Prints a message and ends with 77 (skipped) when the package or
numpy is not installed.
"""

import collections
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

# The folder of this script must not hide the package that has its name.
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != HERE] + [HERE]
try:
    import numpy
    from safetensors import SafetensorError, deserialize, safe_open
    from safetensors.numpy import save_file
except ImportError as missing:
    print(f"skipped: {missing} (python3 -m pip install safetensors numpy)")
    sys.exit(77)

from safetensors_cases import DTYPES, FIELDS, cases

# What the package accepts and the format forbids, with the place that forbids it and what reef says.
# README: of the package's repository, "Format"; schema: docs/safetensors.schema.json there.
FORBIDDEN = {
    # README: "The header data MUST begin with a { character". The package lets writers align data by it.
    "leading white space": "the header does not begin with '{'",
    # README: "Duplicate keys are disallowed." The package keeps the last of them.
    "duplicate tensor": "occurs twice",
    "duplicate metadata key": "occurs twice",
    # schema: additionalProperties false. The package skips them.
    "unknown field": "unknown field",
    # schema: a tensor is an object, a dtype a string. serde also reads structs from arrays, enums from objects.
    "tensor as array": "an object with dtype, shape and data_offsets is expected",
    "dtype as object": "the name of a dtype is expected",
    # README: a string-to-string map. serde reads null as none.
    "metadata is null": "an object of strings is expected",
}


def reef(tool, *arguments):
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


def check(truth, about):
    if not truth:
        sys.exit(f"failed: {about}")


def write_model(folder, content):
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "test"}')
    (folder / "model.safetensors").write_bytes(content)


def compare_tables(tool, root, folder):
    """Every tensor that the package reads is shown with the same type, shape and bytes."""
    rng = numpy.random.default_rng(1)
    arrays = {
        "encoder.layer.0.weight": rng.standard_normal((3, 5), dtype=numpy.float32),
        "encoder.layer.1.weight": rng.standard_normal((7,)).astype(numpy.float16),
        "scalar": numpy.array(4.5),
        "nothing": numpy.zeros((0, 3), dtype=numpy.int8),
        "flags": numpy.array([True, False, True]),
        "wide": numpy.arange(6, dtype=numpy.uint64).reshape(1, 2, 3),
        "naïve 名": numpy.array([1, 2], dtype=numpy.int16),
    }
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "test"}')
    path = folder / "model.safetensors"
    save_file(arrays, path, metadata={"format": "np", "ключ": "значение"})
    imported = reef(tool, "--root", root, "import", str(folder), "--name", "table")
    check(imported.returncode == 0, imported.stderr)
    shown = json.loads(reef(tool, "--root", root, "show", "table", "--tensors", "--json").stdout)
    table = {t["name"]: t for t in shown["tensors"]}
    content = path.read_bytes()
    data = 8 + struct.unpack("<Q", content[:8])[0]
    with safe_open(path, "np") as reader:
        check(set(reader.keys()) == set(table), "the names differ")
        for name in reader.keys():
            view, row = reader.get_slice(name), table[name]
            check(view.get_dtype() == row["dtype"], f"{name}: dtype")
            check(list(view.get_shape()) == row["shape"], f"{name}: shape")
            raw = content[data + row["begin"]:data + row["end"]]
            check(raw == reader.get_tensor(name).tobytes(), f"{name}: bytes")
    return len(table)


def random_slice(rng, shape):
    """A slice as text, of integers, ranges that may reach out of the tensor, and '...'."""
    parts = []
    for size in shape[:rng.integers(1, len(shape) + 1)]:
        low, high = (int(x) for x in rng.integers(-size - 2, size + 3, 2))
        choice = rng.integers(5)
        if choice == 0 and size > 0:
            parts.append(str(int(rng.integers(-size, size))))
        else:
            parts.append([":", f"{low}:", f":{high}", f"{low}:{high}"][choice - 1])
    if rng.integers(4) == 0:
        parts.insert(int(rng.integers(len(parts) + 1)), "...")
    return "[" + ",".join(parts) + "]"


def compare_slices(tool, root, folder):
    """What extract writes is what numpy takes of the same array, type and shape included."""
    rng = numpy.random.default_rng(2)
    arrays = {
        "large": rng.standard_normal((5, 700, 401), dtype=numpy.float32),
        "half": rng.standard_normal((6, 3, 4)).astype(numpy.float16),
        "flags": rng.integers(0, 2, (7, 5)).astype(bool),
        "row": rng.integers(-100, 100, 11).astype(numpy.int8),
        "complex": (rng.standard_normal((4, 4)) * (1 + 2j)).astype(numpy.complex64),
        "nothing": numpy.zeros((3, 0), dtype=numpy.uint16),
    }
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "test"}')
    save_file(arrays, folder / "model.safetensors")
    imported = reef(tool, "--root", root, "import", str(folder), "--name", "slices")
    check(imported.returncode == 0, imported.stderr)
    output = folder / "part.npy"
    count = 0
    for name, array in arrays.items():
        for text in ["", *(random_slice(rng, array.shape) for _ in range(20))]:
            written = reef(tool, "--root", root, "extract", "slices", name + text, "-o", str(output), "--force")
            check(written.returncode == 0, f"{name}{text}: {written.stderr}")
            expected = eval(f"array{text}")  # the text is ours
            found = numpy.load(output)
            check(found.dtype == expected.dtype and found.shape == expected.shape, f"{name}{text}: type or shape")
            check(found.tobytes() == expected.tobytes(), f"{name}{text}: elements")
            count += 1
    return count


def damaged_files():
    def file(header, data=b"\0" * 8):
        header = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(header)) + header + data

    def tensor(dtype="F32", shape=(2,), offsets=(0, 8)):
        return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}

    sound = file({"w": tensor()})
    yield "cut", sound[:-1]
    yield "trailing", sound + b"x"
    yield "short", sound[:5]
    yield "length", struct.pack("<Q", 1 << 40) + sound[8:]
    yield "not-json", file(b"{nonsense")
    yield "no-object", file(b"[]")
    yield "bad-utf8", file(b'{"\xff":1}')
    yield "shape", file({"w": tensor(shape=(3,))})
    yield "overflow", file({"w": tensor(shape=(1 << 62, 1 << 62))})
    yield "dtype", file({"w": tensor(dtype="F31")})
    yield "offsets", file({"w": tensor(offsets=(8, 0))})
    yield "hole", file({"a": tensor("U8", (3,), (0, 3)), "b": tensor("U8", (4,), (4, 8))})
    yield "overlap", file({"a": tensor("U8", (5,), (0, 5)), "b": tensor("U8", (4,), (4, 8))})


def compare_refusals(tool, root, scratch):
    """What the package refuses, reef refuses: status 4, naming the file."""
    count = 0
    for name, content in damaged_files():
        folder = scratch / name
        write_model(folder, content)
        try:
            with safe_open(folder / "model.safetensors", "np"):
                sys.exit(f"failed: the package accepts '{name}'")
        except SafetensorError:
            pass
        refused = reef(tool, "--root", root, "import", str(folder))
        check(refused.returncode == 4, f"{name}: status {refused.returncode}: {refused.stderr}")
        check("model.safetensors: byte " in refused.stderr, f"{name}: {refused.stderr}")
        count += 1
    return count


def package_dtypes():
    """All that the package knows, from its own complaint about another."""
    header = b'{"w":{"dtype":"?","shape":[],"data_offsets":[0,0]}}'
    try:
        deserialize(struct.pack("<Q", len(header)) + header)
    except SafetensorError as error:
        return set(re.findall(r"`(\w+)`", str(error)))
    return sys.exit("failed: the package accepts the dtype '?'")


class Pairs(list):
    """A JSON object as read, with its duplicates."""


def header_of(content):
    length, = struct.unpack("<Q", content[:8])
    return content[8:8 + length], content[8 + length:]


def forbidden_classes(header):
    """The classes of FORBIDDEN that are in a header which the package accepts."""
    def twice(pairs):
        return len({key for key, _ in pairs}) < len(pairs)

    text = header.decode()
    pairs = json.loads(text, object_pairs_hook=Pairs)
    found = {"leading white space"} if text[0] != "{" else set()
    if twice(pairs):
        found.add("duplicate tensor")
    for name, value in pairs:
        if name == "__metadata__":
            if value is None:
                found.add("metadata is null")
            elif twice(value):
                found.add("duplicate metadata key")
            continue
        if not isinstance(value, Pairs):
            found.add("tensor as array")
        elif any(key not in FIELDS for key, _ in value):
            found.add("unknown field")
        dtypes = [v for k, v in value if k == "dtype"] if isinstance(value, Pairs) else value[:1]
        if any(not isinstance(dtype, str) for dtype in dtypes):
            found.add("dtype as object")
    return found


def check_read_alike(case, content, tensors, verdict):
    """Tensors and metadata of an accepted file: `tensors` as the package has them, `verdict` as the peer printed it."""
    header, data = header_of(content)
    rows, metadata = [], {}
    for word in verdict.split(" ")[1:]:
        if "=" in word:
            key, value = (bytes.fromhex(part).decode() for part in word.split("="))
            metadata[key] = value
        else:
            name, dtype, shape, begin, end = word.split(":")
            rows.append((bytes.fromhex(name).decode(), dtype, [int(size) for size in shape.split(",") if size],
                         data[int(begin):int(end)]))
    expected = sorted((name, t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in tensors)
    check(sorted(rows) == expected, f"case {case}, {content!r}: reef reads {rows}, the package {expected}")
    stated = json.loads(header).get("__metadata__", {})
    check(metadata == stated, f"case {case}, {content!r}: reef reads the metadata {metadata}")


def compare_verdicts(peer, scratch, count, seed):
    unknown = package_dtypes() - set(DTYPES)
    check(not unknown, f"the package knows dtypes that safetensors_cases.py does not: {sorted(unknown)}")
    contents = list(cases(random.Random(seed), count, package_dtypes()))
    path = scratch / "cases"
    path.write_bytes(b"".join(struct.pack("<Q", len(content)) + content for content in contents))
    ran = subprocess.run([peer, path], capture_output=True, text=True, check=False)
    check(ran.returncode == 0, f"the peer ends with {ran.returncode}: {ran.stderr}")
    verdicts = ran.stdout.splitlines()
    check(len(verdicts) == count, f"{count} cases, {len(verdicts)} verdicts")
    counts = collections.Counter()
    for case, (content, verdict) in enumerate(zip(contents, verdicts)):
        about = f"case {case}, {content!r}: reef: {verdict}; the package "
        try:
            tensors = deserialize(content)
        except SafetensorError as error:
            check(verdict.startswith("refused case: byte "), f"{about} refuses: {error}")
            counts["refused"] += 1
            continue
        classes = forbidden_classes(header_of(content)[0])
        if not classes:
            check(verdict.startswith("accepted"), about + "accepts")
            check_read_alike(case, content, tensors, verdict)
            counts["accepted"] += 1
            continue
        check(verdict.startswith("refused case: byte "), f"{about} accepts, against the rule: {classes}")
        told = [name for name in classes if FORBIDDEN[name] in verdict]
        # Of a tensor that occurs twice the package reads only the last, so the first may break any rule.
        check(told or "duplicate tensor" in classes, f"{about} accepts, against the rule: {classes}")
        counts.update(told)
    for name in ["accepted", "refused", *FORBIDDEN]:
        check(counts[name] or count < 10000, f"none of {count} cases is of the class '{name}'")
    return counts


def main():
    tool, peer = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 20000
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        root = str(scratch / "root")
        laid_out = reef(os.path.join(os.path.dirname(tool), "reef-init"), "--root", root)
        check(laid_out.returncode == 0, laid_out.stderr)
        tensors = compare_tables(tool, root, scratch / "table")
        slices = compare_slices(tool, root, scratch / "slices")
        refusals = compare_refusals(tool, root, scratch)
        counts = compare_verdicts(peer, scratch, count, seed)
    print(f"safetensors: {tensors} tensors and {slices} slices alike, {refusals} damaged files refused by both")
    print(f"{count} headers: " + ", ".join(f"{number} {name}" for name, number in counts.most_common()))


if __name__ == "__main__":
    main()
