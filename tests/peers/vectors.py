#!/usr/bin/env python3
"""numpy opens every vector file that reef writes, and reef every matrix that numpy writes.

usage: vectors.py VECTORS_PEER     (ctest: peers_vectors; status 77, skipped, without numpy)
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: numpy is not installed (python3 -m pip install numpy)")
    sys.exit(77)

PEER = sys.argv[1]
DIM = 24
CODES = np.dtype([("scale", "<f4"), ("code", "i1", (DIM,))])


def peer(*arguments):
    return subprocess.run([PEER, *map(str, arguments)], capture_output=True, text=True)


def run(*arguments):
    result = peer(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


def check_store(folder, rows):
    expected = os.path.join(folder, "expected.npy")
    run("embed", expected, rows)
    truth = np.load(expected)
    assert truth.shape == (rows, DIM) and truth.dtype == np.dtype("<f4"), (truth.shape, truth.dtype)
    for mode in (None, "r"):
        vectors = np.load(os.path.join(folder, "vectors.npy"), mmap_mode=mode)
        codes = np.load(os.path.join(folder, "codes.npy"), mmap_mode=mode)
        assert vectors.dtype == np.dtype("<f4") and vectors.shape == (rows, DIM)
        assert vectors.flags.c_contiguous and vectors.flags.aligned
        assert (vectors == truth).all()
        assert codes.dtype == CODES and codes.shape == (rows,), (codes.dtype, codes.shape)
        scale = np.abs(truth).max(axis=1) / np.float32(127)
        assert (codes["scale"] == scale).all()
        assert (codes["code"] == np.rint(truth / scale[:, None])).all()
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    assert config["schema"] == "reef.vectors.config/1" and config["rows"] == rows and config["dim"] == DIM
    for name in config["files"].values():
        assert os.path.exists(os.path.join(folder, name)), name


def check_data_offset(path):
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        assert version == (1, 0), version
        np.lib.format.read_array_header_1_0(file)
        assert file.tell() % 64 == 0, file.tell()


def check_numpy_files(folder):
    path = os.path.join(folder, "numpy.npy")
    matrix = np.random.default_rng(1).standard_normal((7, DIM)).astype("<f4")
    for version in ((1, 0), (2, 0), (3, 0)):
        with open(path, "wb") as file:
            np.lib.format.write_array(file, matrix, version=version)
        rows, dim, total = run("read", path).split()
        assert (int(rows), int(dim)) == matrix.shape
        assert abs(float(total) - matrix.sum(dtype=np.float64)) < 1e-4
    for other in (matrix.astype("<f8"), matrix.astype("<f2"), matrix.astype(">f4"), np.asfortranarray(matrix), matrix[0]):
        np.save(path, other)
        result = peer("read", path)
        assert result.returncode == 1 and "numpy.npy" in result.stderr, (other.dtype, result)


with tempfile.TemporaryDirectory() as scratch:
    run("store", scratch, 9)
    before = np.load(os.path.join(scratch, "vectors.npy"), mmap_mode="r")
    copy = before.copy()
    check_store(scratch, 9)
    run("store", scratch, 1)  # one more digit
    run("store", scratch, 290)
    check_store(scratch, 300)
    assert (before == copy).all()  # who had the file open keeps what was there
    for file_name in ("vectors.npy", "codes.npy", "expected.npy"):
        check_data_offset(os.path.join(scratch, file_name))
    check_numpy_files(scratch)
print(f"numpy {np.__version__}: ok")
