"""The breaker of a host that is not the controller's ends the rollout on all hosts."""

import json

import pytest
from typer.testing import CliRunner

from croupier.features.clock import now_us
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.cli import app
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.embedded.host import Host
from croupier.serving.evidence import breakers
from croupier.serving.operate import watch
from croupier.serving.release import rollout_state, rollout_store
from croupier.serving.release.rollout_mirror import RolloutReader
from tests.serving.embedded import shop

WHY = "candidate: RuntimeError: caf\udce9"  # a reason that is no Unicode
SAID = r"candidate: RuntimeError: caf\udce9"


@pytest.fixture
def fleet(tmp_path):
    """The controller, and two hosts of one name in front of one store, which serve a candidate to 5 % of units."""
    made, store = [], str(tmp_path / "store")
    for name in ("controller", "a", "b"):
        shop.opened(tmp_path / name, store=store)
        host = "one-name" if name != "controller" else name
        made.append(Workspace(Settings(app="shop", var=tmp_path / name, store=store, host=host, unit_key="k" * 32)))
    shop.publish(made[0], FixedArm(arm="reel-03"), Uniform())
    return made


def trip(w, stage="5%"):
    CandidateBreaker(w.home / layout.BREAKER, failures=1).failed(1, stage, WHY)


def looked(controller):
    return watch.tick(controller.store, controller.home, controller.spec, now_us())


def share(w):
    return RolloutReader(w.home / layout.ROLLOUT_MIRROR, every=0.0).view(1).share


def test_an_embedded_hosts_breaker_ends_the_rollout_everywhere(fleet):
    controller, *hosts = fleet
    a, b = (Host(w, every=3600.0) for w in hosts)
    try:
        assert looked(controller).share == 0.05
        trip(b.w)
        b.look()
        state = looked(controller)
        assert (state.stage, state.share) == ("aborted", 0.0)
        assert state.history[-1]["reason"] == f"harm shown: breaker: {SAID} (on one-name)"
        assert [share(w) for w in hosts] == [0.05, 0.05]
        a.look()
        b.look()
        assert [share(w) for w in hosts] == [0.0, 0.0]
    finally:
        a.close()
        b.close()


def test_a_host_that_follows_beside_a_server_says_so_too(fleet):
    controller, _, b = fleet
    trip(b)
    settings = {"VAR": b.settings.var, "STORE": b.settings.store, "HOST": "host-b", "UNIT_KEY": "k" * 32}
    environment = {f"CROUPIER_{name}": str(value) for name, value in settings.items()}
    done = CliRunner().invoke(app, ["release", "follow", "--app", "shop"], env=environment)
    assert (done.exit_code, done.stdout) == (0, "release 1 deployed\n")
    assert looked(controller).history[-1]["reason"] == f"harm shown: breaker: {SAID} (on host-b)"


def test_what_another_stage_or_release_had_is_judged_already(fleet):
    controller, _, b = fleet
    report = breakers.BreakerReport(b.home, "host-b")
    trip(b)
    report.look(b.store, rollout_store.read_state(b.store))
    state = rollout_store.change(
        controller.store, lambda s: rollout_state.advance(s, "by hand", now=s.since + 1, by="test")
    )
    assert breakers.opened(controller.store, controller.home, state) == ""
    report.look(b.store, state)
    assert looked(controller).stage == "20%"
    trip(b, "20%")
    report.look(b.store, state)
    assert breakers.opened(controller.store, controller.home, state) == f"breaker: {SAID} (on host-b)"


def test_it_is_said_once_and_again_by_a_follower_that_was_started_again(fleet):
    _, _, b = fleet
    trip(b)
    state, report = rollout_store.read_state(b.store), breakers.BreakerReport(b.home, "host-b")
    report.look(b.store, None)
    assert b.store.list(layout.BREAKERS) == []
    report.look(b.store, state)
    (key,) = b.store.list(layout.BREAKERS)
    said = {"release": 1, "stage": "5%", "host": "host-b", "reason": f"breaker: {SAID}"}
    assert json.loads(b.store.get(key)) == said
    b.store.delete(key)
    report.look(b.store, state)
    assert b.store.list(layout.BREAKERS) == []
    breakers.BreakerReport(b.home, "host-b").look(b.store, state)
    assert json.loads(b.store.get(key)) == said


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"release": 1, "stage": "5%"}', b"\xff", b"null", b'"x"'])
def test_what_cannot_be_read_holds_the_rollout_until_it_is_gone(fleet, raw):
    controller = fleet[0]
    key = layout.beside(layout.BREAKERS, "0123456789abcdef.json")
    controller.store.put(key, raw)
    state = looked(controller)
    assert (state.stage, state.share) == ("5%", 0.05)
    assert state.held.startswith(f"no evidence: ValueError: {key}: found {raw[:60]!r} (")
    assert "delete it" in state.held
    controller.store.delete(key)
    assert key not in looked(controller).held
