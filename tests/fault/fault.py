#!/usr/bin/env python3
"""Kills reef commands at their mutating system calls, fails each with ENOSPC and EIO, then looks at what is left.

usage: fault.py BIN_DIR [--workload NAME]... [--exhaustive] [--jobs N] [--keep]

For each workload the command runs once under strace, which records every system call that changes something below the
tree, with its caller's stack. In a fresh copy of the tree a call is then (1) the last thing that the process does,
(2) answered with ENOSPC, (3) answered with EIO. Calls that come from the same place about the same kind of file form a
group; the first of each group is killed and meets ENOSPC, the last is killed and meets EIO, and of these 60 are taken
(--exhaustive: every call meets all three, and of workloads that make few calls of their own). Afterwards:

  - the checks of the workload pass, or name faults that the next run mends, and nothing else;
  - a run that failed said so: status 0 is believed only if the work is done;
  - the same command, run again, succeeds, and then the checks are clean and the content is right.

Needs strace built with stack traces (Debian's is) and the right to ptrace; ends with 77 without.
"""
import argparse
import concurrent.futures
import contextlib
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

CHANGING = ("openat,open,creat,write,pwrite64,writev,pwritev,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
            "rmdir,ftruncate,truncate,fsync,fdatasync,syncfs,sync_file_range,link,linkat,symlink,symlinkat,fallocate,"
            "copy_file_range,sendfile,chmod,fchmod,fchmodat,utimensat,msync")
GIVEN_VECTORS = Path(__file__).resolve().parents[1] / "support/given_vectors.py"
LINE = re.compile(r"^(\d+)\s+(\w+)\((.*?)(?:\)\s+=\s+(-?\d+|\?).*)?$")


class Workload:
    """A command on a prepared tree, and what must hold afterwards."""

    MOST_CASES = 60  # of one workload, unless all are asked for
    ON_REQUEST = ("shard-on", "split-anew", "join")  # minutes for calls that shard-out and split make, too

    def __init__(self, name, prepare, command, check, final, relocate=None, done=(0,), tidy=None, read_only=False):
        self.name, self.prepare, self.command, self.check, self.final = name, prepare, command, check, final
        self.relocate = relocate  # mends what names the tree's path in a copy of it
        self.done = done  # statuses of a run after one that did all of it
        self.read_only = read_only  # calls meet EROFS, too, as on a drive that the kernel mounted so after an error
        self.tidy = tidy or (lambda reef: None)  # what must hold beside `final` only after another run


class Reef:
    def __init__(self, bin_dir, root):
        self.bin_dir, self.root = Path(bin_dir), Path(root)

    def argv(self, command, *arguments):
        filled = [str(argument).replace("{root}", str(self.root)).replace("{shm}", self.shm) for argument in arguments]
        return [str(self.bin_dir / command), "--root", str(self.tree), *filled]

    @property
    def tree(self):
        """The tree: all of the folder, or, where a workload has more beside it, its folder "tower"."""
        tower = self.root / "tower"
        return tower if tower.is_dir() else self.root

    @property
    def shm(self):
        """A name of shared memory that is this tree's alone."""
        return "reef-fault-" + hashlib.sha256(str(self.root).encode()).hexdigest()[:12]

    def run(self, command, *arguments, expect=(0,)):
        done = subprocess.run(self.argv(command, *arguments), capture_output=True, text=True, env=environment(), timeout=120)
        if expect is not None and done.returncode not in expect:
            raise Failure(f"{command} {' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr.strip()[-500:]}")
        return done


class Failure(Exception):
    pass


def environment():
    return {**os.environ, "REEF_IO": "plain", "LC_ALL": "C"}


# ---- workloads -----------------------------------------------------------------------------------------------------

def write_inputs(folder):
    folder.mkdir(parents=True)
    (folder / "note.md").write_text("# Boats\n\nThe red boat leaks. It lies at the north pier.\n\n## Repairs\n\nPitch and oakum.\n")
    (folder / "list.jsonl").write_text("".join(json.dumps({"id": f"line-{i}", "title": f"Title {i}", "text": f"Text number {i} about ropes."}) + "\n" for i in range(3)))
    (folder / "plain.txt").write_text("Plain words about the weather.\n")


def tolerant_verify(reef):
    """Clean, or only faults that the next run mends; a tree without a store yet is clean."""
    done = reef.run("reef-index", "verify", "--json", expect=(0, 4))
    if done.returncode == 4:
        for fault in json.loads(done.stdout)["faults"]:
            if not fault["mends_itself"]:
                raise Failure(f"verify: {fault['file']}: {fault['fault']}")


def clean_verify(reef):
    done = reef.run("reef-index", "verify", "--json", expect=None)
    if done.returncode != 0:
        raise Failure(f"verify after the second run: {done.stdout.strip()} {done.stderr.strip()}")


def found(reef, question, document):
    done = reef.run("reef-index", "query", question, "--json", "--mode", "bm25", "--no-touch", expect=(0, 5))
    if done.returncode == 5:
        return False
    return any(r["document"]["id"].endswith(document) for r in json.loads(done.stdout)["results"])


def nearest(reef, text):
    done = reef.run("reef-index", "query", text, "--json", "--mode", "dense", "--no-touch", "-k", 1)
    return json.loads(done.stdout)["results"][0]["document"]["id"]


TENSOR = "encoder.layer.0.attention.self.query.weight"


def write_unaligned(folder):
    """A model of two shards, the first of which has to be repacked."""
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    for shard, shapes in (("model-1.safetensors", {"flag": ("U8", 1, 1), "w": ("F32", 4, 900_000), "h": ("F16", 2, 5)}), ("model-2.safetensors", {"v": ("F32", 4, 16)})):
        header, at = {}, 0
        for name, (dtype, size, count) in shapes.items():
            header[name] = {"dtype": dtype, "shape": [count], "data_offsets": [at, at + size * count]}
            at += size * count
            index["weight_map"][name] = shard
        text = json.dumps(header).encode()
        text += b" " * (-(8 + len(text)) % 64)
        (folder / shard).write_bytes(len(text).to_bytes(8, "little") + text + bytes(i * 7 % 251 for i in range(at)))
        index["metadata"]["total_size"] += at
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def workloads(bin_dir, model, other_model, unaligned, adapter, inputs):
    def empty(reef):
        pass

    def laid_out(reef):
        reef.run("reef-init", "--persona", "alice", "--embedding", "tiny")

    def with_model(reef):
        laid_out(reef)
        reef.run("reef-model", "import", model, "--name", "tiny")

    def with_documents(reef):
        with_model(reef)
        reef.run("reef-index", "ingest", inputs, "-q", "--threads", 1)

    def with_vectors(reef):
        laid_out(reef)
        reef.run("reef-index", "add", *given("old"), "--embedding", "elsewhere", "-q", "--threads", 1)

    def with_two_models(reef):
        with_documents_and_holes(reef)
        reef.run("reef-model", "import", other_model, "--name", "other")

    def with_documents_and_holes(reef):
        with_documents(reef)
        reef.run("reef-index", "remove", "line-0", "-q")

    def init_check(reef):
        done = reef.run("reef-init", "--check", "--json", expect=(0, 4, 5))
        if done.returncode == 5 and (reef.root / ".reef-tree").exists():
            raise Failure("a tree that has its marker is not recognised")

    def init_final(reef):
        reef.run("reef-init", "--check")
        if "alice" not in (reef.root / "config/personas.yaml").read_text():
            raise Failure("the persona is missing")
        leftovers(reef.root)

    def model_check(reef):
        reef.run("reef-model", "verify", expect=(0, 5))

    def model_final(reef):
        reef.run("reef-model", "verify", "tiny")
        leftovers(reef.root / "models")

    def with_small_cache(reef):
        """Room for one of two models, and the other one is there."""
        with_model(reef)
        reef.run("reef-model", "import", other_model, "--name", "other")
        weights = [reef.root / f"models/base/{name}/model.safetensors" for name in ("tiny", "other")]
        cap = max(path.stat().st_size for path in weights) + 4096
        (reef.root / "config/system.yaml").write_text(f"cache:\n  model:\n    cap_bytes: {cap}B\n")
        (reef.root / "config/models.yaml").write_text("default_embedding: none\ncache:\n  hot_seconds: 0\n")
        reef.run("reef-model", "load", "other")

    def loaded(reef):
        with_model(reef)
        reef.run("reef-model", "load", "tiny")

    def cache_check(reef):
        """What stands in the cache under a digest has it: of the file, or of the digests of its chunks."""
        reef.run("reef-model", "verify")

        def digests(data):
            chunks = [hashlib.sha256(data[at:at + (2 << 20)]).digest() for at in range(0, len(data), 2 << 20)]
            return hashlib.sha256(data).hexdigest(), hashlib.sha256(b"".join(chunks)).hexdigest()

        for path in (reef.root / "cache/model_cache").iterdir():
            if path.is_file() and not path.name.startswith(".") and path.name not in digests(path.read_bytes()):
                raise Failure(f"{path.name} in the cache holds other bytes")

    def loaded_final(reef):
        cache_check(reef)
        if json.loads(reef.run("reef-model", "load", "tiny", "--json").stdout)["bytes_read"] != 0:
            raise Failure("the model is not in the cache")
        hidden = [p.name for p in (reef.root / "cache/model_cache").iterdir() if p.name.startswith(".")]
        if hidden:
            raise Failure(f"left behind: {', '.join(hidden)}")
        leftovers(reef.root)

    def evicted_final(reef):
        cache_check(reef)
        if json.loads(reef.run("reef-model", "cache", "status", "--json").stdout)["files"]:
            raise Failure("the model is still in the cache")
        leftovers(reef.root)

    # An import by force exchanges two folders: all of one model or all of the other is under the name.
    def one_of_two(reef):
        reef.run("reef-model", "verify", "tiny")

    def forced_final(reef):
        one_of_two(reef)
        tensors = json.loads(reef.run("reef-model", "show", "tiny", "--tensors", "--json").stdout)["tensors"]
        if not any(96 in tensor["shape"] for tensor in tensors):
            raise Failure("the old model is there")

    def models_tidy(reef):
        leftovers(reef.root / "models")

    def tree_tidy(reef):
        leftovers(reef.root)

    def with_note(reef):
        laid_out(reef)
        with open(reef.root / "config/personas.yaml", "a") as file:
            file.write("# a note\n")

    def bound_final(reef):
        reef.run("reef-model", "verify")
        text = (reef.root / "config/personas.yaml").read_text()
        if text.count("    adapters: [hers]\n") != 1 or not text.endswith("# a note\n"):
            raise Failure(f"personas.yaml is {text}")

    def with_shards_unaligned(reef):
        laid_out(reef)
        reef.run("reef-model", "import", unaligned, "--name", "bad")
        reef.run("reef-model", "manifest", "sign", "bad", "--key", key)

    def tensors_of(folder):
        found = {}
        for path in sorted(folder.glob("*.safetensors")):
            data = path.read_bytes()
            begin = 8 + int.from_bytes(data[:8], "little")
            for name, entry in json.loads(data[8:begin]).items():
                if name != "__metadata__":
                    first, last = entry["data_offsets"]
                    found[name] = (entry["dtype"], entry["shape"], data[begin + first:begin + last])
        return found

    def repack_check(reef):
        """Signed and as it was, or all of it new."""
        folder = reef.root / "models/base/bad"
        is_signed = (folder / "manifest.json.sig").exists()
        reef.run("reef-model", "verify", "bad", *(("--key", key) if is_signed else ()))
        if tensors_of(folder) != tensors_of(unaligned):
            raise Failure("tensors have changed")
        left = json.loads(reef.run("reef-model", "show", "bad", "--json").stdout)["unaligned_tensors"]
        if is_signed != (left > 0):
            raise Failure(f"signed: {is_signed}, unaligned: {left}")

    def repacked_final(reef):
        repack_check(reef)
        if (reef.root / "models/base/bad/manifest.json.sig").exists():
            raise Failure("not repacked")

    # A target beside which killed runs may leave their temporary files; the next run to it removes them.
    def with_reference(reef):
        with_model(reef)
        reef.run("reef-model", "stream", "tiny", "-o", "{root}/reference", "-q")

    def holds(path, wanted):
        return path.exists() and path.read_bytes() == wanted

    def extracted(reef):
        return tensors_of(reef.root / "models/base/tiny")[TENSOR][2]

    def reference(reef):
        return (reef.root / "reference").read_bytes()

    def output_check(reef):
        out = reef.root / "out.bin"
        if out.exists() and out.read_bytes() not in (extracted(reef), reference(reef)):
            raise Failure("a part of the output is under its name")

    def extracted_final(reef):
        if not holds(reef.root / "out.bin", extracted(reef)):
            raise Failure("the output is not the tensor")

    def streamed_final(reef):
        if not holds(reef.root / "out.bin", reference(reef)):
            raise Failure("the output is not the stream")

    def output_tidy(reef):
        # Where the first run had put the output in its place, the second one had nothing to do.
        left = [p for p in reef.root.iterdir() if p.name.startswith(".out.bin.")]
        if left:
            raise Failure(f"left behind: {left}")

    def shm_object(reef):
        return Path("/dev/shm") / reef.shm

    def shm_check(reef):
        if shm_object(reef).exists() and not holds(shm_object(reef), reference(reef)):
            raise Failure("a part of the stream is under its name")

    def shm_final(reef):
        if not holds(shm_object(reef), reference(reef)):
            raise Failure("the shared memory is not the stream")

    def shm_tidy(reef):
        left = list(Path("/dev/shm").glob(f".{reef.shm}.*"))
        if left:
            raise Failure(f"left behind: {left}")

    def with_full_caches(reef):
        """Each cache is above its cap, and has something in it that may go."""
        loaded(reef)
        reef.run("reef-model", "import", other_model, "--name", "other")
        reef.run("reef-model", "load", "other")
        reef.run("reef-index", "ingest", inputs, "-q", "--threads", 1)
        for name in ("old/one", "old/two", "older"):
            path = reef.root / "cache/inference_cache" / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(bytes(40 << 10))
            os.utime(path, (1_700_000_000, 1_700_000_000))
        (reef.root / "cache/inference_cache/young").write_bytes(bytes(8 << 10))
        shutil.rmtree(reef.root / "models/base/other")
        vectors = sqlite3.connect(reef.root / f"cache/embedding_cache/{'ab' * 16}.sqlite", isolation_level=None)
        vectors.execute("PRAGMA journal_mode = WAL")
        vectors.execute("CREATE TABLE vectors (passage BLOB PRIMARY KEY, vector BLOB NOT NULL, used_day INTEGER NOT NULL) STRICT, WITHOUT ROWID")
        vectors.execute("CREATE INDEX vectors_used ON vectors(used_day)")
        vectors.executemany("INSERT INTO vectors VALUES (?, zeroblob(2048), ?)", [(bytes([i] * 16), i) for i in range(200)])
        vectors.execute("PRAGMA user_version = 1")
        vectors.close()
        # The encoder of the model that is gone, which is the larger one, and 200 KiB of vectors are too much.
        sizes = [p.stat().st_size for folder in ("encoders", ".") for p in (reef.root / "cache/embedding_cache" / folder).iterdir() if p.is_file()]
        caps = {"model": (reef.root / "models/base/tiny/model.safetensors").stat().st_size + 4096, "inference": 20 << 10,
                "embedding": sum(sizes) - max(sizes[:2]) - (200 << 10)}
        (reef.root / "config/system.yaml").write_text("cache:\n" + "".join(f"  {name}:\n    cap_bytes: {cap}B\n" for name, cap in caps.items()))
        (reef.root / "config/models.yaml").write_text("default_embedding: tiny\ncache:\n  hot_seconds: 0\n")

    def trimmed_final(reef):
        cache_check(reef)
        models = [file["models"] for file in json.loads(reef.run("reef-model", "cache", "status", "--json").stdout)["files"]]
        if models != [["base/tiny"]]:
            raise Failure(f"the model cache has {models}")
        left = sorted(str(p.relative_to(reef.root / "cache/inference_cache")) for p in (reef.root / "cache/inference_cache").rglob("*"))
        if left != ["young"]:
            raise Failure(f"inference_cache has {left}")
        if json.loads(reef.run("reef-model", "cache", "trim", "--json").stdout)["changed"]:
            raise Failure("something was left to trim")
        if (reef.root / "cache/model_cache/models/base/other").exists() or len(list((reef.root / "cache/embedding_cache/encoders").iterdir())) != 1:
            raise Failure("something of a model that is gone is left")
        hidden = [p.name for p in (reef.root / "cache/model_cache").iterdir() if p.name.startswith(".")]
        if hidden:
            raise Failure(f"left behind: {', '.join(hidden)}")
        clean_verify(reef)
        leftovers(reef.root)

    def pinned_final(pinned):
        def final(reef):
            cache_check(reef)
            done = reef.run("reef-model", "cache", "pin" if pinned else "unpin", "tiny", "--json")
            if json.loads(done.stdout)["changed"]:
                raise Failure("it was not so")
            reef.run("reef-model", "cache", "unpin", "tiny", "-q")
            reef.run("reef-model", "cache", "evict", "tiny", "-q")
            leftovers(reef.root)
        return final

    def loaded_unpinned(reef):
        loaded(reef)
        (reef.root / "config/models.yaml").write_text("default_embedding: none\n")

    def loaded_pinned(reef):
        loaded_unpinned(reef)
        reef.run("reef-model", "cache", "pin", "tiny")

    def recorded_final(reef):
        model_final(reef)
        manifest = json.loads((reef.root / "models/base/tiny/manifest.json").read_text())
        if not any(file.get("tensors") for file in manifest["files"]):
            raise Failure("the manifest has no digests of tensors")

    # The archive lies in the tree's folder, so that the copy of a case holds it and its calls are seen.
    def with_archive(reef):
        with_model(reef)
        (reef.root / ".archive").mkdir()
        (reef.root / "config/system.yaml").write_text("storage:\n  archive: .archive\n")
        (reef.root / "config/models.yaml").write_text("default_embedding: none\n")

    def archived(reef):
        with_archive(reef)
        reef.run("reef-model", "archive", "tiny")

    def relocate_archive(reef):
        record = reef.root / "models/archived/base/tiny/archived.json"
        if record.exists():
            record.write_text(re.sub(r'"path": ".*?-prepared/', f'"path": "{reef.root}/', record.read_text()))

    def same_files(place):
        """The digests of what is there, by the manifest there."""
        for file in json.loads((place / "manifest.json").read_text())["files"]:
            if hashlib.sha256((place / file["path"]).read_bytes()).hexdigest() != file["sha256"]:
                raise Failure(f"{place / file['path']} has other bytes")

    def somewhere_check(reef):
        """Whole in the tree, or whole in the archive with its record."""
        if (reef.root / "models/base/tiny").exists():
            reef.run("reef-model", "verify", "tiny")
            return
        listed = json.loads(reef.run("reef-model", "list", "--json").stdout)
        if listed["fault"] or Path(listed["archived"]["path"]) != reef.root / ".archive/models/base/tiny":
            raise Failure(f"the record says {listed}")
        same_files(reef.root / ".archive/models/base/tiny")

    def archived_final(reef):
        if (reef.root / "models/base/tiny").exists():
            raise Failure("the model is still in the tree")
        somewhere_check(reef)
        leftovers(reef.root)

    def brought_back_final(reef):
        reef.run("reef-model", "verify", "tiny")
        if list((reef.root / "models/archived/base").iterdir()):
            raise Failure("the record is still there")
        same_files(reef.root / ".archive/models/base/tiny")
        leftovers(reef.root / "models")

    def with_source(reef):
        laid_out(reef)
        (reef.root / "config/models.yaml").write_text(f"models:\n  tiny:\n    source: {model}\n")

    def with_tier3(reef):
        """What a download leaves and publishes, without a server: the same steps but for the helper's."""
        with_source(reef)
        other = Reef(reef.bin_dir, reef.root / ".other")
        other.run("reef-init")
        other.run("reef-model", "import", model, "--name", "tiny")
        store = reef.root / ".tier3/models"
        store.mkdir(parents=True)
        for file in (other.root / "models/base/tiny").iterdir():
            shutil.copy(file, store / hashlib.sha256(file.read_bytes()).hexdigest())
        pin = hashlib.sha256((other.root / "models/base/tiny/manifest.json").read_bytes()).hexdigest()
        shutil.rmtree(other.root)
        (reef.root / "config/system.yaml").write_text("backup:\n  tier3:\n    to: .tier3\n")
        (reef.root / "config/models.yaml").write_text(f"models:\n  tiny:\n    source: tier3\n    sha256: {pin}\n")

    def fetched_final(reef):
        model_final(reef)
        if [p.name for p in (reef.root / "models/.fetch").iterdir()] != [".lock"]:
            raise Failure("parts are left")

    def signed_final(reef):
        reef.run("reef-model", "verify", "tiny", "--key", key)
        leftovers(reef.root / "models")

    def documents_final(reef):
        clean_verify(reef)
        for question, document in (("leaks pier", "note.md"), ("weather", "plain.txt"), ("ropes", "line-1")):
            if not found(reef, question, document):
                raise Failure(f"'{question}' does not find {document}")
        leftovers(reef.root)

    def built_final(reef):
        documents_final(reef)
        stat = json.loads(reef.run("reef-index", "stat", "--json").stdout)["scopes"][0]
        if stat["dead_rows"] != 0 or stat["indexed"] != stat["vectors"]:
            raise Failure(f"not rebuilt: {stat}")
        for i in (1, 2):  # the vector of each chunk is its own after the rows got new numbers
            if nearest(reef, f"Text number {i} about ropes.") != f"line-{i}":
                raise Failure(f"line-{i} does not find itself by its vector")
        files = sorted(p.name for p in (reef.root / "vectors/shared").iterdir() if p.name.startswith(("vectors", "codes", "index")))
        if len(files) != 6:
            raise Failure(f"files of two generations: {files}")

    def removed_final(reef):
        clean_verify(reef)
        if found(reef, "leaks pier", "note.md") or not found(reef, "weather", "plain.txt"):
            raise Failure("the wrong documents are there")
        leftovers(reef.root)

    def one_removed_final(reef):
        clean_verify(reef)
        if found(reef, "ropes", "line-1") or not found(reef, "ropes", "line-2"):
            raise Failure("the wrong documents are there")
        # The file is known and unchanged: ingesting it does not bring the document back.
        reef.run("reef-index", "ingest", inputs, "-q", "--threads", 1)
        if found(reef, "ropes", "line-1"):
            raise Failure("the document came back")
        leftovers(reef.root)

    # Shards lie in the tree's folder, so that the copy of a case holds them and their calls are seen.
    def place_shards(reef, where):
        (reef.root / "config/system.yaml").write_text("storage:\n  shards: [.drives/a, .drives/b]\n")
        (reef.root / "config/personas.yaml").write_text(f"personas:\n  alice:\n    shard: {where}\n")

    def with_shards(start, then):
        def prepare(reef):
            with_model(reef)
            reef.run("reef-index", "ingest", inputs, "-q", "--threads", 1, "--persona", "alice")
            for drive in "ab":
                (reef.root / ".drives" / drive).mkdir(parents=True)
            place_shards(reef, start)
            reef.run("reef-index", "shard", "apply", "-q")
            place_shards(reef, then)
        return prepare

    def relocate_links(reef):
        link = reef.root / "vectors/personas/alice"
        if link.is_symlink():
            target = reef.root / os.readlink(link).split("-prepared/")[1]
            link.unlink()
            link.symlink_to(target)
        shards = reef.root / "vectors/shards.json"
        shards.write_text(re.sub(r'"path": ".*?-prepared/', f'"path": "{reef.root}/', shards.read_text()))

    def store_check(reef):
        """Whole where the persona's name leads, or told to be between two names, where no other run looks."""
        place = reef.root / "vectors/personas/alice"
        if not os.path.lexists(place):
            kept = [p for p in place.parent.iterdir() if p.name.startswith(".alice.kept-")]
            if len(kept) != 1 or not (kept[0] / "metadata.sqlite").exists():
                raise Failure(f"the store is gone: {sorted(p.name for p in place.parent.iterdir())}")
            return
        tolerant_verify(reef)
        if not persona_found(reef):
            raise Failure("the store does not answer")

    def persona_found(reef):
        done = reef.run("reef-index", "query", "leaks pier", "--persona", "alice", "--json", "--mode", "bm25", "--no-touch")
        return any(r["document"]["id"].endswith("note.md") for r in json.loads(done.stdout)["results"])

    def moved_final(where):
        def final(reef):
            place = reef.root / "vectors/personas/alice"
            wanted = place if where == "tree" else reef.root / where / "personas/alice"
            if place.resolve() != wanted or place.is_symlink() != (where != "tree"):
                raise Failure(f"the store is in {place.resolve()}")
            clean_verify(reef)
            if not persona_found(reef):
                raise Failure("the store does not answer")
            stores = [p for top in ("vectors/personas", ".drives") for p in (reef.root / top).rglob("metadata.sqlite")]
            left = [p for top in ("vectors", ".drives") for p in (reef.root / top).rglob(".*") if re.search(r"\.(moving|kept)", p.name)]
            if len(stores) != 1 or left:
                raise Failure(f"stores {stores}, left behind {left}")
            leftovers(reef.root)
        return final

    def shard_workload(name, start, then):
        return Workload(name, with_shards(start, then), ("reef-index", "shard", "apply"), store_check, moved_final(then), relocate_links)

    # The shared knowledge over shards: everything of it is found before, between and after, and nothing twice.
    def list_shards(reef, names):
        (reef.root / "config/system.yaml").write_text(f"storage:\n  shards: [{', '.join('.drives/' + n for n in names)}]\n")

    def know_shards(reef, names):
        """Ids that are not of the folder's path: every case then puts the same documents on the same shard."""
        listed = reef.root / "vectors/shards.json"
        known = json.loads(listed.read_text()) if listed.exists() else {"schema": "reef.vectors.shards/1", "tree": "5" * 16, "shards": []}
        for name in names:
            drive = reef.root / ".drives" / name
            drive.mkdir(parents=True, exist_ok=True)
            if (drive / "shard.json").exists():
                continue
            shard = {"schema": "reef.shard/1", "id": name * 16, "tree": known["tree"], "created": "2026-01-01T00:00:00Z"}
            (drive / "shard.json").write_text(json.dumps(shard))
            known["shards"].append({"id": name * 16, "path": str(drive)})
        listed.write_text(json.dumps(known))

    def with_split(start, then):
        def prepare(reef):
            with_documents(reef)
            (reef.root / "config/personas.yaml").write_text("personas:\n  alice:\n    shard: tree\n")
            if start:
                know_shards(reef, start)
                list_shards(reef, start)
                reef.run("reef-index", "shard", "apply", "-q")
            know_shards(reef, then)
            list_shards(reef, then)
        return prepare

    def relocate_parts(reef):
        for link in (reef.root / "vectors/shared").glob("parts/*"):
            target = reef.root / os.readlink(link).split("-prepared/")[1]
            link.unlink()
            link.symlink_to(target)
        shards = reef.root / "vectors/shards.json"
        if shards.exists():
            shards.write_text(re.sub(r'"path": ".*?-prepared/', f'"path": "{reef.root}/', shards.read_text()))

    def split_check(reef):
        place = reef.root / "vectors/shared"
        if not place.exists():
            kept = [p for p in place.parent.iterdir() if p.name.startswith(".shared.kept-")]
            if len(kept) != 1 or not ((kept[0] / "metadata.sqlite").exists() or any(kept[0].glob("parts/*/metadata.sqlite"))):
                raise Failure(f"shared knowledge is gone: {sorted(p.name for p in place.parent.iterdir())}")
            return
        tolerant_verify(reef)
        split_answers(reef)

    def split_answers(reef):
        scope = json.loads(reef.run("reef-index", "stat", "--json").stdout)["scopes"][0]
        if scope["documents"] != scope["vectors"] or scope["documents"] < 3:
            raise Failure(f"documents are lost or doubled: {scope}")
        for question, document in (("ropes", "line-1"), ("ropes", "line-2")):
            if not found(reef, question, document):
                raise Failure(f"'{question}' does not find {document}")

    def split_final(names):
        def final(reef):
            clean_verify(reef)
            split_answers(reef)
            parts = [p for top in ("vectors/shared", ".drives") for p in (reef.root / top).rglob("metadata.sqlite")]
            left = [p for top in ("vectors", ".drives") for p in (reef.root / top).rglob(".*") if re.search(r"\.(moving|kept)", p.name)]
            if len(parts) != max(len(names), 1) or left:
                raise Failure(f"parts {parts}, left behind {left}")
            leftovers(reef.root)
        return final

    def split_workload(name, start, then):
        return Workload(name, with_split(start, then), ("reef-index", "shard", "apply"), split_check, split_final(then), relocate_parts)

    def added_final(reef):
        clean_verify(reef)
        for question, document in (("number1 harbour", "v1"), ("number8 pier", "v8"), ("number25 pier", "v25")):
            if not found(reef, question, document):
                raise Failure(f"'{question}' does not find {document}")
        leftovers(reef.root)

    def replaced_final(reef):
        clean_verify(reef)
        if found(reef, "harbour", "v1") or not found(reef, "number25 pier", "v25"):
            raise Failure("the wrong documents are there")
        leftovers(reef.root)

    def whole_check(reef):
        """All of the old vectors or all of the new ones."""
        tolerant_verify(reef)
        old, new = found(reef, "number1 harbour", "v1"), found(reef, "number25 pier", "v25")
        done = json.loads(reef.run("reef-index", "stat", "--json").stdout)["scopes"][0]["documents"]
        if (old, new, done) not in ((True, False, 10), (True, True, 26), (False, True, 20)):
            raise Failure(f"a mixture: old {old}, new {new}, {done} documents")

    def embedded_check(reef):
        """All by the old model or all by the new one, and either answers."""
        tolerant_verify(reef)
        answer = reef.run("reef-index", "query", "leaks pier", "--mode", "dense", "--json", "--no-touch")
        if not json.loads(answer.stdout)["results"]:
            raise Failure("dense search finds nothing")

    def embedded_final(reef):
        clean_verify(reef)
        embedded_check(reef)
        stat = json.loads(reef.run("reef-index", "stat", "--json").stdout)["scopes"][0]
        if (stat["model"], stat["dim"], stat["dead_rows"]) != ("other", 96, 0):
            raise Failure(f"not embedded again: {stat}")
        leftovers(reef.root)

    # Memories: what is remembered twice is merged, so that another run of `remember` adds nothing.
    def remember(reef, text):
        reef.run("reef-memory", "remember", text, "--persona", "alice", "-q", "--threads", 1)

    def with_memories(reef):
        with_model(reef)
        for text in ("My phone number is 555-0100", "Anna lives in Lisbon", "The gate is red"):
            remember(reef, text)

    def with_memories_of_another_model(reef):
        with_memories(reef)
        reef.run("reef-model", "import", other_model, "--name", "other")
        (reef.root / "config/models.yaml").write_text("default_embedding: other\n")

    def with_marked_words(reef):
        with_memories(reef)
        remember(reef, "The quixotic key hangs behind the clock")
        lines = [{"session": f"s{i // 2}", "role": "user", "content": f"number {i} is {'quixotic' if i < 3 else 'plain'}", "id": f"m{i}"} for i in range(6)]
        path = reef.root / "talk.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        reef.run("reef-session", "import", path, "--persona", "alice", "-q")
        path.unlink()
        # A language model's summary of the one session that stays whole.
        with contextlib.closing(sqlite3.connect(reef.root / "data/conversations/conversations.sqlite")) as database, database:
            message, last = database.execute("SELECT min(id), max(created_at) FROM messages WHERE session_id = 's2'").fetchone()
            database.execute("UPDATE sessions SET summary = 'All is Quixotic.' WHERE id = 's2'")
            database.execute("INSERT INTO session_summaries VALUES ('s2', 'm', ?, 2, ?)", (last, last))
            database.execute("INSERT INTO summary_sentences VALUES ('s2', 1, 'All is Quixotic.')")
            database.execute("INSERT INTO summary_sources VALUES ('s2', 1, ?)", (message,))

    def memories(reef, *options):
        return {line["id"]: line for line in map(json.loads, reef.run("reef-memory", "list", "--persona", "alice", "--json", *options).stdout.splitlines())}

    def memory_check(reef):
        for fault in json.loads(reef.run("reef-memory", "verify", "--json", expect=(0, 4)).stdout)["faults"]:
            if not fault["mends_itself"]:
                raise Failure(f"verify: {fault['file']}: {fault['fault']}")

    def remembered_check(reef):
        memory_check(reef)
        valid = [line["content"] for line in memories(reef).values() if "phone" in line["content"]]
        if len(valid) != 1:
            raise Failure(f"of one attribute is valid: {valid}")

    def remembered_final(reef):
        reef.run("reef-memory", "verify")
        if memories(reef, "--all")["M1"]["superseded_by"] != "M4" or len(memories(reef)) != 3:
            raise Failure(f"the memories are {memories(reef, '--all')}")

    def export_final(reef):
        reef.run("reef-memory", "verify")
        if b"(3, 96)" not in (reef.root / "data/memories/alice/embeddings.npy").read_bytes()[:128].replace(b" ", b"").replace(b",", b", "):
            raise Failure("embeddings.npy is not of the other model")

    def forgotten_check(reef):
        memory_check(reef)
        reef.run("reef-session", "verify", expect=(0, 5))

    def forgotten_final(reef):
        reef.run("reef-memory", "verify")
        reef.run("reef-session", "verify")
        for path in reef.root.rglob("*"):
            if path.is_file() and b"quixotic" in path.read_bytes().lower():
                raise Failure(f"the word is still in {path}")
        if list(memories(reef)) != ["M1", "M2", "M3"]:
            raise Failure(f"the memories are {list(memories(reef))}")
        left = [json.loads(line) for line in reef.run("reef-session", "list", "--json").stdout.splitlines()]
        if [(one["session"], one["messages"], one["summary"]) for one in left] != [("s1", 1, None), ("s2", 2, None)]:
            raise Failure(f"the sessions are {left}")

    # Conversations: three sessions, attachments, and an archive in the tree's folder.
    def with_conversations(reef):
        laid_out(reef)
        (reef.root / ".archive").mkdir()
        (reef.root / "config/system.yaml").write_text("storage:\n  archive: .archive\n")
        reef.run("reef-session", "import", talk, "--persona", "alice", "-q")
        for session in ("s0", "s1"):
            (reef.root / "data/conversations" / session / "deep").mkdir(parents=True)
            (reef.root / "data/conversations" / session / "deep/picture").write_bytes(session.encode() * 1000)

    def with_archived_session(reef):
        with_conversations(reef)
        reef.run("reef-session", "archive", "s0", "-q")

    def database(reef):
        return sqlite3.connect(reef.root / "data/conversations/conversations.sqlite", isolation_level=None)

    def relocate_sessions(reef):
        conversations = database(reef)
        conversations.execute("UPDATE sessions SET archive_file = ? || '/.archive/conversations/alice/' || id || '.jsonl' WHERE archive_file IS NOT NULL", (str(reef.root),))
        conversations.close()

    def session_check(reef):
        reef.run("reef-session", "verify", expect=(0, 5))

    def imported_final(reef):
        reef.run("reef-session", "verify")
        if reef.run("reef-session", "export", "-o", "-").stdout != talk.read_text():
            raise Failure("the sessions are not those of the file")

    def readable_check(reef):
        imported_final(reef)

    def archived_sessions_final(reef):
        imported_final(reef)
        lines = [json.loads(line) for line in reef.run("reef-session", "list", "--json").stdout.splitlines()]
        if [line["archived_messages"] for line in lines] != [12, 12, 0]:
            raise Failure(f"not archived: {lines}")
        for session in ("s0", "s1"):
            if (reef.root / "data/conversations" / session).exists():
                raise Failure("attachments are in the tree")
            if (reef.root / ".archive/conversations/alice" / session / "deep/picture").read_bytes() != session.encode() * 1000:
                raise Failure("attachments are not in the archive")

    def with_turns(reef):
        """Some messages have vectors; one was removed since, others came."""
        with_model(reef)
        reef.run("reef-session", "import", talk, "--persona", "alice", "-q")
        reef.run("reef-session", "index", "--persona", "alice", "-q", "--threads", 1)
        with contextlib.closing(database(reef)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("DELETE FROM messages WHERE id = (SELECT min(id) + 3 FROM messages WHERE session_id = 's1')")
        for text in ("A turn more.", "And one that follows it."):
            reef.run("reef-session", "append", "s1", "--role", "user", text)

    def turns_check(reef):
        reef.run("reef-session", "verify", expect=(0, 4))  # what an ended run left of files, the next one mends
        answer = json.loads(reef.run("reef-session", "search", "turn", "--persona", "alice", "--mode", "bm25", "--json").stdout)
        if not answer["results"]:
            raise Failure("nothing is found any more")

    def turns_final(reef):
        reef.run("reef-session", "verify")
        said = json.loads(reef.run("reef-session", "index", "--persona", "alice", "--json").stdout)
        with contextlib.closing(database(reef)) as db:
            messages = db.execute("SELECT count(*) FROM messages").fetchone()[0]
            lists = db.execute("SELECT (SELECT count(*) FROM pending_messages), (SELECT count(*) FROM removed_messages)").fetchone()
        mapping = json.loads((reef.root / "vectors/conversations/alice/id_mapping.json").read_text())
        if said["changed"] or lists != (0, 0) or len(mapping["messages"]) != messages:
            raise Failure(f"{said}, {lists} waiting, {len(mapping['messages'])} of {messages} messages have vectors")

    def with_lost_words(reef):
        with_archived_session(reef)
        with contextlib.closing(database(reef)) as db:
            db.execute("INSERT INTO messages_fts(messages_fts) VALUES ('delete-all')")

    def words_check(reef):
        reef.run("reef-session", "verify", expect=(0, 4))
        with contextlib.closing(database(reef)) as db:
            found = db.execute("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'word_s0 OR word_s2'").fetchone()[0]
        if found not in (0, 24):
            raise Failure(f"words of {found} messages are found")

    def words_final(reef):
        imported_final(reef)

    def deleted_final(reef):
        reef.run("reef-session", "verify")
        rest = "".join(line + "\n" for line in talk.read_text().splitlines() if '"s2"' in line)
        if reef.run("reef-session", "export", "-o", "-").stdout != rest:
            raise Failure("the wrong sessions are there")
        conversations = database(reef)
        found = conversations.execute("SELECT count(*) FROM messages_fts WHERE messages_fts MATCH 'word_s0 OR word_s1'").fetchone()[0]
        conversations.close()
        files = [p for folder in (".archive", "data/conversations") for p in (reef.root / folder).rglob("*") if p.is_file()]
        left = [p.name for p in files if p.name != ".lock" and not p.name.startswith("conversations.sqlite")]
        if found or left:
            raise Failure(f"{found} words and {left} are left")

    # Personas: one that has something of everything, and another one.
    def with_two_personas(reef):
        with_model(reef)
        reef.run("reef-init", "--persona", "bob")
        reef.run("reef-index", "ingest", inputs, "--persona", "alice", "--threads", 1, "-q")
        reef.run("reef-index", "ingest", note, "--persona", "bob", "--threads", 1, "-q")
        reef.run("reef-session", "import", talk, "--persona", "alice", "-q")
        reef.run("reef-session", "append", "b1", "--persona", "bob", "--role", "user", "Bob sees a lighthouse.", "-q")
        reef.run("reef-session", "index", "--all", "-q", "--threads", 1)
        reef.run("reef-memory", "remember", "The key hangs behind the clock", "--persona", "alice", "--threads", 1, "-q")
        reef.run("reef-memory", "remember", "A lamp", "--persona", "bob", "--threads", 1, "-q")

    def verify_all(reef):
        for command in ("reef-session", "reef-memory", "reef-index"):
            reef.run(command, "verify")

    def personas(reef):
        lines = map(json.loads, reef.run("reef-persona", "list", "--json", expect=(0, 3)).stdout.splitlines())
        return {line["id"]: (line["listed"], line["documents"]["files"], line["vectors"]["turns"], line["conversations"]["messages"], line["memories"]["memories"]) for line in lines}

    def persona_check(reef):
        found = personas(reef)
        if found.get("bob") != (True, 1, 1, 1, 1):
            raise Failure(f"the other persona has {found.get('bob')}")
        if not (reef.root / ".reef-persona-change").exists():  # else the next run finishes it
            verify_all(reef)
            if [id for id in found if id != "bob" and found[id] != (True, 3, 36, 36, 1)]:
                raise Failure(f"the personas have {found}")

    def persona_tidy(reef):
        verify_all(reef)
        left = [p for p in reef.root.rglob("*") if "alice" in p.name or p.name.endswith(".tmp") or p.name == ".reef-persona-change"]
        if left:
            raise Failure(f"left behind: {left[:5]}")

    def persona_renamed_final(reef):
        if personas(reef) != {"bea": (True, 3, 36, 36, 1), "bob": (True, 1, 1, 1, 1)}:
            raise Failure(f"the personas have {personas(reef)}")
        verify_all(reef)

    def persona_removed_final(reef):
        if personas(reef) != {"bob": (True, 1, 1, 1, 1)}:
            raise Failure(f"the personas have {personas(reef)}")
        verify_all(reef)
        for path in reef.root.rglob("*"):
            if path.is_file() and re.search(b"word_s0|behind the clock|Pitch and oakum|words about the weather", path.read_bytes()) and "bob" not in str(path):
                if b"Pitch and oakum" in path.read_bytes() and path.parent.name in ("raw", "processed"):
                    continue  # the note is bob's, too
                raise Failure(f"a word is still in {path}")

    def exported_check(reef):
        verify_all(reef)
        if (reef.root / "alice.tar.zst").exists():
            exported_final(reef)

    def exported_final(reef):
        files = subprocess.run(["tar", "--zstd", "-tf", reef.root / "alice.tar.zst"], capture_output=True, text=True, check=True).stdout.splitlines()
        if not {"persona.json", "conversations.sqlite", "memories/memories.sqlite"} <= set(files):
            raise Failure(f"the archive holds {files}")

    def with_archive_of_alice(reef):
        with_two_personas(reef)
        reef.run("reef-persona", "export", "alice", "-o", inputs.parent / "alice.tar.zst", "--force", "-q")
        reef.run("reef-persona", "remove", "alice", "--confirm", "alice", "-q")

    def persona_imported_final(reef):
        if personas(reef) != {"bob": (True, 1, 1, 1, 1), "carol": (True, 3, 36, 36, 1)}:
            raise Failure(f"the personas have {personas(reef)}")
        verify_all(reef)

    talk = inputs.parent / "talk.jsonl"
    talk.write_text("".join(
        json.dumps({"session": f"s{i // 12}", "role": "user", "content": f"word_s{i // 12} number{i}", "created_at": f"2026-01-01T00:00:{i:02}.000Z", "id": f"m{i}"}, separators=(",", ":")) + "\n"
        for i in range(36)))

    # Consolidation: three days of talk, of which some is remembered, some merged, and some waits for a day.
    chat = inputs.parent / "chat.jsonl"
    chat.write_text("".join(
        json.dumps({"session": f"c{i // 10}", "role": "user" if i % 2 else "assistant", "id": f"m{i}", "created_at": f"2026-01-0{1 + i // 10}T10:{i % 10:02}:00Z",
                    "content": ("Please remember that the boat leaks" if i % 8 == 3 else f"I saw the lighthouse near pier {i % 3} yesterday with Anna" if i % 2 else "Did you see it?")}) + "\n"
        for i in range(30)))
    expected_decisions = []

    def decisions(reef):
        database = sqlite3.connect(reef.root / "data/memories/alice/memories.sqlite")
        rows = database.execute("SELECT message, state, score, shift, nearest, mentions, second_score, memory FROM decisions ORDER BY rank").fetchall()
        rows += database.execute("SELECT hash, messages FROM term_counts ORDER BY hash").fetchall()
        rows += database.execute("SELECT id, content, importance FROM memories ORDER BY id").fetchall()
        database.close()
        return rows

    def with_chat(reef):
        with_model(reef)
        reef.run("reef-session", "import", chat, "--persona", "alice", "-q")
        other = Reef(bin_dir, inputs.parent / "undisturbed")
        shutil.copytree(reef.root, other.root)
        other.run(*consolidate)
        expected_decisions[:] = decisions(other)
        shutil.rmtree(other.root)

    def memories_check(reef):
        done = reef.run("reef-memory", "verify", "--persona", "alice", "--json", expect=(0, 4, 5))
        if done.returncode == 4 and not all(fault.get("mends_itself") for fault in json.loads(done.stdout)["faults"]):
            raise Failure(f"verify: {done.stdout.strip()}")

    def consolidated_final(reef):
        reef.run("reef-memory", "verify", "--persona", "alice")
        found = decisions(reef)
        if found != expected_decisions:
            raise Failure(f"decided otherwise: {[row for row in found if row not in expected_decisions][:3]}")
        leftovers(reef.root)

    consolidate = ("reef-memory", "consolidate", "--persona", "alice", "--now", "2026-02-01", "--threads", 1)

    def given(name):
        return "--vectors", inputs.parent / f"{name}.npy", "--metadata", inputs.parent / f"{name}.jsonl"

    note = inputs / "note.md"
    key = inputs.parent / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    # Backups: a tree with a snapshot of its own in a folder beside it, and something new since.
    def say(reef, persona, session):
        line = json.dumps({"session": session, "role": "user", "content": f"Hello from {session}", "created_at": "2026-11-01T08:00:00Z"})
        path = reef.root / "said.jsonl"
        path.write_text(line + "\n")
        reef.run("reef-session", "import", path, "--persona", persona, "-q")

    def snapshots(reef, tier):
        done = reef.run("reef-backup", "list", "--tier", tier, "--json", expect=(0, 5))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def backed_up(reef, tier=1):
        for folder in ("tower", "one", "two"):
            (reef.root / folder).mkdir(parents=True)
        reef.run("reef-init", "--persona", "alice", "--persona", "bob", "--embedding", "none")
        reef.run("reef-index", "ingest", inputs, "-q", "--threads", 1, "--text-only")
        (reef.tree / "config/system.yaml").write_text("backup:\n  tier1: {to: ../one, keep: [last 1]}\n  tier2: {to: ../two}\n")
        say(reef, "alice", "a1")
        say(reef, "bob", "b1")
        reef.run("reef-memory", "remember", "The key hangs behind the clock", "--persona", "alice", "-q")
        reef.run("reef-backup", f"tier{tier}", "--keep-all", "-q")
        say(reef, "bob", "b2")

    def with_dated_folder(reef):
        backed_up(reef, 2)

    def with_old_snapshots(reef):
        backed_up(reef)
        reef.run("reef-backup", "tier1", "--keep-all", "-q")

    def adopt(reef):
        reef.run("reef-backup", "tier1", "--adopt", "--keep-all", "-q")

    def backups_check(reef):
        """Whatever became of the run, what is there is sound, and the first snapshot or one after it comes back."""
        for tier in (1, 2):
            if not snapshots(reef, tier):
                continue
            reef.run("reef-backup", "verify", "--tier", tier)
            out = Path(tempfile.mkdtemp(dir=reef.root.parent))
            reef.run("reef-restore", "system", "--tier", tier, "--to", out / "tree", "-q")
            with contextlib.closing(sqlite3.connect(out / "tree/data/conversations/conversations.sqlite")) as database:
                if database.execute("SELECT count(*) FROM sessions").fetchone()[0] < 2:
                    raise Failure("a session that was in the first snapshot is in none")
            shutil.rmtree(out)
        if not snapshots(reef, 1) and not snapshots(reef, 2):
            raise Failure("the snapshot that was there is gone")

    def backup_final(reef):
        backups_check(reef)
        newest = {}
        for tier in (1, 2):
            out = Path(tempfile.mkdtemp(dir=reef.root.parent))
            if snapshots(reef, tier):
                reef.run("reef-restore", "system", "--tier", tier, "--to", out / "tree", "-q")
                with contextlib.closing(sqlite3.connect(out / "tree/data/conversations/conversations.sqlite")) as database:
                    newest[tier] = database.execute("SELECT count(*) FROM sessions").fetchone()[0]
            shutil.rmtree(out)
        if 3 not in newest.values():
            raise Failure(f"the run said that it was done, and the newest snapshots hold {newest} sessions")

    def pruned_final(reef):
        backups_check(reef)
        if len(snapshots(reef, 1)) != 1:
            raise Failure(f"{len(snapshots(reef, 1))} snapshots are there, and one was to stay")

    def with_later_words(reef):
        backed_up(reef)
        say(reef, "alice", "a2")
        reef.run("reef-memory", "remember", "The clock stopped", "--persona", "alice", "-q")

    def sessions_of(reef, persona):
        return len(reef.run("reef-session", "list", "--persona", persona, "--json").stdout.splitlines())

    def memories_of(reef):
        return len(reef.run("reef-memory", "list", "--persona", "alice", "--json").stdout.splitlines())

    def either_check(reef):
        """Alice as she was or, once a run has finished it, as restored; bob loses nothing at any time."""
        if sessions_of(reef, "bob") != 2:
            raise Failure("bob lost a session")
        if sessions_of(reef, "alice") not in (1, 2) or memories_of(reef) not in (1, 2):
            raise Failure("alice is neither old nor new")
        reef.run("reef-session", "verify")
        reef.run("reef-memory", "verify")

    def restored_final(reef):
        either_check(reef)
        if sessions_of(reef, "alice") != 1 or memories_of(reef) != 1:
            raise Failure("alice is not restored")
        if (reef.tree / "data/backups/.restore").exists():
            raise Failure("the staging folder is left behind")

    def drilled_final(reef):
        left = [path.name for path in (reef.tree / "data/backups").iterdir() if path.is_dir()]
        if left:
            raise Failure(f"left behind: {', '.join(left)}")
        if '"drill"' not in (reef.tree / "data/backups/tier1.json").read_text():
            raise Failure("the drill is not recorded")

    return [
        Workload("init", empty, ("reef-init", "--persona", "alice", "--embedding", "tiny"), init_check, init_final),
        Workload("import", laid_out, ("reef-model", "import", model, "--name", "tiny"), model_check, model_final),
        Workload("import-force", with_model, ("reef-model", "import", other_model, "--name", "tiny", "--force", "--threads", 1), one_of_two, forced_final, tidy=models_tidy),
        Workload("import-adapter", with_note, ("reef-model", "import", adapter, "--name", "hers", "--persona", "alice", "--threads", 1), model_check, bound_final, tidy=tree_tidy),
        Workload("repack", with_shards_unaligned, ("reef-model", "repack", "bad", "--threads", 1), repack_check, repacked_final, tidy=models_tidy),
        Workload("extract", with_reference, ("reef-model", "extract", "tiny", TENSOR, "-o", "{root}/out.bin"), output_check, extracted_final, done=(0, 2), tidy=output_tidy),
        Workload("stream-file", with_reference, ("reef-model", "stream", "tiny", "-o", "{root}/out.bin"), output_check, streamed_final, done=(0, 2), tidy=output_tidy),
        Workload("stream-shm", with_reference, ("reef-model", "stream", "tiny", "-o", "shm:{shm}", "--force"), shm_check, shm_final, tidy=shm_tidy),
        Workload("fetch", with_source, ("reef-model", "fetch", "tiny", "--threads", 1), model_check, fetched_final),
        Workload("fetch-tier3", with_tier3, ("reef-model", "fetch", "tiny", "--threads", 1), model_check, fetched_final),
        Workload("archive", with_archive, ("reef-model", "archive", "tiny", "--threads", 1), somewhere_check, archived_final),
        Workload("unarchive", archived, ("reef-model", "fetch", "tiny", "--threads", 1), somewhere_check, brought_back_final, relocate_archive),
        Workload("manifest", with_model, ("reef-model", "manifest", "tiny", "--tensors", "--threads", 1), model_check, recorded_final),
        Workload("sign", with_model, ("reef-model", "manifest", "sign", "tiny", "--key", key), model_check, signed_final),
        Workload("load", with_model, ("reef-model", "load", "tiny", "--threads", 1), cache_check, loaded_final),
        Workload("load-stream", with_model, ("reef-model", "load", "tiny", "--strategy", "stream"), cache_check, loaded_final),
        Workload("load-evicting", with_small_cache, ("reef-model", "load", "tiny", "--threads", 1), cache_check, loaded_final),
        Workload("evict", loaded, ("reef-model", "cache", "evict", "tiny", "--force"), cache_check, evicted_final),
        Workload("trim", with_full_caches, ("reef-model", "cache", "trim"), cache_check, trimmed_final),
        Workload("pin", loaded_unpinned, ("reef-model", "cache", "pin", "tiny"), cache_check, pinned_final(True)),
        Workload("unpin", loaded_pinned, ("reef-model", "cache", "unpin", "tiny"), cache_check, pinned_final(False)),
        Workload("ingest", with_model, ("reef-index", "ingest", inputs, "--threads", 1), tolerant_verify, documents_final),
        Workload("build", with_documents_and_holes, ("reef-index", "build", "--threads", 1), tolerant_verify, built_final),
        Workload("remove", with_documents, ("reef-index", "remove", note), tolerant_verify, removed_final, done=(0, 5)),
        shard_workload("shard-out", "tree", ".drives/a"),
        shard_workload("shard-on", ".drives/a", ".drives/b"),
        shard_workload("shard-back", ".drives/b", "tree"),
        split_workload("split", "", "ab"),
        split_workload("split-anew", "ab", "bc"),
        split_workload("join", "ab", ""),
        Workload("remove-one", with_documents, ("reef-index", "remove", "line-1"), tolerant_verify, one_removed_final, done=(0, 5)),
        Workload("add", with_vectors, ("reef-index", "add", *given("new"), "--threads", 1), whole_check, added_final),
        Workload("build-vectors", with_vectors, ("reef-index", "build", *given("new"), "--threads", 1), whole_check, replaced_final),
        Workload("memory-remember", with_memories, ("reef-memory", "remember", "My phone number is now 555-0199", "--persona", "alice", "--threads", 1), remembered_check, remembered_final, tidy=tree_tidy),
        Workload("memory-export", with_memories_of_another_model, ("reef-memory", "export", "--persona", "alice", "--threads", 1), memory_check, export_final, tidy=tree_tidy),
        Workload("memory-forget", with_marked_words, ("reef-memory", "forget", "--matching", "quixotic", "--with-source", "--persona", "alice", "--yes"), forgotten_check, forgotten_final, tidy=tree_tidy),
        Workload("session-import", laid_out, ("reef-session", "import", talk, "--persona", "alice"), session_check, imported_final, tidy=tree_tidy),
        Workload("session-index", with_turns, ("reef-session", "index", "--persona", "alice", "--threads", 1), turns_check, turns_final),
        Workload("session-index-again", with_turns, ("reef-session", "index", "--persona", "alice", "--again", "--threads", 1), turns_check, turns_final),
        Workload("session-words", with_lost_words, ("reef-session", "index", "--rebuild-words"), words_check, words_final, relocate_sessions, tidy=tree_tidy),
        Workload("session-archive", with_conversations, ("reef-session", "archive", "s0", "s1"), readable_check, archived_sessions_final, tidy=tree_tidy),
        Workload("session-delete", with_archived_session, ("reef-session", "delete", "s0", "s1", "--yes"), session_check, deleted_final, relocate_sessions, done=(0, 3, 5), tidy=tree_tidy),
        Workload("persona-rename", with_two_personas, ("reef-persona", "rename", "alice", "bea"), persona_check, persona_renamed_final, tidy=persona_tidy),
        Workload("persona-remove", with_two_personas, ("reef-persona", "remove", "alice", "--confirm", "alice"), persona_check, persona_removed_final, done=(0, 3), tidy=persona_tidy),
        Workload("persona-export", with_two_personas, ("reef-persona", "export", "alice", "-o", "{root}/alice.tar.zst", "--threads", 1), exported_check, exported_final, done=(0, 2), tidy=lambda reef: leftovers(reef.root)),
        Workload("persona-import", with_archive_of_alice, ("reef-persona", "import", inputs.parent / "alice.tar.zst", "--as", "carol", "--threads", 1), persona_check, persona_imported_final, done=(0, 2), tidy=persona_tidy),
        Workload("consolidate", with_chat, consolidate, memories_check, consolidated_final),
        Workload("backup-tier1", backed_up, ("reef-backup", "tier1", "--adopt", "--threads", 1), backups_check, backup_final, done=(0, 3), read_only=True),
        Workload("backup-tier2", with_dated_folder, ("reef-backup", "tier2", "--adopt", "--threads", 1), backups_check, backup_final, done=(0, 3), read_only=True),
        Workload("backup-prune", with_old_snapshots, ("reef-backup", "prune", "--tier", 1), backups_check, pruned_final, adopt, read_only=True),
        Workload("restore-persona", with_later_words, ("reef-restore", "persona", "alice", "--tier", 1, "--yes", "--threads", 1), either_check, restored_final, read_only=True),
        Workload("restore-drill", backed_up, ("reef-restore", "drill", "--tier", 1, "--threads", 1), backups_check, drilled_final, read_only=True),
        Workload("build-embedding", with_two_models, ("reef-index", "build", "--embedding", "other", "--threads", 1), embedded_check, embedded_final),
    ]


def leftovers(folder):
    left = [p for p in folder.rglob("*") if p.name.endswith(".tmp") or p.name.startswith(".staging")]
    if left:
        raise Failure(f"left behind: {', '.join(str(p.relative_to(folder)) for p in left[:5])}")


# ---- recording and choosing ------------------------------------------------------------------------------------------

class Call:
    def __init__(self, thread, name, ordinal, text, stack):
        self.thread, self.name, self.ordinal, self.text, self.stack = thread, name, ordinal, text, stack


def strace(options, log, argv):
    return subprocess.run(["strace", "-f", "-qq", "-e", "signal=none", *options, "-o", str(log), *argv],
                          capture_output=True, text=True, env=environment(), timeout=300)


def record(reef, command, work):
    """Every changing call of the first thread that concerns the tree, in order, with its ordinal by name."""
    log = work / "record.log"
    done = strace(["-y", "-k", "-s", "300", "-e", f"trace={CHANGING}"], log, reef.argv(*command))
    if done.returncode != 0:
        raise Failure(f"the recorded run ended with {done.returncode}: {done.stderr.strip()}")
    calls, counts, first, current = [], {}, None, None
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith(" > "):
            if current is not None and str(reef.bin_dir) in line:
                current.stack.append(line.split("(")[1].split(")")[0])
            continue
        current = None
        match = LINE.match(line)
        if not match:
            continue
        thread, name, text = match.group(1), match.group(2), match.group(3)
        first = first or thread
        counts[thread, name] = counts.get((thread, name), 0) + 1
        if thread != first or str(reef.root) not in text and reef.shm not in text:
            continue
        if name in ("openat", "open") and not re.search(r"O_CREAT|O_TRUNC", text):
            continue
        current = Call(thread, name, counts[thread, name], text.replace(str(reef.root), "ROOT").replace(reef.shm, "ROOT-shm"), [])
        calls.append(current)
    return calls


def kind_of_file(text):
    """The path of a call without what differs from file to file: digests, random and running numbers."""
    paths = re.findall(r"ROOT[^\s\">,]*", text)
    return tuple(re.sub(r"[0-9a-f]{16,}|\.[A-Za-z0-9]{6}\.tmp|\d+", "#", path) for path in paths)


def cases_of(calls, exhaustive, read_only):
    """Pairs of a call and what happens to it."""
    also = ("EROFS",) if read_only else ()
    if exhaustive:
        return [(call, mode) for call in calls for mode in ("KILL", "ENOSPC", "EIO", *also)]
    groups = {}
    for call in calls:
        groups.setdefault((call.name, kind_of_file(call.text), tuple(call.stack[:6])), []).append(call)
    cases = {}  # keyed, for the only call of a group is its first and its last
    for group in groups.values():
        for call, modes in ((group[0], ("KILL", "ENOSPC", *also)), (group[-1], ("KILL", "EIO"))):
            cases |= {(call.name, call.ordinal, mode): (call, mode) for mode in modes}
    # The same ones each time, from all over the run: in their order each second one is a kill.
    mixed = sorted(cases.values(), key=lambda case: zlib.crc32(f"{case[0].name} {case[0].ordinal} {case[1]}".encode()))
    return mixed[:Workload.MOST_CASES]


# ---- one case --------------------------------------------------------------------------------------------------------

def copy_tree(source, target):
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def run_case(bin_dir, prepared, workload, call, mode, work, keep):
    folder = Path(tempfile.mkdtemp(dir=work))
    root = folder / "tree"
    if prepared.exists():
        copy_tree(prepared, root)
    reef = Reef(bin_dir, root)
    if workload.relocate:
        workload.relocate(reef)
    fault = "signal=KILL" if mode == "KILL" else f"error={mode}"
    try:
        done = strace(["-e", f"trace={call.name}", "-e", f"inject={call.name}:{fault}:when={call.ordinal}"], os.devnull, reef.argv(*workload.command))
        if mode == "KILL" and done.returncode not in (-9, 137):
            raise Failure(f"was not killed: status {done.returncode}; the run is not the recorded one")
        if mode != "KILL" and done.returncode < 0:
            raise Failure(f"ended by signal {-done.returncode}: {done.stderr.strip()[-300:]}")
        if done.returncode not in (0, 1, 3, 4, 137, -9):
            raise Failure(f"status {done.returncode}: {done.stderr.strip()[-300:]}")
        if done.returncode in (1, 4) and "error:" not in done.stderr:
            raise Failure(f"status {done.returncode} without a word")
        workload.check(reef)
        if done.returncode == 0:
            workload.final(reef)  # it said that all is done
        again = subprocess.run(reef.argv(*workload.command), capture_output=True, text=True, env=environment(), timeout=120)
        if again.returncode != 0 and again.returncode not in workload.done:
            raise Failure(f"run again: status {again.returncode}: {again.stderr.strip()[-500:]}")
        workload.final(reef)
        workload.tidy(reef)
        return f"{mode} ended with {done.returncode}", None
    except (Failure, subprocess.TimeoutExpired, json.JSONDecodeError) as failure:
        return "failed", f"{workload.name}: {mode} at {call.name} #{call.ordinal} {call.text[:160]}: {failure}"
    finally:
        forget_shm(reef)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def forget_shm(reef):
    for path in Path("/dev/shm").glob(f"*{reef.shm}*"):
        path.unlink()


def run_workload(workload, arguments, work, fails, totals):
    prepared = work / f"{workload.name}-prepared"
    base = Reef(arguments.bin_dir, prepared)
    workload.prepare(base)
    recorded = work / f"{workload.name}-recorded"
    if prepared.exists():
        copy_tree(prepared, recorded)
    reef = Reef(arguments.bin_dir, recorded)
    if workload.relocate:
        workload.relocate(reef)
    calls = record(reef, workload.command, work)
    workload.final(reef)
    workload.tidy(reef)
    forget_shm(reef)
    cases = cases_of(calls, arguments.exhaustive, workload.read_only)
    print(f"{workload.name}: {len(calls)} changing calls, {len(cases)} cases", flush=True)
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(run_case, arguments.bin_dir, prepared, workload, call, mode, work, arguments.keep) for call, mode in cases]
        for run in concurrent.futures.as_completed(runs):
            outcome, fault = run.result()
            totals[outcome] = totals.get(outcome, 0) + 1
            if fault:
                fails.append(fault)
                print("FAIL " + fault, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bin_dir", type=lambda p: Path(p).resolve())
    parser.add_argument("--make-model", required=True, help="the program that writes a tiny model")
    parser.add_argument("--workload", action="append")
    parser.add_argument("--exhaustive", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", action="store_true", help="keep the folder of the cases")
    arguments = parser.parse_args()
    probe = shutil.which("strace") and subprocess.run(["strace", "-qq", "-k", "-o", os.devnull, "true"], capture_output=True)
    if not probe or probe.returncode != 0:
        print("skipped: no strace with stack traces, or no right to trace")
        return 77
    work = Path(tempfile.mkdtemp(prefix="reef-fault."))
    fails, totals = [], {}
    try:
        model = work / "model"
        subprocess.run([arguments.make_model, str(model)], check=True, stdout=subprocess.DEVNULL)
        other_model = work / "other"
        subprocess.run([arguments.make_model, str(other_model), "96"], check=True, stdout=subprocess.DEVNULL)
        write_unaligned(work / "unaligned")
        shutil.copytree(model, work / "adapter")
        (work / "adapter/config.json").rename(work / "adapter/adapter_config.json")
        write_inputs(work / "in")
        # Ten vectors, and twenty of which four replace some of them.
        for name, count, first, word in (("old", 10, 0, "harbour"), ("new", 20, 6, "pier")):
            subprocess.run([sys.executable, GIVEN_VECTORS, str(count), "24", str(work / name), "--from", str(first), "--word", word], check=True)
        for workload in workloads(arguments.bin_dir, model, other_model, work / "unaligned", work / "adapter", work / "in"):
            by_default = arguments.exhaustive or workload.name not in Workload.ON_REQUEST
            if workload.name in arguments.workload if arguments.workload else by_default:
                run_workload(workload, arguments, work, fails, totals)
    finally:
        if arguments.keep:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    print(", ".join(f"{outcome}: {count}" for outcome, count in sorted(totals.items())))
    print(f"{sum(totals.values()) - len(fails)} passed, {len(fails)} failed")
    return 1 if fails else 0


if __name__ == "__main__":
    sys.exit(main())
