"""Debian's redis-server, where it is installed: run for real, in memory, on a port of its own."""

import shutil
import signal
import socket
import subprocess
import time

import pytest

from croupier.serving.triton.server import Ports

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.skipif(
    not SERVER, reason="no redis-server on the path: `apt-get install redis-server`, and stop the service it starts"
)


class RedisHere:
    """A server that keeps nothing on disk: stopped, it has lost all that it held."""

    def __init__(self, address="127.0.0.1"):
        self.address, self.port, self._process = address, Ports.free().grpc, None
        self.url = f"redis://{address}:{self.port}/0"
        self.start()

    def start(self):
        command = [SERVER, "--port", str(self.port), "--bind", self.address, "--save", "", "--appendonly", "no"]
        command += ["--protected-mode", "no"]  # else it answers loopback alone
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                socket.create_connection((self.address, self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("redis-server did not listen within 30 s")

    def hang(self):
        """It keeps its connections, and answers nobody until `go_on`."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
