"""A serving host, from outside: started, killed, ended, cut off, moved to another place under another name."""

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import psutil

from croupier.features.store import layout
from croupier.serving.release.rollout_state import RolloutState
from tests.namespaces import alone
from tests.serving.fleet.tritons.inside import PORT
from tests.serving.fleet.tritons.network import own_network

ROOT = Path(__file__).resolve().parents[4]
READER_SECONDS = 0.5  # a selector's reading of the mirror is so old at most
END_SECONDS = 240.0


class Machine:
    """`var` is its volume, `app(var)` the workspace there; `networks`: front and back."""

    def __init__(self, number, name, var, *, app, networks, environment):
        self.number, self.name, self.var = number, name, var
        self._app, self._networks, self._environment = app, networks, environment
        self.url = f"{networks[0].address(number)}:{PORT}"
        self.process, self.shares, self._turn = None, [], threading.Lock()

    def start(self):
        command = [sys.executable, "-m", "tests.serving.fleet.tritons.inside", self.name, str(self.number)]
        environment = self._environment | {"CROUPIER_VAR": str(self.var)}
        with (self.var / "inside.log").open("ab") as log:
            self.process = subprocess.Popen(alone(command), env=environment, cwd=ROOT, stdout=log, stderr=log)
        own_network(self.process.pid)
        self.front, self.back = (network.join(self.process.pid, self.number) for network in self._networks)
        return self

    def kill(self):
        """All of it at once, as when its power fails: the first process of its namespace goes, and every other with it."""
        self.process.kill()
        self.process.wait()

    def terminate(self):
        """SIGTERM to what runs within (inside.py)."""
        (first,) = psutil.Process(self.process.pid).children()
        (inside,) = first.children()
        inside.send_signal(signal.SIGTERM)

    def ended(self):
        """Waits until it has ended; returns what the shipper's last turn ended with."""
        return self.process.wait(END_SECONDS)

    def said(self, service):
        """What else than its turns a service told, and what failed beside it, from the end."""
        told = [(self.var / f"{name}.log").read_text().splitlines() for name in (service, "inside")]
        return [line for lines in told for line in lines if " rejects shipped; " not in line][-20:]

    def kill_triton(self):
        (triton,) = self.processes("tritonserver")
        triton.kill()

    def move(self, name, var):
        """Its volume goes on in another place, under another name."""
        shutil.move(self.var, var)
        self.name, self.var = name, var

    @contextmanager
    def cut(self, *links):
        for link in links:
            link.cut()
        yield
        for link in links:
            link.heal()

    def processes(self, name=""):
        found = psutil.Process(self.process.pid).children(recursive=True)
        return [p for p in found if name in p.name()]

    def megabytes(self):
        """Memory by program; what processes share counts once."""
        found = {}
        for process in self.processes():
            name = next((word for word in process.cmdline() if word in ("run", "follow", "ship")), process.name())
            pages = Path(f"/proc/{process.pid}/smaps_rollup").read_text().partition("\nPss:")[2].split()[0]
            found[name] = found.get(name, 0) + int(pages) // 1024
        return found

    def share(self):
        """What its mirror says now, 0.0 where there is none; every answer is kept, with the time since when it holds."""
        file = self._app(self.var).home / layout.ROLLOUT_MIRROR
        try:
            since, share = file.stat().st_mtime, RolloutState.from_json(file.read_bytes()).share
        except FileNotFoundError:
            return 0.0
        with self._turn:  # of two that read at once the one with the older answer may come last
            if not self.shares or (share != self.shares[-1][1] and since > self.shares[-1][0]):
                self.shares.append((since, share))
        return share

    def shares_between(self, begun, over):
        """The shares by which a decision that was asked for at `begun`, and answered at `over`, may have been assigned."""
        ends = [since for since, _ in self.shares[1:]] + [math.inf]
        held = zip(self.shares, ends, strict=True)
        return {share for (since, share), end in held if since <= over and end >= begun - READER_SECONDS}


def environment(**settings):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CROUPIER_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return clean | {"PATH": path} | {f"CROUPIER_{name}": str(value) for name, value in settings.items()}
