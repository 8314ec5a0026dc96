#!/usr/bin/env python3
"""Workers load models into one small cache while some of them are killed; nothing may be wrong at any moment.

usage: cache_stress.py BIN_DIR [--workers N] [--loads N] [--kills N] [--folder DIR]

Each worker loads a random model, then maps what the cache shows under its name and compares every byte with what that
model must be, as an inference program would; now and then it keeps the mapping for a while. Meanwhile loads are killed
at random moments, models are evicted, the caches trimmed and looked at, and the size of the cache is watched. Ends with
status 1 when a program ever saw other bytes, when the cache was ever larger than its cap, or when anything but whole
models is left after one more load. DIR (default: /dev/shm where there is one) holds the cache.
"""
import argparse
import json
import mmap
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

MODELS, MODEL_BYTES, CAP_MODELS = 6, 3 << 20, 3


def write_model(folder, number):
    """Weights whose every word is the model's number."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    header = json.dumps({"w": {"dtype": "U64", "shape": [MODEL_BYTES // 8], "data_offsets": [0, MODEL_BYTES]}}).encode()
    header += b" " * (-len(header) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<Q", number) * (MODEL_BYTES // 8))


class Stress:
    def __init__(self, bin_dir, root, cache, arguments):
        self.reef, self.root, self.cache, self.arguments = bin_dir / "reef-model", root, cache, arguments
        self.lock = threading.Lock()
        self.loads_left, self.kills_left = arguments.loads, arguments.kills
        self.running, self.faults = [], []
        self.done = {"loaded": 0, "attached": 0, "full": 0, "killed": 0, "mapped": 0, "absent": 0, "emptied": 0, "disturbed": 0}
        self.stop = False

    def note(self, what):
        with self.lock:
            self.faults.append(what)

    def count(self, what):
        with self.lock:
            self.done[what] += 1

    def load(self, number):
        process = subprocess.Popen([self.reef, "--root", self.root, "load", f"m{number}", "--json", "--threads", "2"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with self.lock:
            self.running.append(process)
        out, err = process.communicate()
        with self.lock:
            self.running.remove(process)
        if process.returncode == 0:
            self.count("loaded" if json.loads(out)["bytes_read"] else "attached")
        elif process.returncode == -signal.SIGKILL:
            self.count("killed")
        elif process.returncode == 1 and "has no room" in err:
            self.count("full")
        else:
            self.note(f"load m{number}: status {process.returncode}: {err.strip()}")

    def use(self, number, rng):
        """As programs do: open, map, close, read, perhaps again a while later."""
        path = self.cache / f"models/base/m{number}/model.safetensors"
        try:
            with open(path, "rb") as file:
                view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except FileNotFoundError:
            return self.count("absent")
        except ValueError:  # given up by a load that noticed in time that this program came for another model
            return self.count("emptied")
        begin = 8 + struct.unpack("<Q", view[:8])[0]
        wanted = struct.pack("<Q", number) * (MODEL_BYTES // 8)
        for _ in range(2):
            if view[begin:] != wanted:
                self.note(f"m{number}: a program saw other bytes")
            time.sleep(rng.random() * 0.05)
        view.close()
        self.count("mapped")

    def work(self, seed):
        rng = random.Random(seed)
        while True:
            with self.lock:
                if self.loads_left == 0:
                    return
                self.loads_left -= 1
            number = rng.randrange(MODELS)
            self.load(number)
            self.use(rng.choice([number, rng.randrange(MODELS)]), rng)

    def disturb(self):
        """Other commands on the same cache; what they do not find or may not do is no fault."""
        rng = random.Random(1)
        while not self.stop:
            arguments = rng.choice([["status", "--why"], ["trim"], ["evict", f"m{rng.randrange(MODELS)}"]])
            done = subprocess.run([self.reef, "--root", self.root, "cache", *arguments], capture_output=True, text=True)
            held = done.returncode == 1 and " is in use" in done.stderr
            if done.returncode not in (0, 3) and not held:
                self.note(f"cache {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()}")
            self.count("disturbed")
            time.sleep(rng.random() * 0.2)

    def kill(self):
        rng = random.Random(0)
        while not self.stop and self.kills_left > 0:
            time.sleep(rng.random() * 0.1)
            with self.lock:
                if self.running:
                    rng.choice(self.running).kill()
                    self.kills_left -= 1

    def watch(self):
        """Whole files count by their size, those that are being written by what they will have."""
        most = 0
        while not self.stop:
            total = 0
            for entry in os.scandir(self.cache):
                try:
                    if entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                except FileNotFoundError:
                    pass
            most = max(most, total)
            time.sleep(0.005)
        self.most = most

    def run(self):
        threads = [threading.Thread(target=self.work, args=(seed,)) for seed in range(self.arguments.workers)]
        helpers = [threading.Thread(target=helper) for helper in (self.kill, self.watch, self.disturb)]
        for thread in threads + helpers:
            thread.start()
        for thread in threads:
            thread.join()
        self.stop = True
        for thread in helpers:
            thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=pathlib.Path)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--loads", type=int, default=400)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--folder", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reef-stress.") as work, \
            tempfile.TemporaryDirectory(prefix="reef-stress.", dir=arguments.folder) as cache:
        work, cache = pathlib.Path(work), pathlib.Path(cache)
        root = work / "root"
        subprocess.run([arguments.bin_dir / "reef-init", "--root", root, "--quiet"], check=True)
        shutil.rmtree(root / "cache/model_cache")
        (root / "cache/model_cache").symlink_to(cache)
        cap = CAP_MODELS * (MODEL_BYTES + 8192)
        for name, text in {"system": f"cache:\n  model:\n    cap_bytes: {cap}B\n", "models": "cache:\n  hot_seconds: 0\n"}.items():
            (root / f"config/{name}.yaml").write_text(text)
        for number in range(MODELS):
            write_model(work / f"m{number}", number)
            subprocess.run([arguments.bin_dir / "reef-model", "--root", root, "import", work / f"m{number}", "-q"], check=True)
        stress = Stress(arguments.bin_dir, root, cache, arguments)
        stress.run()
        if stress.most > cap + MODEL_BYTES // 100:
            stress.note(f"the cache held {stress.most} bytes, its cap is {cap}")
        # One more load, and nothing of killed runs is left.
        for number in range(MODELS):
            stress.load(number)
        left = sorted(p.name for p in cache.iterdir() if p.name.startswith("."))
        if left:
            stress.note(f"left behind: {', '.join(left)}")
        status = json.loads(subprocess.run([stress.reef, "--root", root, "cache", "status", "--json"], check=True,
                                           capture_output=True, text=True).stdout)
        if any(f["tier"] == "LOADING" for f in status["files"]):
            stress.note("the ledger still has a model that is being loaded")
        locks = subprocess.run(["lslocks", "--noheadings", "--output", "PATH"], capture_output=True, text=True).stdout
        if str(root) in locks:
            stress.note("a lock is left behind")
        for fault in stress.faults:
            print(f"FAILED: {fault}")
        print(json.dumps({**stress.done, "most_bytes": stress.most, "cap_bytes": cap, "faults": len(stress.faults)}))
        sys.exit(1 if stress.faults else 0)


main()
