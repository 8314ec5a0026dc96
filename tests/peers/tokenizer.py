#!/usr/bin/env python3
"""Compares reef's token ids with those of Hugging Face's `tokenizers`, line by line.

    python3 -m pip install 'tokenizers==0.22.*'
    tests/peers/tokenizer.py build/release/bin/bench_tokenize MODEL_FOLDER [FILE…]

FILEs are any bytes; what is no UTF-8 is U+FFFD on both sides. Besides them, lines generated from a
fixed seed are compared: every block of Unicode, marks, emoji, special tokens, damaged UTF-8. Each
line is compared in full and cut to a few tokens. Ends with status 1 when any line differs.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import tokenizers

PIECES = ["[CLS]", "[MASK]", "[SEP]", "[UNK]", "[PAD]", "[mask]", "[[MASK]]", "##ing", "#", "the", "Straße", "İstanbul",
          "naïve", "x" * 99, "x" * 100, "x" * 101, "é" * 100, "e\u0301" * 100, "e\u0301" * 101, "한국어", "각", "\u1100\u1161\u11a8",
          "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "日本語", "ガ", "か\u3099", "\u0000", "\u000b", "\u000c", "\u0085", "\u00ad", "\u200b", "\ufeff",
          "\u2028", "\u3000", "\ue000", "\U000f0000", "\U0010ffff", "\ufffd", "\U000e0001", "\u0378", "\U0001fffe", "Ǆ",
          "ﬁ", "①", "½", "ΑΣ", "ς", "\U0001d15e", "\U0001d1bb", "\u302e", "\u1df6", "\u0f73", "\u0344", "豈", "\uf900",
          "\U0002f800", "don't", "e.g.", "1,000.5", "$5", "€5", "`", "´", "\u037e", "\u1fef", "\u0300", "a\u0300\u0316b"]
BROKEN = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\x80", b"\xe0\x80"]


def generated(count, seed=20261124):
    rng = random.Random(seed)
    planes = [(0x20, 0x7F), (0x80, 0x250), (0x250, 0x600), (0x600, 0x1100), (0x1100, 0x2000), (0x2000, 0x3400),
              (0x3400, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000), (0x1D000, 0x1D300), (0x1F000, 0x20000),
              (0x20000, 0x31000), (0xE0000, 0xE0200), (0x300, 0x370), (0x8D0, 0x900), (0x1DC0, 0x1E00), (0x20, 0x110000)]
    marks = [chr(code) for code in (*range(0x300, 0x370), *range(0x8D3, 0x8FF), 0x302E, 0x302F, 0x1D165, 0x1D16D, 0x1D16E,
                                    0x1DF6, 0x1DF7, 0x1DF9, 0x1DFA, 0x1B44, 0x1BAA, 0x10A0F, 0x16FF0, 0x1E944, 0x11442, 0x34F, 0xFE0F, 0x93C, 0x941)]
    for _ in range(count):
        parts = []
        for _ in range(rng.randint(1, 12)):
            kind = rng.random()
            if kind < .35:
                parts.append(rng.choice(PIECES).encode())
            elif kind < .75:
                low, high = rng.choice(planes)
                codes = [rng.randrange(low, high) for _ in range(rng.randint(1, 12))]
                parts.append("".join(chr(c) for c in codes if not 0xD800 <= c < 0xE000).encode())
            elif kind < .9:
                parts.append("".join(["a", *rng.choices(marks, k=rng.randint(1, 8))]).encode())
            else:
                parts.append(rng.choice(BROKEN))
            if rng.random() < .4:
                parts.append(b" ")
        yield b"".join(parts).replace(b"\n", b" ")
    for code in range(0x110000):  # each code point alone between letters
        if not 0xD800 <= code < 0xE000 and code != 0x0A:
            yield f"a{chr(code)}b".encode()


def load(folder):
    """The package's tokenizer: tokenizer.json, else vocab.txt with the switches of tokenizer_config.json."""
    if (folder / "tokenizer.json").exists():
        peer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text()) if path.exists() else {}
        peer = tokenizers.BertWordPieceTokenizer(
            str(folder / "vocab.txt"), lowercase=config.get("do_lower_case", True),
            strip_accents=config.get("strip_accents"), handle_chinese_chars=config.get("tokenize_chinese_chars", True))
    peer.no_padding()
    return peer


def ids_of(dump, folder, lines, max_tokens):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        command = [dump, str(folder), file.name] + ([str(max_tokens)] if max_tokens else [])
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [[int(word) for word in line.split()] for line in output.splitlines()]


def compare(name, dump, folder, peer, lines, max_tokens):
    texts = [line.decode("utf-8", "replace") for line in lines]
    peer.enable_truncation(max_tokens) if max_tokens else peer.no_truncation()
    ours = ids_of(dump, folder, lines, max_tokens)
    wrong = 0
    if len(ours) != len(lines):
        raise SystemExit(f"{name}: {len(ours)} answers for {len(lines)} lines")
    for text, mine, theirs in zip(texts, ours, peer.encode_batch(texts)):
        if mine != theirs.ids:
            wrong += 1
            if wrong <= 5:
                print(f"  {text[:200]!r}\n    reef {mine[:40]}\n    peer {theirs.ids[:40]}")
    print(f"{name}: {wrong} of {len(lines)} lines differ" + (f" (cut to {max_tokens})" if max_tokens else ""))
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dump", help="the executable bench_tokenize")
    parser.add_argument("model", type=pathlib.Path, help="folder with tokenizer.json or vocab.txt")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    parser.add_argument("--generated", type=int, default=20000, help="random lines (default %(default)s)")
    arguments = parser.parse_args()
    peer = load(arguments.model)
    sources = [(str(path), path.read_bytes().split(b"\n")) for path in arguments.files]
    sources.append(("generated", list(generated(arguments.generated))))
    wrong = sum(compare(name, arguments.dump, arguments.model, peer, lines, cut) for name, lines in sources
                for cut in (0, 7, 256))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
