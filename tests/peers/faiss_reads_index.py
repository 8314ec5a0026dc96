#!/usr/bin/env python3
"""FAISS's current Python package reads index.bin as its own, and finds in it what reef finds.

usage: faiss_reads_index.py INDEX_PEER     (ctest: peers_faiss; status 77, skipped, without faiss and numpy)

FAISS multiplies codes by the question in float, reef by 15 bits of it: an id differs where scores tie.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import faiss
    import numpy as np
except ImportError:
    print("skipped: faiss is not installed (python3 -m pip install faiss-cpu)")
    sys.exit(77)

PEER = sys.argv[1]
ROWS, EF, RESULTS = 3000, 64, 10


def share(found, truth):
    """Of the ids of `truth`, how many `found` has."""
    return np.mean([len(set(f) & set(t)) / len(t) for f, t in zip(found, truth)])


def check_codes(index, vectors):
    quantiser = faiss.downcast_index(index.storage).sq
    trained = faiss.vector_to_array(quantiser.trained)
    assert quantiser.qtype == faiss.ScalarQuantizer.QT_8bit and trained.size == 2 * vectors.shape[1]
    step = trained[-1] / 255
    decoded = index.reconstruct_n(0, len(vectors))
    whole = (vectors <= 127.5 * step) & (vectors >= -128.5 * step)
    assert whole.mean() > .999
    assert np.abs(decoded - vectors)[whole].max() <= step / 2 * 1.0001
    assert np.abs(decoded[~whole]).min(initial=1) >= 126.9 * step
    return step


def compare(folder, dim):
    ours = json.loads(subprocess.run([PEER, folder, str(ROWS), str(dim), "2"], check=True, capture_output=True).stdout)
    vectors, queries = (np.load(os.path.join(folder, name)) for name in ("vectors.npy", "queries.npy"))
    index = faiss.read_index(os.path.join(folder, "index.bin"))
    assert isinstance(index, faiss.IndexHNSW), type(index)
    assert (index.d, index.ntotal, index.metric_type) == (dim, ROWS, faiss.METRIC_INNER_PRODUCT)
    assert index.is_trained and index.hnsw.efSearch == EF and index.hnsw.efConstruction == 200
    assert index.hnsw.nb_neighbors(0) == 64 and index.hnsw.nb_neighbors(1) == 32
    step = check_codes(index, vectors)

    theirs = index.search(queries, RESULTS)[1]
    exact = queries @ vectors.T
    truth = np.argsort(-exact, axis=1, kind="stable")[:, :RESULTS]
    agreement, recall, faiss_recall = share(ours, theirs), share(ours, truth), share(theirs, truth)
    apart = [0.]  # exact scores of an id that one found and of the one that the other found in its place
    for scores, a, b in zip(exact, ours, theirs):
        only_ours, only_theirs = (np.sort(scores[list(ids)]) for ids in (set(a) - set(b), set(b) - set(a)))
        apart.extend(np.abs(only_ours - only_theirs))
    print(f"{ROWS} x {dim}: {agreement:.2%} of ids equal, recall@10 {recall:.4f}, FAISS {faiss_recall:.4f}; where ids "
          f"differ, exact scores are at most {max(apart):.5f} apart (one step of codes: {step:.5f})")
    assert agreement >= .999 and abs(recall - faiss_recall) <= .01 and max(apart) <= 2 * step


for dim in (64, 100):
    with tempfile.TemporaryDirectory() as scratch:
        compare(scratch, dim)
print(f"faiss {faiss.__version__}: ok")
