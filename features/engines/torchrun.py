"""A function in several processes of this machine at once, which PyTorch's torchrun starts and watches.

Nothing here imports torch: torchrun is a program, and this file is what each of its processes runs. All of them end
with the process that asked for them (with_parent.py), also where that one is killed.
"""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson

from croupier.features.engines import with_parent
from croupier.features.store import layout

RESTARTS = 3  # of all processes, after one that died or failed
LOG, JOB, FAILED = (
    "workers.log",
    f"job{layout.JSON}",
    "failed",
)  # what they print; the job; beside it, why each of them failed
SHOWN = 2000  # characters of either in an error


def launch(function: str, job: bytes, *, workers: int, folder: Path) -> None:
    """Calls `function`, MODULE:NAME, with a job in JSON in so many processes. Where one dies, torchrun ends the others,
    and all are started anew: by a torchrun of its own, since in its own restarts (2.13) processes look for each other
    at the addresses of those that died. Raises RuntimeError where they fail more often than RESTARTS, with the end of
    what they said."""
    (folder / JOB).write_bytes(job)
    command = [sys.executable, "-m", with_parent.__name__, str(os.getpid()), "torch.distributed.run"]
    command += ["--nnodes=1", f"--nproc-per-node={workers}"]
    command += ["--max-restarts=0", "--monitor-interval=0.1", "--rdzv-backend=c10d", "--local-addr=127.0.0.1"]
    command += ["--rdzv-endpoint=127.0.0.1:0", "-m", __name__, function, str(folder / JOB)]
    paths = [path or str(Path.cwd()) for path in sys.path]  # so that they import what this process can
    env = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    for _ in range(1 + RESTARTS):
        for old in folder.glob(f"{FAILED}-*"):
            old.unlink()
        if _ended(command, env, folder / LOG) == 0:
            return
    why = [path.read_text() for path in sorted(folder.glob(f"{FAILED}-*"))] or [
        (folder / LOG).read_text(errors="replace")
    ]
    raise RuntimeError(f"{function}: failed in {workers} processes, restarts included: {'; '.join(why)[-SHOWN:]}")


def _ended(command: list[str], env: dict[str, str], log: Path) -> int:
    """The exit code of a torchrun. Whoever is interrupted while it runs ends it, and it its processes. The thread that
    starts it waits for it, since it ends with that thread."""
    with log.open("wb") as out, subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT) as running:
        try:
            return running.wait()
        finally:
            running.terminate()


def main(function: str, job: str) -> None:
    """One of the processes: calls the function with the job in that file. What it raises is kept beside the job. Where
    its torchrun is killed, it is killed, too."""
    with_parent.end_with(int(os.environ[with_parent.STARTER]), signal.SIGKILL)
    module, _, name = function.partition(":")
    try:
        getattr(importlib.import_module(module), name)(orjson.loads(Path(job).read_bytes()))
    except Exception as error:
        Path(job).with_name(f"{FAILED}-{os.environ['RANK']}").write_text(f"{type(error).__name__}: {error}")
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
