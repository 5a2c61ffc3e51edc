"""Arms that come and go, through the real Triton: from catalogue.json to the answers within a minute, no promotion."""

import os
import re
import time
import urllib.request

import pytest

from croupier.features.clock import now_us
from croupier.models.baselines import FixedArm
from croupier.serving.client.client import Client
from croupier.serving.client.errors import Refused
from croupier.serving.operate import watch
from croupier.serving.release import bundle_store, newcomer_share, rollout_store
from croupier.serving.triton.server import Ports
from tests.serving.arm_shop import ARMS, NEW, Shop
from tests.serving.ended_at_once import EndedAtOnce

pytestmark = pytest.mark.slow
IDS = [arm.arm_id for arm in ARMS]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    made = Shop(tmp_path / "var", monkeypatch, candidate=FixedArm(arm="a1"), now=now_us())
    yield made
    made.spool.close()


@pytest.fixture
def triton(shop):
    with EndedAtOnce(shop.w.home, ports=Ports.free()) as server:
        yield server


def ask(client, n, arms):
    return [client.select(unit_id=f"u{i}", context={"age": 30.0}, arms=arms) for i in range(n)]


def dropped(triton, *, until):
    """Arms dropped, by reason, as /metrics has it; metrics are pushed each second."""
    for _ in range(300):
        with urllib.request.urlopen(f"http://127.0.0.1:{triton.ports.metrics}/metrics") as page:
            lines = [
                line for line in page.read().decode().splitlines() if line.startswith("croupier_dropped_arms_total{")
            ]
        found = {}
        for line in lines:
            labels, _, value = line.rpartition(" ")
            reason = re.search('reason="[^"]*"', labels)[0]
            found[reason] = found.get(reason, 0.0) + float(value)
        if sum(found.values()) >= until:
            break
        time.sleep(0.2)
    return found


def test_within_a_minute_the_new_arm_is_answered_and_the_retired_one_dropped_and_said(shop, triton):
    with Client(triton.grpc, deadline_ms=20_000, fallback=None) as client:
        before = ask(client, 150, IDS)
        assert {a.release for a in before} == {1}
        assert {a.arm for a in before} == set(IDS)
        stood = rollout_store.read_state(shop.w.store)
        began = time.monotonic()
        shop.write([*ARMS[:3], NEW])
        seen = watch.watch("shop")  # what the DAG does each minute
        after = ask(client, 300, [*IDS, "n0"])
        took = time.monotonic() - began
        busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        assert took < 60 * busy, f"{took:.0f} s"
        print(f"{took:.1f} s from the file to 300 answers")
        assert (seen["catalogue"], seen["promoted"]) == ("release 2", None)
        assert {a.release for a in after} == {2}
        assert {a.arm for a in after} == {"a0", "a1", "a2", "n0"}
        assert {a.dropped for a in after} == {("a3",)}
        assert {a.pmf[3] for a in after} == {0.0}
        champion = next(a for a in after if a.role == "champion")
        assert champion.pmf == pytest.approx([0.9 / 4] * 3 + [0.0, 0.9 / 4 + 0.1])
        assert [a.role for a in after[:150]] == [a.role for a in before], "sticky units"
        assert {a.role for a in after} == {"champion", "candidate"}
        with pytest.raises(Refused, match=r"^arms: found 'a3', expected at least one arm that can be chosen now"):
            ask(client, 1, ["a3"])
    now = rollout_store.read_state(shop.w.store)
    assert (now.release, now.continues, now.stage, now.since) == (2, (1,), stood.stage, stood.since)
    assert dropped(triton, until=300) == {'reason="retired"': 300.0}
    made = shop.decisions()
    assert {d.release for d in made} == {1, 2}
    assert [f for d in made[::9] for f in shop.replayed(d)] == []


def test_a_catalogue_release_that_does_not_verify_is_taken_back_and_the_old_one_answers(shop, triton, monkeypatch):
    """Planted: what is computed offline has no share for the new arm, so Triton's golden decisions differ from it."""
    with monkeypatch.context() as planted:
        planted.setattr(newcomer_share.Newcomers, "mixed", lambda self, pmf, batch, rows: pmf)
        shop.write([*ARMS, NEW])
        said = watch.watch("shop")["catalogue"]
    assert said.startswith("not released: ReleaseRefused: ")
    assert "golden decision" in said
    assert watch.watch("shop")["catalogue"].startswith(
        "not released: ValueError: refused before, and waits for another"
    )
    assert [(r["number"], r["status"]) for r in bundle_store.listed(shop.w.store)] == [(1, "current"), (2, "refused")]
    assert rollout_store.read_state(shop.w.store).release == 1
    with Client(triton.grpc, deadline_ms=20_000, fallback=None) as client:
        assert {(a.release, a.dropped) for a in ask(client, 20, IDS)} == {(1, ())}
        shop.write([*ARMS[:3], NEW])
        assert watch.watch("shop")["catalogue"] == "release 3"
        assert {(a.release, a.dropped) for a in ask(client, 20, [*IDS, "n0"])} == {(3, ("a3",))}
