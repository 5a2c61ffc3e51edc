"""Chromium by its DevTools protocol over a pipe (--remote-debugging-pipe): a page is waited for by its own state, however
busy the machine is, and not by a clock."""

import json
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from typing import Any

HUNG = 600.0  # seconds in which nothing of a page's state moves
SILENT = 600.0  # seconds in which the browser says nothing at all
LOOKED = 5000  # ms, after which a page tells its state
LOOK = """new Promise(tell => {{ const look = () => ({done}) ? tell({{html: document.documentElement.outerHTML}}) :
  Date.now() > started + {looked} ? tell({{state: {state}}}) : setTimeout(look, 50); const started = Date.now(); look(); }})"""


class Browser:
    """One Chromium. `send` waits for the answer of what it sends."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._sent, self._left = 0, b""

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Returns the result; raises RuntimeError with what the browser says against it, or where it says nothing."""
        self._sent += 1
        asked = {"id": self._sent, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        for told in self._messages():
            if told.get("id") == self._sent:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                return told["result"]
        raise RuntimeError(f"{method}: the browser has ended")

    def _messages(self) -> Iterator[dict[str, Any]]:
        while True:
            whole, found, rest = self._left.partition(b"\0")
            if found:
                self._left = rest
                yield json.loads(whole)
                continue
            ready, _, _ = select.select([self._read], [], [], SILENT)
            if not ready:
                raise RuntimeError(f"the browser has said nothing for {SILENT:.0f} s")
            more = os.read(self._read, 1 << 20)
            if not more:
                return
            self._left += more


@contextmanager
def browser(program: str, *flags: str) -> Iterator[Browser]:
    """A Chromium that is ended on leaving."""
    its_read, write = os.pipe()
    read, its_write = os.pipe()
    ours = [fcntl(fd, F_DUPFD_CLOEXEC, 10) for fd in (its_read, its_write)]
    for fd in (its_read, its_write):
        os.close(fd)
    moved = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in zip(ours, (3, 4), strict=True)]
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (1, 2)]
    argv = [program, *flags, "--remote-debugging-pipe", "about:blank"]
    pid = os.posix_spawn(program, argv, os.environ, file_actions=[*moved, *quiet], setpgroup=0)
    for fd in ours:
        os.close(fd)
    try:
        yield Browser(read, write)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read)
        os.close(write)


def opened(chrome: Browser, page: Path, *, done: str, state: str = "0") -> str:
    """Returns a page's HTML once `done`, an expression of its own, is true. Raises RuntimeError where `state` has not
    changed for HUNG seconds."""
    target = chrome.send("Target.createTarget", url=page.as_uri())["targetId"]
    session = chrome.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    there = f"location.href == {json.dumps(page.as_uri())} && ({done})"  # at first it is about:blank
    last, since = None, time.monotonic()
    while time.monotonic() - since < HUNG:
        look = LOOK.format(done=there, state=state, looked=LOOKED)
        try:
            told = chrome.send("Runtime.evaluate", session, expression=look, awaitPromise=True, returnByValue=True)
        except RuntimeError as e:  # the page was not there yet, or went on to another one
            if "navigat" not in str(e) and "context" not in str(e):
                raise
            continue
        found = told["result"].get("value", {})
        if "html" in found:
            return str(found["html"])
        if found.get("state") != last:
            last, since = found.get("state"), time.monotonic()
    raise RuntimeError(f"{page}: found {state} = {last!r} for {HUNG:.0f} s, expected {done}")
