"""A TCP proxy that misbehaves on command: what a network does to a client. Asyncio in a thread of its own.

pass | black_hole (swallows everything) | reset (RST at once) | delay (holds replies for `seconds`) | garbage
"""

import asyncio
import socket
import struct
import threading


class Proxy:
    def __init__(self, target: str, *, seconds: float = 5.0, at: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        host, _, port = target.rpartition(":")
        self.target, self.seconds, self.mode, self._at = (host, int(port)), seconds, "pass", at
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, *self._at))
        self.url = f"{self._at[0]}:{self._server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()

    def set(self, mode: str) -> None:
        self.mode = mode
        if mode == "reset":
            self._loop.call_soon_threadsafe(lambda: [_reset(w) for w in list(self._writers)])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "reset":
            return _reset(writer)
        self._writers.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
            self._writers.add(up_writer)
            await asyncio.gather(self._pump(reader, up_writer, False), self._pump(up_reader, writer, True))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in (writer, *([up_writer] if "up_writer" in locals() else [])):
                self._writers.discard(each)
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: bool) -> None:
        while data := await reader.read(65536):
            if self.mode == "black_hole":
                continue
            if self.mode == "delay" and reply:
                await asyncio.sleep(self.seconds)
            if self.mode == "garbage" and reply:
                data = b"\x00\xff" * (len(data) // 2 + 1)
            writer.write(data)
            await writer.drain()
        writer.close()

    def close(self) -> None:
        def stop() -> None:
            self._server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.call_later(0.05, self._loop.stop)

        self._loop.call_soon_threadsafe(stop)
        self._thread.join(timeout=5)
        self._loop.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
