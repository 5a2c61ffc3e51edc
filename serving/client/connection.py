"""A client's way to the server: one gRPC channel at a time, made anew when the old one may be what fails."""

from typing import Any

import grpc
from tritonclient.grpc import service_pb2_grpc

from croupier.serving.client import messages
from croupier.serving.client.messages import Columns, Unavailable
from croupier.serving.contract import codec

PROBE_MS = 500.0
OPTIONS = [
    ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),  # a probe's connection is a new one
]  # fmt: skip


class Connection:
    """Threads may share it. `generation` counts up when the channel is made anew."""

    def __init__(self, url: str) -> None:
        self.url, self.generation = url, 0
        self._probes = 0
        self._channel, self._infer = self._open()

    def call(self, model: str, columns: Columns, seconds: float) -> dict[str, list[Any]]:
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

    def _open(self) -> tuple[Any, Any]:
        """The channel, and its bare ModelInfer."""
        channel = grpc.insecure_channel(self.url, options=OPTIONS)
        return channel, service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
