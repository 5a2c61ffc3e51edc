"""A real server for tests that have nothing to say of its end: a drain takes Triton four seconds, in which nothing else of
that process is tested. What it answered is in the spool before the answer leaves, so nothing that a test reads is lost."""

import contextlib
import os
import signal

from croupier.serving.triton.server import TritonServer


class EndedAtOnce(TritonServer):
    """Killed, group and all, where others are asked to end; its shared memory and its pid file go as usual."""

    def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        super().stop()
