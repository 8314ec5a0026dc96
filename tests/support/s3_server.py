#!/usr/bin/env python3
"""An S3 service for tests, on 127.0.0.1 and a free port, that ends when its stdin closes.

    s3_server.py PORT_FILE LOG_FILE FAULTS_FILE ID:SECRET REGION

It keeps one bucket, "tower", in memory, and knows what ObjectStore asks for: objects, ranges, lists, uploads in parts,
SHA-256 checksums. Every request must be signed (sigv4.py). PORT_FILE appears, complete, once connections are accepted.
LOG_FILE gets "METHOD PATH?QUERY" of each request.

FAULTS_FILE, read at each request, may hold a JSON list of what goes wrong:
    {"method": "PUT", "path": "partNumber=2", "do": "status", "times": 1}
for requests of that method (default: any) whose path and query hold that text, the first that fits, each `times` times
(default: always):
    status      answers `status`, with an error of `code` if given, and does nothing; `after`: Retry-After;
                `region`: which one it would be; `skew`: a Date that is so many seconds away
    late        does it, and then answers so
    drop        closes the connection without an answer; "drop-late": after it has done it
    hold        does not answer
    body        answers `status` (default 200) with `text` as its body
    cut         closes the connection in the middle of the answer's body
    flip        keeps other bytes than were sent
    short       keeps or sends a byte less
    silent      tells no checksums; so does `"silent": true` of another fault
    etag        answers with another ETag
    page        has `bytes` entries on a page of a list
    forget      forgets the upload first
"""
import base64
import email.utils
import hashlib
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

sys.dont_write_bytecode = True
from local_server import serve
from sigv4 import signature_fault

PORT_FILE, LOG_FILE, FAULTS_FILE = sys.argv[1:4]
KEY_ID, SECRET = sys.argv[4].split(":")
REGION = sys.argv[5]
BUCKET = "/tower"
MESSAGES = {"NoSuchKey": "The specified key does not exist.", "BadDigest": "The checksum does not fit."}
objects, uploads, used = {}, {}, {}  # key -> (bytes, checksum); id -> {"key", "parts"}; how often each fault happened
lock = threading.Lock()
stopping = threading.Event()


def fault_for(method, target):
    try:
        with open(FAULTS_FILE) as file:
            faults = json.load(file)
    except FileNotFoundError:
        return {}
    for fault in faults:
        name = json.dumps(fault, sort_keys=True)
        fits = fault.get("path", "") in target and fault.get("method", method) == method
        if fits and used.get(name, 0) < fault.get("times", 1 << 30):
            used[name] = used.get(name, 0) + 1
            return fault
    return {}


def checksum(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def error(status, code, more=""):
    text = escape(MESSAGES.get(code, "Something \x1b[31mis wrong."))
    return status, {}, f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{text}</Message>{more}</Error>'.encode()


def etag(data):
    return '"' + hashlib.md5(data).hexdigest() + '"'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with lock:
            fault = fault_for(self.command, self.path)
            with open(LOG_FILE, "a") as log:
                log.write(f"{self.command} {self.path}\n")
        do = fault.get("do", "")
        self.skew = fault.get("skew", 0)
        if do == "drop":
            self.close_connection = True
            return
        if do == "hold":
            stopping.wait()
        more = f"<Region>{fault['region']}</Region>" if "region" in fault else ""
        planned = error(fault.get("status", 500), fault["code"], more) if "code" in fault else (fault.get("status"), {}, b"")
        if "after" in fault:
            planned[1]["Retry-After"] = str(fault["after"])
        wrong = signature_fault(self.command, self.path, self.headers, body, KEY_ID, SECRET, REGION)
        if do == "status":
            answer = planned
        elif wrong:
            is_known = f"Credential={KEY_ID}/" in self.headers.get("Authorization", "")
            code = wrong if wrong.startswith("Signature") else "AccessDenied"
            if wrong.startswith("key"):
                code = "AuthorizationHeaderMalformed" if is_known else "InvalidAccessKeyId"
            answer = error(400 if code.startswith("Auth") else 403, code, f"<Region>{REGION}</Region><Why>{wrong}</Why>")
        elif do == "body":
            answer = fault.get("status", 200), {}, fault["text"].encode()
        else:
            with lock:
                answer = self.perform(body, fault, do)
            if do == "late":
                answer = planned
        if do == "drop-late":
            self.close_connection = True
            return
        self.send(*answer, do)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate((timestamp or time.time()) + self.skew, usegmt=True)

    def send(self, status, headers, body, do):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if do == "cut":
            body = body[:len(body) // 2]
            self.close_connection = True
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def perform(self, body, fault, do):
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        path = urllib.parse.unquote(path)
        if path != BUCKET and not path.startswith(BUCKET + "/"):
            return error(404, "NoSuchBucket")
        key = path[len(BUCKET) + 1:]
        given = self.headers.get("x-amz-checksum-sha256")
        if given and given != checksum(body):
            return error(400, "BadDigest")
        if do == "flip":
            body = bytes([body[0] ^ 1]) + body[1:]
        if do == "short" and self.command == "PUT":
            body = body[:-1]
        if not key:
            return self.list_uploads(query) if "uploads" in query else self.list_objects(query, fault)
        if "uploads" in query or "uploadId" in query:
            return self.upload(key, query, body, given, do, fault)
        if self.command == "PUT":
            objects[key] = body, given
            return 200, {"ETag": etag(body)} | self.told(given, do, fault), b""
        if self.command == "DELETE":
            objects.pop(key, None)
            return 204, {}, b""
        if key not in objects:
            return error(404, "NoSuchKey")
        data, kept = objects[key]
        headers = {"ETag": '"another"' if do == "etag" else etag(data)} | self.told(kept, do, fault)
        if self.command == "HEAD":
            return 200, headers | {"Content-Length": str(len(data))}, b""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return 200, headers, data
        first, last = int(match.group(1)), min(int(match.group(2) or len(data)), len(data) - 1)
        if first >= len(data):
            return error(416, "InvalidRange")[:1] + ({"Content-Range": f"bytes */{len(data)}"}, b"")
        part = data[first:last + 1 - (do == "short")]
        return 206, headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, part

    def told(self, kept, do, fault):
        return {"x-amz-checksum-sha256": kept} if kept and do != "silent" and not fault.get("silent") else {}

    def list_objects(self, query, fault):
        keys = sorted(key for key in objects if key.startswith(query["prefix"]) and key > query.get("continuation-token", ""))
        page = fault.get("bytes", 1000)
        entries = "".join(f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[key][0])}</Size></Contents>"
                          for key in keys[:page])
        more = f"<NextContinuationToken>{escape(keys[page - 1])}</NextContinuationToken>" if len(keys) > page else ""
        return 200, {}, (f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/'
                         f'2006-03-01/"><IsTruncated>{str(len(keys) > page).lower()}</IsTruncated>{entries}{more}'
                         f'</ListBucketResult>').encode()

    def list_uploads(self, query):
        entries = "".join(f"<Upload><Key>{escape(upload['key'])}</Key><UploadId>{name}</UploadId>"
                          f"<Initiated>{upload['begun']}</Initiated></Upload>"
                          for name, upload in uploads.items() if upload["key"].startswith(query["prefix"]))
        return 200, {}, f"<ListMultipartUploadsResult>{entries}</ListMultipartUploadsResult>".encode()

    def upload(self, key, query, body, given, do, fault):
        if "uploads" in query:
            name = f"upload-{len(used)}-{len(uploads)}-{time.monotonic_ns()}"
            begun = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - fault.get("age", 0)))
            uploads[name] = {"key": key, "parts": {}, "begun": begun}
            return 200, {}, (f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId>"
                             f"</InitiateMultipartUploadResult>").encode()
        name = query["uploadId"]
        if do == "forget":
            uploads.pop(name, None)
        if name not in uploads or uploads[name]["key"] != key:
            return error(404, "NoSuchUpload")
        parts = uploads[name]["parts"]
        if self.command == "PUT":
            parts[int(query["partNumber"])] = body, given
            return 200, {"ETag": '"another"' if do == "etag" else etag(body)} | self.told(given, do, fault), b""
        if self.command == "DELETE":
            del uploads[name]
            return 204, {}, b""
        if self.command == "GET":
            numbers = sorted(number for number in parts if number > int(query.get("part-number-marker", 0)))
            page = fault.get("bytes", 1000)
            entries = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag(parts[number][0]), {chr(34): '&#34;'})}"
                              f"</ETag><Size>{len(parts[number][0])}</Size></Part>" for number in numbers[:page])
            more = len(numbers) > page
            marker = f"<NextPartNumberMarker>{numbers[page - 1]}</NextPartNumberMarker>" if more else ""
            return 200, {}, (f"<ListPartsResult><IsTruncated>{str(more).lower()}</IsTruncated>{marker}{entries}"
                             f"</ListPartsResult>").encode()
        named = re.findall(r"<PartNumber>(\d+)</PartNumber><ETag>&quot;(.*?)&quot;</ETag>", body.decode())
        if [(n, e) for n, e in named] != [(str(n), etag(parts[n][0])[1:-1]) for n in sorted(parts)]:
            return error(400, "InvalidPart")
        data = b"".join(parts[number][0] for number in sorted(parts))
        whole = checksum(b"".join(hashlib.sha256(parts[number][0]).digest() for number in sorted(parts))) + f"-{len(parts)}"
        objects[key] = data, whole
        del uploads[name]
        told = "" if fault.get("silent") else f"<ChecksumSHA256>{whole}</ChecksumSHA256>"
        return 200, {}, f"   <CompleteMultipartUploadResult>{told}</CompleteMultipartUploadResult>".encode()


if __name__ == "__main__":
    serve(Handler, PORT_FILE)
    stopping.set()
