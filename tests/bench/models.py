#!/usr/bin/env python3
"""Verifying, loading and streaming a large model, beside what the drive gives and what others do with it.

    models.py BIN_DIR FOLDER [--bytes N] [--rounds N] [--memory DIR] [--one-tensor]

FOLDER, on the drive that is measured, gets two models (--bytes each, default 4 GB) and a tree, which stay for the next
run. The model cache, and what peers copy into memory, lie on a tmpfs of huge pages that is mounted in FOLDER for the run,
as on a tower; DIR is another one, for who may not mount. In each round everything runs in turn as whole processes;
files are thrown out of memory before what is called cold. Prints a JSON line for each with median and best GB/s, and its
ratio to fio (median to median; to the peer named where that is another one).

With --one-tensor, instead: what 'stream' to a pipe and 'repack' hold of one tensor of --bytes (default 2 GB), as the
largest resident size in KiB. Its file has holes, so that it takes no space until it is repacked.

Needs fio; openssl, and Python's safetensors and numpy, for peers.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import time

TENSORS = 84


def make_model(folder, size, seed):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    each = size // TENSORS // 4096 * 4096
    kinds = ("self_attn.qkv", "mlp.up", "mlp.down")
    header = {f"model.layers.{i // 3}.{kinds[i % 3]}.weight":
              {"dtype": "F16", "shape": [each // 2048, 1024], "data_offsets": [i * each, (i + 1) * each]} for i in range(TENSORS)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        block = bytearray(os.urandom(1 << 24))
        for at in range(0, each * TENSORS, len(block)):
            struct.pack_into("<QQ", block, 0, at, seed)
            out.write(block[:min(len(block), each * TENSORS - at)])


def drop(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def read_through(path):
    with open(path, "rb", buffering=0) as file:
        block = bytearray(1 << 24)
        while file.readinto(block):
            pass


def fio(path):
    out = subprocess.run(["fio", "--name=r", "--readonly", "--rw=read", "--direct=1", "--ioengine=io_uring", "--bs=2M", "--iodepth=8",
                          "--mem=malloc", "--minimal", f"--filename={path}"], check=True, capture_output=True, text=True,
                         env={**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}).stdout
    return float(out.split(";")[6]) * 1024 / 1e9


class Bench:
    def __init__(self, arguments):
        self.bin, self.folder = arguments.bin_dir, arguments.folder.resolve()
        self.root = self.folder / "root"
        self.mount = None if arguments.memory else self.folder / "memory"
        self.cache = pathlib.Path(arguments.memory or self.mount) / f"reef-bench.{os.getpid()}"
        self.size = arguments.bytes
        self.rates, self.times = {}, {}

    def reef(self, *arguments, **options):
        return subprocess.run([self.bin / "reef-model", "--root", self.root, *arguments], check=True, capture_output=True, **options)

    def prepare(self):
        for name, seed in (("a", 1), ("b", 2)):
            if not (self.folder / "in" / name / "model.safetensors").exists():
                shutil.rmtree(self.folder / "in" / name, ignore_errors=True)
                make_model(self.folder / "in" / name, self.size, seed)
        if not self.root.exists():
            subprocess.run([self.bin / "reef-init", "--root", self.root, "--quiet"], check=True)
        for name in "ab":
            self.reef("import", str(self.folder / "in" / name), "-q")
        (self.root / "config/system.yaml").write_text(f"cache:\n  model:\n    cap_bytes: {self.size + (64 << 20)}B\n")
        (self.root / "config/models.yaml").write_text("default_embedding: none\ncache:\n  hot_seconds: 0\n")

    def mount_memory(self):
        if self.mount:
            self.mount.mkdir(exist_ok=True)
            options = f"size={2 * self.size + (256 << 20)},huge=always"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.mount], check=True)

    def remove_memory(self):
        if self.mount:
            subprocess.run(["umount", self.mount], check=True)
        else:
            shutil.rmtree(self.cache, ignore_errors=True)

    def weights(self, name):
        return self.root / f"models/base/{name}/model.safetensors"

    def place_cache(self, where):
        place = self.root / "cache/model_cache"
        if place.is_symlink():
            place.unlink()
        else:
            shutil.rmtree(place, ignore_errors=True)
        for path in (self.root / "cache").glob("model_cache.sqlite*"):
            path.unlink()
        shutil.rmtree(self.cache, ignore_errors=True)
        if where == "memory":
            self.cache.mkdir()
            place.symlink_to(self.cache)
        else:
            place.mkdir()

    def timed(self, name, work, size=None):
        begin = time.perf_counter()
        work()
        seconds = time.perf_counter() - begin
        self.rates.setdefault(name, []).append((size or self.weights("a").stat().st_size) / seconds / 1e9)
        self.times.setdefault(name, []).append(seconds)

    def two_at_once(self, argv, halves):
        for process in [subprocess.Popen([*argv, half], stdout=subprocess.DEVNULL) for half in halves]:
            if process.wait() != 0:
                sys.exit(f"{argv[0]} failed")

    def round(self):
        a, b = self.weights("a"), self.weights("b")
        drop(a)
        self.rates.setdefault("fio", []).append(fio(a))
        drop(a)
        self.timed("verify cold", lambda: self.reef("verify", "a", "-q"))
        halves = [self.folder / f"half{i}" for i in (0, 1)]
        with open(a, "rb") as source:
            for half in halves:
                with open(half, "wb") as out:
                    shutil.copyfileobj(_Limited(source, a.stat().st_size // 2), out, 1 << 24)
        read_through(a)
        self.timed("verify in memory", lambda: self.reef("verify", "a", "-q"))
        for half in halves:
            read_through(half)
        total = sum(half.stat().st_size for half in halves)
        self.timed("sha256sum x 2", lambda: self.two_at_once(["sha256sum"], halves), total)
        if shutil.which("openssl"):
            self.timed("openssl x 2", lambda: self.two_at_once(["openssl", "dgst", "-sha256"], halves), total)
        for half in halves:
            half.unlink()

        self.place_cache("memory")
        drop(a)
        self.timed("load into fresh memory", lambda: self.reef("load", "a", "-q"))
        self.timed("attach", lambda: self.reef("load", "a", "-q"))
        drop(b)
        self.timed("load into an evicted model's pages", lambda: self.reef("load", "b", "-q"))
        self.place_cache("folder")
        target = self.cache
        target.mkdir()
        drop(a)
        self.timed("dd to memory", lambda: subprocess.run(["dd", f"if={a}", f"of={target}/dd", "bs=2M", "iflag=direct", "status=none"], check=True))
        (target / "dd").unlink()
        drop(a)
        self.timed("cp and sha256sum", lambda: (shutil.copyfile(a, target / "cp"), subprocess.run(["sha256sum", target / "cp"], check=True, stdout=subprocess.DEVNULL)))
        shutil.rmtree(target)
        drop(a)
        self.timed("load into a folder", lambda: self.reef("load", "a", "-q"))
        self.place_cache("folder")
        drop(a)
        copy = self.root / "cache/dd"
        self.timed("dd to the folder", lambda: subprocess.run(["dd", f"if={a}", f"of={copy}", "bs=2M", "iflag=direct", "oflag=direct", "status=none"], check=True))
        copy.unlink()
        drop(a)
        if subprocess.run([sys.executable, "-c", "import safetensors, numpy"], capture_output=True).returncode == 0:
            self.timed("safetensors load_file", lambda: subprocess.run([sys.executable, "-c", PEER, a], check=True))
        drop(a)
        self.timed("stream to a pipe", self.stream)

    def stream(self):
        stream = subprocess.Popen([self.bin / "reef-model", "--root", self.root, "stream", "a", "-q"], stdout=subprocess.PIPE)
        reader = subprocess.Popen(["dd", "of=/dev/null", "bs=1M", "iflag=fullblock", "status=none"], stdin=stream.stdout)
        stream.stdout.close()
        reader.wait()
        _, status, usage = os.wait4(stream.pid, 0)
        if status != 0:
            sys.exit("stream failed")
        self.peak = usage.ru_maxrss

    def report(self):
        first = statistics.median(self.rates["fio"])
        for name, rates in self.rates.items():
            line = {"what": name, "median_gb_s": round(statistics.median(rates), 3), "best_gb_s": round(max(rates), 3),
                    "to_fio": round(statistics.median(rates) / first, 3)}
            if name in self.times:
                line["median_ms"] = round(1000 * statistics.median(self.times[name]), 1)
            if name == "stream to a pipe":
                line["peak_kib"] = self.peak
            for peer in ("sha256sum x 2", "openssl x 2"):
                if name == "verify in memory" and peer in self.rates:
                    line[f"to_{peer.split()[0]}"] = round(statistics.median(rates) / statistics.median(self.rates[peer]), 2)
            print(json.dumps(line), flush=True)


def one_tensor(arguments):
    """A tensor that begins one byte too far, so that there is something to repack."""
    size = (arguments.bytes or 2_000_000_000) // 4 * 4
    root = arguments.folder / "one-tensor"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run([arguments.bin_dir / "reef-init", "--root", root, "--quiet"], check=True)
    model = root / "models/base/one"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llama"}')
    header = json.dumps({"flag": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
                         "model.layers.0.w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [1, 1 + size]}}).encode()
    with open(model / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(header)) + header + b"\1")
        out.truncate(8 + len(header) + 1 + size)

    def run(what, *command, reader=None):
        begin = time.perf_counter()
        process = subprocess.Popen([arguments.bin_dir / "reef-model", "--root", root, *command], stdout=subprocess.PIPE if reader else None)
        if reader:
            peer = subprocess.Popen(reader, stdin=process.stdout)
            process.stdout.close()
            peer.wait()
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"{what} failed")
        print(json.dumps({"what": what, "bytes": size, "seconds": round(time.perf_counter() - begin, 2), "peak_kib": usage.ru_maxrss}), flush=True)

    run("manifest of one tensor", "manifest", "one", "-q")
    for _ in range(arguments.rounds):
        run("stream one tensor to a pipe", "stream", "one", "-q", reader=["dd", "of=/dev/null", "bs=1M", "iflag=fullblock", "status=none"])
    run("repack one tensor", "repack", "one", "-q")
    run("stream the repacked tensor to a pipe", "stream", "one", "-q", reader=["dd", "of=/dev/null", "bs=1M", "iflag=fullblock", "status=none"])
    shutil.rmtree(root)


class _Limited:
    """The next `left` bytes of a file."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def read(self, count):
        data = self.file.read(min(count, self.left))
        self.left -= len(data)
        return data


PEER = "import sys\nfrom safetensors.numpy import load_file\nload_file(sys.argv[1])\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bytes", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", metavar="DIR")
    parser.add_argument("--one-tensor", action="store_true")
    arguments = parser.parse_args()
    if arguments.one_tensor:
        return one_tensor(arguments)
    arguments.bytes = arguments.bytes or 4_000_000_000
    bench = Bench(arguments)
    bench.prepare()
    bench.mount_memory()
    try:
        for _ in range(arguments.rounds):
            bench.round()
    finally:
        bench.remove_memory()
    bench.report()


main()
