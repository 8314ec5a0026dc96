#!/usr/bin/env python3
"""A language model's service for tests, on 127.0.0.1 and a free port, that ends when its stdin closes.

    chat_server.py PORT_FILE LOG_FILE

PORT_FILE appears, complete, once connections are accepted. LOG_FILE gets a JSON line for each request before its answer
begins. A message with the word "precious" scores 1, one with "dull" 0, others 0.5, and the reason quotes it; a summary
has a sentence for each of the first messages. The model's name says what the service does wrong (see `answer`).
"""
import http.server
import json
import sys
import threading
import time

sys.dont_write_bytecode = True
from local_server import serve

KEY = "secret-for-tests"
attempts = {}  # of each model, for those that fail at first
stopping = threading.Event()


def scores_of(messages):
    def score(text):
        return 1 if "precious" in text else 0 if "dull" in text else 0.5
    return [{"id": one["id"], "score": score(one["text"]), "reason": "it says " + one["text"]} for one in messages]


def sentences_of(messages):
    return [{"text": f"{one['speaker']} said: {one['text']}.", "sources": [one["id"]]} for one in messages[:4]]


def spoil(model, entries):
    """The entries of an answer that is wrong in what it says."""
    if model == "unknown-ids":
        for entry in entries:
            if "id" in entry:
                entry["id"] += 1000
            else:
                entry["sources"] = [1000, -1, "x", None]
    elif model == "missing-ids":
        del entries[1:]
    elif model == "doubled-ids":
        entries += entries[:1]
    elif model == "text-ids":
        for entry in entries:
            if "id" in entry:
                entry["id"] = str(entry["id"])
            else:
                entry["sources"] = [str(source) for source in entry["sources"]]
    elif model == "out-of-range":
        for i, entry in enumerate(entries):
            entry["score"] = [1.5, -0.1, "high", None][i % 4]
            entry["text"] = entry.get("text", "") + " unfounded"
            entry["sources"] = []
    elif model == "nothing":
        entries.clear()
    return entries


def content(model, name, entries):
    text = json.dumps({name: spoil(model, entries)})
    if model == "prose":
        return "I would say that the first of them {matters} most."
    if model == "fenced":
        return "Here you are:\n```json\n" + text + "\n```\nAnything else? {}"
    if model == "cut":
        return text[:-10]
    if model == "other-list":
        return json.dumps({"answers": entries})
    return text


def answer(model, name, entries, key):
    """(status, body as bytes or as what becomes JSON)"""
    attempts[model] = attempts.get(model, 0) + 1
    if model == "busy-twice" and attempts[model] <= 2:
        return 429, {"error": {"message": "slow down"}}
    if model == "error":
        return 500, {"error": {"message": "out of memory"}}
    if model == "refuses":
        return 400, {"error": {"message": "the policy forbids it"}}
    if model == "hangs-up":
        return None
    if model == "locked" and key != f"Bearer {KEY}":
        return 401, {"error": {"message": f"bad key {key}"}}
    if model == "no-json":
        return 200, b"<html>hello</html>"
    if model == "no-choice":
        return 200, {"choices": []}
    if model == "huge":
        return 200, b" " * (2 << 20)
    if model == "slow":
        time.sleep(5)
    if model == "never":
        stopping.wait()
    message = {"role": "assistant", "content": content(model, name, entries)}
    return 200, {"object": "chat.completion", "model": model,
                 "choices": [{"index": 0, "message": message, "finish_reason": "length" if model == "cut" else "stop"}]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        messages = json.loads(request["messages"][-1]["content"])["messages"]
        schema = request.get("response_format")
        name = schema["json_schema"]["name"] if schema else "scores" if "scores" in request["messages"][0]["content"] else "summary"
        key = self.headers.get("Authorization")
        with open(sys.argv[2], "a") as log:
            log.write(json.dumps({"path": self.path, "model": request["model"], "about": name, "key": key, "messages": messages,
                                  "temperature": request["temperature"], "format": schema and schema["type"]}) + "\n")
        entries = scores_of(messages) if name == "scores" else sentences_of(messages)
        reply = answer(request["model"], "scores" if name == "scores" else "sentences", entries, key)
        if request["model"] == "no-schema" and schema:
            reply = 400, {"error": {"message": "response_format is unknown"}}
        if reply is None:
            self.close_connection = True
            return
        status, body = reply
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


if __name__ == "__main__":
    serve(Handler, sys.argv[1])
    stopping.set()
