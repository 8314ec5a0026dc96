"""What the servers of the tests share: 127.0.0.1, a free port, an end when stdin closes."""
import http.server
import os
import sys
import threading


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients that hang up are part of the tests."""


def serve(handler, port_file):
    """Returns when stdin closes. `port_file` appears, complete, once connections are accepted."""
    handler.log_message = lambda *_: None
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(port_file + ".new", "w") as file:
        file.write(str(server.server_address[1]))
    os.rename(port_file + ".new", port_file)
    sys.stdin.buffer.read()
