"""From a person's or the watch's abort to the last decision of the candidate: five seconds at most, on a real Triton under
traffic. Times are the log's and the journal's own, so a busy machine's clients do not count."""

import threading

import pytest
from typer.testing import CliRunner

from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import decision
from croupier.features.utc import SECOND
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.cli import app
from croupier.serving.client.client import Client
from croupier.serving.operate import publish
from croupier.serving.release import bundle, rollout_store
from croupier.serving.triton.server import Ports
from tests.serving.ended_at_once import EndedAtOnce
from tests.serving.watched import ARMS

pytestmark = [pytest.mark.slow, pytest.mark.alone]
LIMIT_SECONDS = 5.0
TOML = '[context.age]\ntype = "numeric"\n[arm.price]\ntype = "numeric"\n[reward.kinds.click]\n[rollout]\nstages = [0.5, 1.0]\n'


class Asking(threading.Thread):
    """Asks on and on, for a new unit each time, and says how often it was answered."""

    def __init__(self, url, name):
        super().__init__(name=name)
        self.url, self.stopping, self.answers = url, threading.Event(), []

    def run(self):
        with Client(self.url, deadline_ms=20_000, fallback=None) as client:
            while not self.stopping.is_set():
                unit = f"{self.name}-{len(self.answers)}"
                self.answers.append(client.select(unit_id=unit, context={}, arms=["a0", "a1", "a2"]))

    def wait_for(self, more):
        enough, given_up = len(self.answers) + more, threading.Event()
        while len(self.answers) < enough:
            assert self.is_alive()
            given_up.wait(0.02)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_APP", "shop")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app.toml").write_text(TOML)
    catalogue.write(tmp_path / "shop" / "catalogue.json", ARMS)
    return tmp_path / "shop"


def build(folder, number):
    w = Workspace.open("shop")
    bundle.write_release(
        folder,
        number=number,
        champion=Uniform(),
        candidate=FixedArm(arm="a1"),
        arms=ARMS,
        meta={},
        encoder=Encoder.empty(w.spec, ARMS),
        floor=0.1,
    )


def of_candidate(home):
    """When the candidate decided, UTC µs."""
    spool = Spool(home / "spool" / "log.db")
    found = [decision(body) for (body,) in spool.db.execute("SELECT body FROM decisions")]
    spool.close()
    return [d.at for d in found if d.role == "candidate"], [d.at for d in found if d.role == "champion"]


def test_five_seconds_after_an_abort_nobody_sees_the_candidate(home):
    w = Workspace.open("shop")
    publish.publish(w.store, home, build, triton=None, stages=w.spec.rollout.stages)
    with EndedAtOnce(home, ports=Ports.free()) as triton:
        callers = [Asking(triton.grpc, f"c{i}") for i in range(3)]
        [caller.start() for caller in callers]
        try:
            [caller.wait_for(60) for caller in callers]
            assert CliRunner().invoke(app, ["rollout", "abort", "--yes"]).exit_code == 0
            [caller.wait_for(200) for caller in callers]
        finally:
            [caller.stopping.set() for caller in callers]
            [caller.join() for caller in callers]
    aborted = rollout_store.read_state(w.store).history[-1]
    assert aborted["stage"] == "aborted"
    candidates, champions = of_candidate(home)
    assert len(candidates) > 30
    assert sum(at > aborted["at"] for at in champions) > 100
    late = (max(candidates) - aborted["at"]) / SECOND
    print(f"\nthe candidate's last decision {late:+.2f} s from the abort in the journal, of {len(candidates)}")
    assert late <= LIMIT_SECONDS
    assert max(champions) > max(candidates)
