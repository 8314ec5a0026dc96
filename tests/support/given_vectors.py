"""Vectors of another program: a .npy file and the JSON Lines beside it, without NumPy.

    given_vectors.py ROWS DIM PREFIX [--kind f4|f2] [--from I] [--stretch FACTOR] [--word WORD] [--seed N]

Writes PREFIX.npy (random unit rows, times FACTOR) and PREFIX.jsonl with ids "v<I>", … and texts that name their number.
"""
import argparse
import array
import json
import random
import struct
import sys


def write_npy(path, rows, dim, kind="f4"):
    """`rows`: an iterable of sequences of dim floats, counted beforehand: (count, iterable)."""
    count, values = rows
    header = "{'descr': '<%s', 'fortran_order': False, 'shape': (%d, %d), }" % (kind, count, dim)
    header += " " * (-(len(header) + 11) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        for row in values:
            file.write(array.array("f", row).tobytes() if kind == "f4" else struct.pack("<%de" % dim, *row))


def unit_row(generator, dim, factor=1.0):
    row = [generator.gauss(0, 1) for _ in range(dim)]
    length = sum(x * x for x in row) ** .5
    return [factor * x / length for x in row]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("dim", type=int)
    parser.add_argument("prefix")
    parser.add_argument("--kind", choices=("f4", "f2"), default="f4")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--stretch", type=float, default=1.0)
    parser.add_argument("--word", default="harbour")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    # One generator a row, so that row i is the same in every file.
    rows = (unit_row(random.Random(a.seed * 1_000_003 + i), a.dim, a.stretch) for i in range(a.first, a.first + a.rows))
    write_npy(a.prefix + ".npy", (a.rows, rows), a.dim, a.kind)
    with open(a.prefix + ".jsonl", "w") as file:
        for i in range(a.first, a.first + a.rows):
            file.write(json.dumps({"id": f"v{i}", "title": f"Title {i}", "text": f"Text number{i} about the {a.word}.", "tags": ["given"]}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
