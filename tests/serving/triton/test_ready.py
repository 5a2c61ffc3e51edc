"""Who answers on Triton's port before Triton does: nobody, or something that speaks no HTTP."""

import socket
import threading

from croupier.serving.triton import server
from croupier.serving.triton.server import Ports


def test_an_echo_is_no_readiness():
    """As TCP's connection to itself, which a port that nobody listens on may give, would answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def echo():
            connection, _ = listening.accept()
            with connection:
                connection.sendall(connection.recv(4096))

        thread = threading.Thread(target=echo)
        thread.start()
        assert server.ready(Ports(grpc=port, http=port, metrics=port), "reward") is False
        thread.join()


def test_nobody_is_no_readiness():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert server.ready(Ports(grpc=port, http=port, metrics=port), "reward") is False
