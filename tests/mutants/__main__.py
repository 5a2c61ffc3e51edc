"""Do the tests notice? `python -m tests.mutants [MODULE…] [--sample 40] [--seed 1] [--only LINE,…]` plants one small error
at a time into a module of modules.py and runs the fast tests of that module. No file is changed: each mutant lives in the
memory of one forked process. Prints what survived, and the share that was killed."""

import argparse
import difflib
import importlib.abc
import importlib.util
import os
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.mutants.doors import DOORS
from tests.mutants.modules import MEDIUM, MODULES, PRELOADED
from tests.mutants.planted import PLANTED

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300  # a mutant that runs for longer is killed by its time
SAID = Path(tempfile.gettempdir()) / f"mutants-{os.getpid()}"  # what the last run of tests said
FAST = "not slow and not full and not medium"


class Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from the source that it is given."""

    def __init__(self, name: str, source: str, path: Path) -> None:
        self.name, self.source, self.path = name, source, path

    def find_spec(self, fullname, path, target=None):
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.source, self.path, "exec"), module.__dict__)


def passing(name: str, source: str, path: Path, tests: tuple[str, ...], marks: str = FAST) -> bool:
    """True if the tests pass with `source` in the module's place, in a process of its own."""
    child = os.fork()
    if child == 0:
        os.setpgrp()
        signal.alarm(SECONDS)
        os.dup2(os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.dup2(1, 2)
        sys.meta_path.insert(0, Planted(name, source, path))
        import pytest

        present = [test for test in tests if (ROOT / test.partition("::")[0]).exists()]
        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", marks, *present])))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def changed(before: str, after: str) -> str:
    """The lines that differ, on one line."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "  ".join(line[:1] + " " + line[1:].strip() for line in lines if line[:2] not in ("--", "++", "@@"))


def judge(module: str, n: int, seed: int, only: set[int]) -> tuple[int, int]:
    """(killed, mutants) of a module."""
    from tests.mutants.sites import sample

    where, tests = MODULES[module]
    path, began = ROOT / where, time.monotonic()
    source, name = path.read_text(), "croupier." + where.removesuffix(".py").replace("/", ".")
    passes = partial(passing, marks="not slow and not full" if module in MEDIUM else FAST)
    if not passes(name, source, path, tests):
        raise SystemExit(f"{module}: its tests fail as it is\n{SAID.read_text()}")
    mutants = [m for m in sample(source, n, seed) if not only or m[0][0][0] in only]
    survived = [m for m in mutants if passes(name, m[2], path, tests)]
    killed = len(mutants) - len(survived)
    print(f"{module}: {killed} of {len(mutants)} killed, seed {seed}, {time.monotonic() - began:.0f} s", flush=True)
    for ((line, _), _), _, code in sorted(survived):
        print(f"    {where}:{line}  {changed(source, code)}", flush=True)
    return killed, len(mutants)


def replanted() -> bool:
    """Plants each error of planted.py and doors.py, and says which test noticed. True if all were. These tests pass without them, or
    `make test` fails."""
    missed = 0
    for what, (where, before, after, test) in (PLANTED | DOORS).items():
        path = ROOT / where
        source = path.read_text()
        if source.count(before) != 1:
            raise SystemExit(
                f"{what}: found {source.count(before)} places in {where}, expected one; mend planted.py or doors.py"
            )
        name = "croupier." + where.removesuffix(".py").replace("/", ".")
        noticed = not passing(name, source.replace(before, after), path, (test,), marks="")
        missed += not noticed
        print(f"{'noticed' if noticed else 'MISSED'}: {what}: {test}", flush=True)
    return missed == 0


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("modules", nargs="*", default=list(MODULES))
    asked.add_argument("--sample", type=int, default=40)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--only", default="", help="lines, by comma: of the same sample, only the mutants there")
    asked.add_argument("--planted", action="store_true", help="the errors of planted.py and doors.py instead")
    given = asked.parse_args()
    os.chdir(ROOT)
    for foreign in PRELOADED:
        importlib.import_module(foreign)
    if given.planted:
        raise SystemExit(0 if replanted() else 1)
    only = {int(line) for line in given.only.split(",") if line}
    scores = [judge(module, given.sample, given.seed, only) for module in given.modules or list(MODULES)]
    print(f"all: {sum(k for k, _ in scores)} of {sum(n for _, n in scores)} killed")


if __name__ == "__main__":
    main()
