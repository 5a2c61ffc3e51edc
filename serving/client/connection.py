"""A client's way to the server: one gRPC channel at a time, made anew when the old one may be what fails."""

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2_grpc

from croupier.serving.client import messages, secure
from croupier.serving.client.errors import Unavailable
from croupier.serving.client.messages import TensorColumns
from croupier.serving.client.secure import Tls
from croupier.serving.contract import codec

PROBE_MS = 500.0
OPTIONS = [
    ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),  # a probe's connection is a new one
]  # fmt: skip


class Connection:
    """Threads may share it. `generation` counts up when the channel is made anew."""

    def __init__(self, url: str, tls: Tls | None = None, token: str = "") -> None:
        secure.refuse_open_token(url, tls, token)
        self.url, self.generation = url, 0
        self._metadata = secure.metadata(token)
        self._credentials = tls.credentials() if tls is not None else None
        self._options = OPTIONS + (tls.options if tls is not None else [])
        self._probes = 0
        self._channel, self._infer = self._open()

    def call(self, model: str, columns: TensorColumns, seconds: float) -> dict[str, list[Any]]:
        """Columns of (datatype, one value a row). Raises Unavailable with what gRPC said."""
        return messages.call(self._infer, self.url, codec.infer_request(model, columns), seconds)

    def probe(self) -> bool:
        """Asks whether the server is back, in turn on the channel there is and on a new one, which stays when it is
        answered: an old one may hang for minutes after a network has healed, a new one costs an overloaded server ten
        calls."""
        self._probes += 1
        if self._probes % 2:
            return self._answers(self._infer)
        channel, infer = self._open()
        if not self._answers(infer):
            channel.close()
            return False
        old, self._channel, self._infer = self._channel, channel, infer
        self.generation += 1
        old.close()
        return True

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _answers(self, infer: Any) -> bool:
        """A canary selection, in full."""
        try:
            messages.call(infer, self.url, codec.infer_request("select_arm", messages.CANARY_COLUMNS), PROBE_MS / 1000)
        except Unavailable:
            return False
        return True

    def open_aio(self) -> tuple[Any, Any]:
        """Opens the channel for asyncio, and its ModelInfer."""
        return self._opened(grpc.aio.insecure_channel, grpc.aio.secure_channel)

    def _open(self) -> tuple[Any, Any]:
        return self._opened(grpc.insecure_channel, grpc.secure_channel)

    def _opened(self, insecure: Callable[..., Any], with_tls: Callable[..., Any]) -> tuple[Any, Any]:
        """The channel, and its ModelInfer, which carries the token."""
        if self._credentials is None:
            channel = insecure(self.url, options=self._options)
        else:
            channel = with_tls(self.url, self._credentials, options=self._options)
        infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        return channel, partial(infer, metadata=self._metadata) if self._metadata else infer
