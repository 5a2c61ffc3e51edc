"""The workers of a gateway of several processes: one that dies or hangs is replaced, and none outlives its parent.

uvicorn's own supervisor asks one worker after the other whether it lives, and waits for the answer: while it waits for
one that was killed meanwhile, or hangs, it sees no other die.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence

from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

AGAIN_SECONDS = 5.0  # between two trials of a worker that cannot start
log = logging.getLogger("uvicorn.error")


class Workers(Multiprocess):
    """uvicorn's supervisor, which looks at each worker twice a second and waits for none. `timeout_worker_healthcheck`
    of its configuration: the seconds after which a worker that does not answer is hung, and killed."""

    def __init__(self, config: Config, sockets: Sequence[socket.socket]) -> None:
        super().__init__(config, list(sockets))
        self._asked: dict[Process, float] = {}  # that have yet to answer, since when
        self._born: dict[Process, float] = {}  # that took another one's place, since when
        self._serving: set[Process] = set()

    def keep_subprocess_alive(self) -> None:
        """Replaces the workers that died or hang. One that cannot start ends them all, where no other serves: another
        one could not start either. Else it is tried again now and then, for what is wrong may be mended meanwhile."""
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set() or self._well(process):
                continue
            self._asked.pop(process, None)
            self._serving.discard(process)
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE and not self._serving:
                log.error("worker %s could not start: the gateway stops", process.pid)
                self.should_exit.set()
            elif process.exitcode != STARTUP_FAILURE or time.monotonic() - self._born.get(process, 0.0) > AGAIN_SECONDS:
                log.warning("worker %s died; another one takes its place", process.pid)
                self._replace(place)

    def _replace(self, place: int) -> None:
        self._born.pop(self.processes[place], None)
        self.processes[place] = fresh = Process(self.config, self.sockets)
        fresh.start()
        self._born[fresh] = time.monotonic()

    def _well(self, process: Process) -> bool:
        """Whether it lives, and has answered in time; it is asked again once it has."""
        if not process.process.is_alive():
            return False
        try:
            if process in self._asked:
                if not process.parent_conn.poll():
                    return time.monotonic() - self._asked[process] < self.config.timeout_worker_healthcheck
                if process.parent_conn.recv():  # whether it has started
                    self._serving.add(process)
            process.parent_conn.send(b"ping")
        except (OSError, EOFError):
            return False
        self._asked[process] = time.monotonic()
        return True


def end_with_parent() -> None:
    """Stops this worker, as SIGTERM does, once the process that started it is gone, however that ended: nobody would
    replace it any more, and it would keep the port."""
    if (parent := multiprocessing.parent_process()) is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
