#!/usr/bin/env python3
"""A server of files for tests, on 127.0.0.1 and a free port, that ends when its stdin closes.

    model_server.py PORT_FILE LOG_FILE FOLDER FAULTS_FILE [ID:SECRET REGION]

PORT_FILE appears, complete, once connections are accepted. LOG_FILE gets a JSON line for each request before its
answer begins. Files below FOLDER are served as a careful server does: strong ETags, Range, If-Range.

FAULTS_FILE, read at each request, may hold a JSON list of what goes wrong:
    {"path": "weights", "do": "cut", "bytes": 100, "times": 1}
for requests whose path holds that text, the first that fits, each `times` times (default: always):
    cut        closes the connection after so many bytes of the body
    hold       sends so many bytes of the body and then nothing more
    whole      ignores Range and If-Range
    blind      ignores If-Range alone
    no-etag    sends none; so does `"no_etag": true` of another fault
    short      sends so many bytes of a part that is longer, as a whole answer
    bare-416   answers 416 without the length of the file
    status     answers `status`, with Retry-After: `after` if given
    flip       inverts the byte at `at` of the file
    redirect   to `to`
    other      serves `file` of FOLDER instead

With ID:SECRET it is an S3 service: every request must carry a valid signature (AWS4-HMAC-SHA256) over host,
x-amz-content-sha256 and x-amz-date at least (sigv4.py); others are answered with 403.
"""
import hashlib
import http.server
import json
import os
import re
import sys
import threading
import urllib.parse

sys.dont_write_bytecode = True
from local_server import serve
from sigv4 import signature_fault

PORT_FILE, LOG_FILE, FOLDER, FAULTS_FILE = sys.argv[1:5]
KEY_ID, SECRET = sys.argv[5].split(":") if len(sys.argv) > 5 else (None, None)
REGION = sys.argv[6] if len(sys.argv) > 6 else None
used = {}  # how often each fault happened
lock = threading.Lock()
stopping = threading.Event()


def fault_for(path):
    try:
        with open(FAULTS_FILE) as file:
            faults = json.load(file)
    except FileNotFoundError:
        return {}
    with lock:
        for fault in faults:
            name = json.dumps(fault, sort_keys=True)
            if fault["path"] in path and used.get(name, 0) < fault.get("times", 1 << 30):
                used[name] = used.get(name, 0) + 1
                return fault
    return {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, headers, body=b""):
        """Sends the head; returns the body, which is still to be written."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        return body

    def do_GET(self):
        fault = fault_for(self.path)
        do = fault.get("do", "")
        request = {"path": self.path, "range": self.headers.get("Range"), "if_range": self.headers.get("If-Range"),
                   "authorization": bool(self.headers.get("Authorization")), "fault": do}
        with lock, open(LOG_FILE, "a") as log:
            log.write(json.dumps(request) + "\n")
        try:
            self.send(fault, do)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send(self, fault, do):
        wrong = KEY_ID and signature_fault("GET", self.path, self.headers, b"", KEY_ID, SECRET, REGION)
        if wrong:
            return self.wfile.write(self.answer(403, {}, f"<Error><Code>{wrong}</Code></Error>".encode()))
        if do == "status":
            headers = {"Retry-After": str(fault["after"])} if "after" in fault else {}
            return self.wfile.write(self.answer(fault["status"], headers, b"something \x1b[31mis wrong"))
        if do == "redirect":
            return self.wfile.write(self.answer(302, {"Location": fault["to"]}, b"elsewhere"))
        name = fault["file"] if do == "other" else urllib.parse.unquote(self.path.partition("?")[0])
        path = os.path.join(FOLDER, name.lstrip("/"))
        if not os.path.isfile(path):
            return self.wfile.write(self.answer(404, {}, b"no such file"))
        with open(path, "rb") as file:
            data = bytearray(file.read())
        etag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"'
        if do == "flip":
            data[fault["at"]] ^= 0xFF
        headers = {} if do == "no-etag" or fault.get("no_etag") else {"ETag": etag}
        status, body = 200, bytes(data)
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        is_same = do == "blind" or self.headers.get("If-Range", etag) == etag
        if begin and is_same and do != "whole":
            first = int(begin.group(1))
            if first >= len(data):
                return self.answer(416, {} if do == "bare-416" else {"Content-Range": f"bytes */{len(data)}"})
            last = min(len(data), first + fault["bytes"]) if do == "short" else len(data)
            status, body = 206, body[first:last]
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{len(data)}"
        self.answer(status, headers, body)
        if do not in ("cut", "hold"):
            return self.wfile.write(body)
        self.wfile.write(body[:fault["bytes"]])
        self.wfile.flush()
        if do == "hold":
            stopping.wait()
        self.close_connection = True


if __name__ == "__main__":
    serve(Handler, PORT_FILE)
    stopping.set()
