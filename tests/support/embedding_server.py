#!/usr/bin/env python3
"""An embedding service for tests, on 127.0.0.1 and a free port, that ends when its stdin closes.

    embedding_server.py PORT_FILE LOG_FILE

PORT_FILE appears, complete, once connections are accepted. LOG_FILE gets a JSON line for each
request. The model's name says what the service does wrong (see `answer`); "plain" does nothing
wrong. A vector of DIM numbers depends on its text alone.
"""
import base64
import http.server
import json
import struct
import sys
import time
import zlib

sys.dont_write_bytecode = True
from local_server import serve

DIM = 8
KEY = "secret-for-tests"
attempts = {}  # of each model, for those that fail at first


def vector(text):
    state = zlib.crc32(text.encode())
    values = []
    for _ in range(DIM):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        values.append(state / 0x40000000 - 1)
    return values


def answer(model, texts, key):
    """(status, headers, body as bytes or as what becomes JSON)"""
    entries = [{"object": "embedding", "index": i, "embedding": vector(text)} for i, text in enumerate(texts)]
    good = {"object": "list", "model": model, "data": entries}
    attempts[model] = attempts.get(model, 0) + 1
    if model == "reversed":
        entries.reverse()
    elif model == "no-index":
        for entry in entries:
            del entry["index"]
    elif model == "base64":
        for entry in entries:
            entry["embedding"] = base64.b64encode(struct.pack(f"<{DIM}f", *entry["embedding"])).decode()
    elif model == "busy-twice" and attempts[model] <= 2:
        return 429, {"Retry-After": "0"}, {"error": {"message": "slow down"}}
    elif model == "down":
        return 503, {}, {"error": "loading"}
    elif model == "hangs-up-once" and attempts[model] == 1:
        return None
    elif model == "locked" and key != f"Bearer {KEY}":
        return 401, {}, {"error": {"message": "bad \x1b[31mkey"}}
    elif model == "absent":
        return 404, {}, {"message": "no such model"}
    elif model == "moved":
        return 302, {"Location": "http://127.0.0.1:1/"}, b""
    elif model == "no-json":
        return 200, {}, b"<html>hello</html>"
    elif model == "too-few":
        entries.pop()
    elif model == "doubled":
        entries[-1]["index"] = 0
    elif model == "short-vector":
        entries[-1]["embedding"].pop()
    elif model == "zero":
        entries[0]["embedding"] = [0] * DIM
    elif model == "huge":
        return 200, {}, b" " * (65 << 20)
    elif model == "slow":
        time.sleep(5)
    return 200, {}, good


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = request["input"]
        with open(sys.argv[2], "a") as log:
            log.write(json.dumps({"model": request["model"], "texts": len(texts), "first": texts[0]}) + "\n")
        reply = answer(request["model"], texts, self.headers.get("Authorization"))
        if reply is None:
            self.close_connection = True
            return
        status, headers, body = reply
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


if __name__ == "__main__":
    serve(Handler, sys.argv[1])
