"""S3 for tests: a moto server over HTTP on a free port, and keys for its clients in the environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def moto_server(address: str = "127.0.0.1") -> Iterator[tuple[Any, str]]:
    """(the server, its host:port)"""
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
        server.start()
        yield server, "{}:{}".format(*server.get_host_and_port())
        server.stop()
