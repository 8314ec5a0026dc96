#!/usr/bin/env python3
"""reef-model against the safetensors package of Python's registry.

usage: safetensors_package.py REEF_MODEL

Files that the package writes are described alike by reef-model, its extract takes the slices that numpy
takes of them, and every damaged file that the package refuses is refused by reef-model too. Prints a
message and ends with 77 (skipped) when the package or numpy is not installed.
"""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

# The folder of this script must not hide the package that has its name.
sys.path = [p for p in sys.path if os.path.realpath(p or ".") != os.path.dirname(os.path.realpath(__file__))]
try:
    import numpy
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import save_file
except ImportError as missing:
    print(f"skipped: {missing} (python3 -m pip install safetensors numpy)")
    sys.exit(77)


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


def main():
    tool = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        root = str(scratch / "root")
        laid_out = reef(os.path.join(os.path.dirname(tool), "reef-init"), "--root", root)
        check(laid_out.returncode == 0, laid_out.stderr)
        tensors = compare_tables(tool, root, scratch / "table")
        slices = compare_slices(tool, root, scratch / "slices")
        refusals = compare_refusals(tool, root, scratch)
    print(f"safetensors: {tensors} tensors and {slices} slices alike, {refusals} damaged files refused by both")


if __name__ == "__main__":
    main()
