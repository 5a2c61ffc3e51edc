"""A real gateway on a free port, in processes of its own, and what asks it: for tests."""

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from croupier import Embedded
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.settings import Settings
from croupier.features.workspace import Workspace
from croupier.serving.gateway.ranking.rewards import RewardCall, of_event
from croupier.serving.triton.server import Ports

KEYS = "first-key-of-the-tests", "second-key-of-the-tests"
TOML = """
[reward]
window_seconds = 600.0
range = [0, 1]
[reward.kinds.click]
[context."device.type"]
type = "categorical"
[context.hour]
type = "numeric"
[arm.colour]
type = "categorical"
[arm_context.affinity]
type = "numeric"
"""
ARMS = {name: {"colour": name} for name in ("red", "green", "blue")}
SECONDS = 120  # for a server to come up on a busy machine


def declared(var, *, toml=TOML, arms=ARMS):
    Embedded.declared("shop", toml=toml, arms=arms, var=var).close()
    return var


def workspace(var):
    return Workspace(Settings(app="shop", var=var))


def joined(var):
    """Event → the interaction that training would read, after every reward window has closed."""
    w, now = workspace(var), datetime.now(UTC)
    with contextlib.closing(w.spool()) as spool:
        ship(spool, w.store, host="h")
    start, end = now - timedelta(hours=3), now + timedelta(hours=1)
    account = join_interval(w.store, w.spec.reward, start=start, end=end, now=now + timedelta(hours=3)).to_dict()
    rows = list(read_interactions(w.store, start=start, end=end).iter_rows(named=True))
    found = {row["event_id"]: row for row in rows}
    assert len(found) == len(rows), "each event once"
    return found, account


def reward(desk, event_id, body, once="", *, read=of_event):
    """Personalizer's reward, without a server. Raises CallProblem."""
    (problem,) = desk.rewards.take([RewardCall(event_id=event_id, body=body, reward_id=once, read=read)])
    if problem is not None:
        raise problem


def decisions(var, event_ids):
    """What the log holds of these events."""
    with contextlib.closing(workspace(var).spool()) as spool:
        return spool.find(list(event_ids))


def key_file(folder, *keys):
    """Written anew and put in its place at once, as an operator would."""
    draft, path = folder / ".keys", folder / "keys"
    draft.write_text("# of the tests\n" + "".join(f"{key}\n" for key in keys))
    draft.chmod(0o600)
    draft.replace(path)
    return path


class Gateway:
    """`call` asks it over a connection of its own; `said` is what it printed."""

    def __init__(self, var, *options, app="shop", **environment):
        self.port = Ports.free().grpc
        self.root = environment.get("CROUPIER_TLS_ROOT")  # it speaks TLS
        self.endpoint = f"{'https' if self.root else 'http'}://127.0.0.1:{self.port}"
        self.log = Path(var) / "gateway.log"
        command = [str(Path(sys.executable).with_name("croupier")), "gateway", "--app", app]
        env = os.environ | {"CROUPIER_VAR": str(var), "CROUPIER_DURABILITY": "NORMAL"} | environment
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{self.port}", *options],
                env=env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def _wait(self):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.call("GET", "/openapi.json")
                return
            time.sleep(0.05)
        self.stop()
        raise AssertionError(self.said)

    @property
    def said(self):
        return self.log.read_text()

    def call(self, method, path, body=None, *, key="", headers=None, raw=None):
        """(status, JSON or None). `raw`: bytes that stand for the body."""
        sent = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        given = {"Content-Type": "application/json"} if sent is not None else {}
        given |= {"Ocp-Apim-Subscription-Key": key} if key else {}
        with contextlib.closing(self._connection()) as connection:
            connection.request(method, path, sent, given | (headers or {}))
            reply = connection.getresponse()
            text = reply.read()
        return reply.status, json.loads(text) if text else None

    def _connection(self):
        if self.root:
            trusting = ssl.create_default_context(cafile=self.root)
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=SECONDS, context=trusting)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)

    def rank(self, **body):
        return self.call("POST", "/personalizer/v1.0/rank", {"actions": actions(*ARMS)} | body)

    def event(self, event_id, what, body=None, **options):
        return self.call("POST", f"/personalizer/v1.0/events/{event_id}/{what}", body, **options)

    def stop(self, how=signal.SIGTERM):
        """Every process of it; the group is ours alone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        self.process.wait(SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def actions(*names):
    return [{"id": name, "features": [{"colour": name}]} for name in names]
