"""A mail server of our own: it takes what it is given over SMTP (RFC 5321), and keeps it."""

import socketserver
from contextlib import contextmanager
from email import message_from_bytes, policy
from threading import Thread

SAID = {"EHLO": b"250 here\r\n", "DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}


class Letters(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.got = []

    @property
    def env(self):
        """The connection as a user of Airflow declares it."""
        host, port = self.server_address
        asked = "disable_ssl=True&disable_tls=True&retry_limit=1"
        return {"AIRFLOW_CONN_SMTP_DEFAULT": f"smtp://{host}:{port}/?from_email=croupier%40example.org&{asked}"}


class Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            verb = line[:4].decode().upper()
            self.wfile.write(SAID.get(verb, b"250 ok\r\n"))
            if verb == "DATA":
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.got.append(message_from_bytes(b"".join(lines), policy=policy.default))
                self.wfile.write(b"250 kept\r\n")
            if verb == "QUIT":
                return


@contextmanager
def mail_server():
    with Letters() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()
