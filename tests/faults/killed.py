"""Processes that a test kills. Each is forked from a small server that has imported everything and run nothing, so that
no lock, no thread and no memory of the test's own process comes along.

When they are killed depends on what they have done, not on the clock: a busy machine shifts no kill.
"""

import multiprocessing as mp
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

processes = mp.get_context("forkserver")
processes.set_forkserver_preload(
    [
        "tests.faults.pipeline",
        "great_expectations",
        *(f"tests.faults.serving.test_{t}_faults" for t in ("catalogue", "publish", "rollout")),
    ]
)


def killed(work: Callable[..., Iterator[None]], *args: object, passes: int, later: float) -> None:
    """Run `work(*args)`, which yields after each thing it has done and never ends; kill -9 it `later` seconds after its
    pass number `passes` (0: after its start). EOFError if it ended by itself (its error is on stderr)."""
    told, tell = processes.Pipe(duplex=False)
    child = processes.Process(target=_work, args=(work, args, tell))
    child.start()
    tell.close()
    for _ in range(1 + passes):
        told.recv()
    time.sleep(later)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL


def _work(work: Callable[..., Iterator[None]], args: tuple, tell: Connection) -> None:
    tell.send(None)
    for _ in work(*args):
        tell.send(None)


def start(run: Callable[[Path, str], None], var: Path, task: str, cpu_seconds: float = 0) -> BaseProcess:
    """`run(var, task)` with CROUPIER_VAR set to `var`, ended by the kernel (SIGPROF, which nobody handles) when it has
    worked for `cpu_seconds`; 0: never. What a whole one took stands in var/cpu.TASK."""
    process = processes.Process(target=_until, args=(run, var, task, cpu_seconds))
    process.start()
    return process


def _until(run: Callable[[Path, str], None], var: Path, task: str, cpu_seconds: float) -> None:
    os.environ["CROUPIER_VAR"] = str(var)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    began = time.process_time()
    run(var, task)
    (var / f"cpu.{task}").write_text(str(time.process_time() - began))


def finish(run: Callable[[Path, str], None], var: Path, task: str) -> float:
    """CPU seconds of a task that nothing kills."""
    process = start(run, var, task)
    process.join()
    assert process.exitcode == 0, task
    return float((var / f"cpu.{task}").read_text())
