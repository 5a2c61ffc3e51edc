"""A program that ends with the process that started it, however that one ends.

    python -m croupier.features.engines.with_parent PID MODULE ARGUMENTS…

runs a module as `python -m MODULE` does. Where the process PID, which is its parent, dies, Linux sends it SIGTERM.
Other systems do not, and the module then runs to its end. Who is killed by SIGKILL cannot end anything before it dies.
"""

import ctypes
import os
import runpy
import signal
import sys

PARENT_DEATH = 1  # PR_SET_PDEATHSIG: man 2const PR_SET_PDEATHSIG
STARTER = "CROUPIER_STARTED_BY"  # in the environment of what is run: who a process of its own ends with


def end_with(parent: int, by: signal.Signals) -> None:
    """Has the system send this process a signal once its parent has ended, or ends it now where that has happened.

    The parent is the thread that started this process: it has to wait for it."""
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PARENT_DEATH, int(by), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl: this process cannot be ended with its parent")
    if os.getppid() != parent:  # it ended before it was asked for
        os.kill(os.getpid(), by)


def main(parent: str, module: str, *arguments: str) -> None:
    """Runs the module; its own processes find who to end with in the environment."""
    end_with(int(parent), signal.SIGTERM)
    os.environ[STARTER] = str(os.getpid())
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
