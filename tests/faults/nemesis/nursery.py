"""A process that has imported everything and run nothing, and forks a task for each line that it reads:
`python -m tests.faults.nemesis.nursery FOLDER`. A line is `TASK [PORT]`; the answer is the pid. What a task says goes to
FOLDER/TASK. To start an interpreter for each task that was killed would take most of the machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.faults.nemesis import worker


class Nursery:
    """The nursery as whoever starts it sees it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.faults.nemesis.nursery", str(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, env=environment, **pipes)

    def start(self, *task: str) -> int:
        """Returns the pid."""
        self._process.stdin.write(" ".join(task) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def run(self, *task: str) -> None:
        """Returns when the task has ended."""
        pid = self.start(*task)
        while alive(pid):
            time.sleep(0.1)

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()
        self._process.wait()


def alive(pid: int) -> bool:
    """True while it runs or is stopped."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main(folder: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that were killed
    for line in sys.stdin:
        task = line.split()
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        out = os.open(f"{folder}/{task[0]}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        try:
            worker.main(*task)
        finally:
            os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
