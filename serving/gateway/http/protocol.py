"""How answers travel: head and body in one packet. uvicorn writes them one after the other, each of them a call of the
system, a packet, and a wake-up of the caller."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class JoinedWrites:
    """A transport that sends what is written in one turn of the loop together; all else is as the transport has it."""

    def __init__(self, transport: Any) -> None:
        self._transport, self._held = transport, list[bytes]()
        self._loop = asyncio.get_running_loop()

    def write(self, data: bytes) -> None:
        """Sends it at the end of this turn, after what was written before."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Closes the connection once all is sent."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            whole, self._held = b"".join(self._held), []
            self._transport.write(whole)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GatewayProtocol(HttpToolsProtocol):
    """uvicorn's own, over such a transport."""

    def connection_made(self, transport: Any) -> None:
        """asyncio."""
        super().connection_made(JoinedWrites(transport))  # type: ignore[arg-type]
