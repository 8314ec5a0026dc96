#!/usr/bin/env python3
"""The same index.bin and the same answers on every instruction set and for any number of threads.

usage: index_sets.py INDEX_PEER     (ctest: peers_index_sets)
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

PEER = sys.argv[1]
ROWS, DIM = 1500, 100  # a dimension that leaves a rest in every kernel


def run(isa, threads):
    environment = {name: value for name, value in os.environ.items() if name != "REEF_ISA"}
    if isa:
        environment["REEF_ISA"] = isa
    with tempfile.TemporaryDirectory() as folder:
        answers = subprocess.run([PEER, folder, str(ROWS), str(DIM), str(threads)], env=environment, check=True,
                                 capture_output=True).stdout
        index = pathlib.Path(folder, "index.bin").read_bytes()
    return hashlib.sha256(index).hexdigest(), hashlib.sha256(answers).hexdigest()


expected = run(None, 2)
for isa, threads in ((None, 1), ("avx2", 2), ("baseline", 2), ("baseline", 5)):
    found = run(isa, threads)
    assert found == expected, f"REEF_ISA={isa}, {threads} threads: {found}, not {expected}"
print(f"the same index everywhere: {expected[0]}")
