"""A receiver of webhooks: it takes what is posted to it over HTTP, keeps it, and answers as it is told to."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Hooks(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Post)
        self.got, self.answers = (
            [],
            [],
        )  # (path, headers, body) of each post; codes to answer with, 200 once they are used up

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Post(BaseHTTPRequestHandler):
    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), json.loads(raw)))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Location", f"{self.server.url}/elsewhere")
        said = b"no_service" if self.path.startswith("/sick") else b"ok"
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@contextmanager
def hooks():
    with Hooks() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
