"""reef's graph beside hnswlib and FAISS (both from Python's registry) on the same vectors, in one run.

    index_peers.py BENCH_INDEX FOLDER [--rows 125000] [--dim 384] [--shape manifold|clusters] [--queries 1000]
                   [--faiss-bench FAISS_BENCH [--faiss-build]]

Makes the vectors in FOLDER (kept for the next run), builds and searches with every side in a process of its own, and
prints one JSON line a measurement, then the ratios. M = 32, efConstruction = 200, one thread a query.
Needs: numpy hnswlib faiss-cpu.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

WIDTHS = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]


def make_vectors(shape, rows, dim):
    """Unit rows. manifold: tanh of a random map from 48 dimensions, hard for a graph and near to text embeddings;
    clusters: 1,000 Gaussian centres."""
    import numpy as np
    random = np.random.default_rng(2)
    latent, hidden, centres = 48, 256, 1000
    first = random.standard_normal((latent, hidden), dtype=np.float32) * (1.2 / latent ** .5)
    second = random.standard_normal((hidden, dim), dtype=np.float32) / hidden ** .5
    middle = random.standard_normal((centres, dim), dtype=np.float32)
    out = np.empty((rows, dim), dtype=np.float32)
    for begin in range(0, rows, 10000):
        count = min(10000, rows - begin)
        if shape == "clusters":
            block = middle[random.integers(0, centres, count)] + .7 * random.standard_normal((count, dim), dtype=np.float32)
        else:
            z = random.standard_normal((count, latent), dtype=np.float32)
            block = np.tanh(z @ first) @ second + .05 * random.standard_normal((count, dim), dtype=np.float32)
        out[begin:begin + count] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return out


def recall(truth, found):
    return sum(len(set(a) & set(b)) for a, b in zip(truth.tolist(), found.tolist())) / truth.size


def exact(vectors, queries):
    import numpy as np
    return np.argpartition(-(queries @ vectors.T), 10, axis=1)[:, :10]


def searched(name, queries, truth, search, set_width):
    import numpy as np
    for width in WIDTHS:
        set_width(width)
        found, times = [], []
        for query in queries:
            begin = time.thread_time()
            ids = search(query[None, :])
            times.append(1e3 * (time.thread_time() - begin))
            found.append(ids[0])
        times.sort()
        print(json.dumps({"peer": name, "what": "search", "ef": width, "recall": round(recall(truth, np.array(found)), 4),
                          "p50_ms": round(times[len(times) // 2], 4), "p99_ms": round(times[len(times) * 99 // 100], 4)}), flush=True)


def run_peer(name, prefix, threads):
    """In a process of its own: what it builds must not be in anybody else's memory."""
    import numpy as np
    vectors, queries = np.load(prefix + ".vectors.npy"), np.load(prefix + ".queries.npy")
    truth = exact(vectors, queries)
    begin, wall = time.process_time(), time.perf_counter()
    if name == "hnswlib":
        import hnswlib
        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=32, ef_construction=200, random_seed=100)
        index.add_items(vectors, num_threads=threads)
        index.set_num_threads(1)
        search, set_width = (lambda q: index.knn_query(q, k=10)[0]), index.set_ef
    else:
        import faiss
        faiss.omp_set_num_threads(threads)
        index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 200
        index.add(vectors)
        faiss.omp_set_num_threads(1)
        faiss.write_index(index, prefix + ".faiss.bin")

        def set_width(width):
            index.hnsw.efSearch = width
        search = lambda q: index.search(q, 10)[1]
    print(json.dumps({"peer": name, "what": "build", "cpu_seconds": round(time.process_time() - begin, 2),
                      "seconds": round(time.perf_counter() - wall, 2)}), flush=True)
    searched(name, queries, truth, search, set_width)


def process(argv, runs=21):
    """Median wall milliseconds of fresh processes that answer one question, and the peak of memory that they tell."""
    times, peak = [], 0
    for _ in range(runs):
        begin = time.perf_counter()
        out = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        times.append(1e3 * (time.perf_counter() - begin))
        peak = max(peak, json.loads(out)["peak_kib"])
    times.sort()
    return {"median_ms": round(times[len(times) // 2], 2), "peak_kib": peak}


def lines_of(argv):
    out = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    sys.stdout.write(out)
    sys.stdout.flush()
    return [json.loads(line) for line in out.splitlines()]


def at_recall(rows, wanted):
    """The least time per question that reaches the recall."""
    return min((r["p50_ms"] for r in rows if r["what"] == "search" and r["recall"] >= wanted), default=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=125_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--shape", choices=["manifold", "clusters"], default="manifold")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--recall", type=float, default=.98)
    parser.add_argument("--faiss-bench", help="tests/peers/faiss_bench, which is Debian's FAISS; without it that is left out")
    parser.add_argument("--faiss-build", action="store_true", help="let it build, too: minutes for 20,000 rows")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    prefix = str(arguments.folder / f"{arguments.shape}-{arguments.rows}-{arguments.dim}")
    if arguments.peer:
        return run_peer(arguments.peer, prefix, arguments.threads)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not os.path.exists(prefix + ".queries.npy"):
        import numpy as np
        made = make_vectors(arguments.shape, arguments.rows + arguments.queries, arguments.dim)
        np.save(prefix + ".vectors.npy", made[:arguments.rows])
        np.save(prefix + ".queries.npy", made[arguments.rows:])
    own = lines_of([arguments.bench, "build", prefix, str(arguments.threads)]) + lines_of([arguments.bench, "search", prefix])
    peers = {name: lines_of([sys.executable, __file__, arguments.bench, str(arguments.folder), "--rows", str(arguments.rows),
                             "--dim", str(arguments.dim), "--shape", arguments.shape, "--threads", str(arguments.threads),
                             "--peer", name]) for name in ("hnswlib", "faiss")}
    mine = process([arguments.bench, "one", prefix])
    debian = process([arguments.faiss_bench, "one", prefix]) if arguments.faiss_bench else None
    debian_build = lines_of([arguments.faiss_bench, "build", prefix])[0] if arguments.faiss_build else None
    best = {name: at_recall(rows, arguments.recall) for name, rows in peers.items()}
    known = [ms for ms in best.values() if ms]
    reached = at_recall([r for r in own if r.get("in_float")], arguments.recall)
    print(json.dumps({
        "what": "ratios", "shape": arguments.shape, "rows": arguments.rows, "dim": arguments.dim,
        "build_cpu_to_hnswlib": round(own[0]["cpu_seconds"] / peers["hnswlib"][0]["cpu_seconds"], 3),
        "build_cpu_to_faiss_float": round(own[0]["cpu_seconds"] / peers["faiss"][0]["cpu_seconds"], 3),
        f"p50_at_{arguments.recall}_ms": reached, "peers_ms": best,
        "p50_to_better_peer": round(reached / min(known), 3) if reached and known else None,
        "process": mine, "faiss_process": debian,
        "process_to_faiss": round(mine["median_ms"] / debian["median_ms"], 4) if debian else None,
        "memory_to_faiss": round(mine["peak_kib"] / debian["peak_kib"], 3) if debian else None,
        "build_cpu_to_faiss_codes": round(own[0]["cpu_seconds"] / debian_build["cpu_seconds"], 4) if debian_build else None,
        "file_to_faiss_float": round(os.path.getsize(prefix + ".index.bin") / os.path.getsize(prefix + ".faiss.bin"), 3)}))
    return 0


sys.exit(main())
