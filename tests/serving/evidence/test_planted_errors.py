"""Errors that were planted and passed all other tests: each fails here."""

import pytest

from croupier.features.log.spool import Spool
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.decide.records import RawRecord, Records
from croupier.serving.evidence import comparison, gather
from croupier.serving.operate import trial
from croupier.serving.release import bundle, rollout_store
from tests.serving import apps
from tests.synced import Watched


def test_every_file_of_a_release_is_synced_before_it_has_its_name(tmp_path, monkeypatch):
    watched = Watched(monkeypatch)
    apps.write(tmp_path, Uniform(), FixedArm(arm="reel-01"))
    folder = tmp_path / "triton" / "select_arm" / "1"
    files = {p.relative_to(folder) for p in folder.rglob("*")}
    assert len(files) > 8
    synced = watched.synced_before(folder)
    (draft,) = {p for p in synced if p.name.startswith(".tmp-1-") and p.parent == folder.parent}
    assert {p.relative_to(draft) for p in synced if draft in p.parents} == files
    assert watched.synced_after(folder)


def test_so_is_a_version_in_tritons_repository(tmp_path, monkeypatch):
    apps.write(tmp_path / "made", Uniform())
    made = tmp_path / "made" / "triton" / "select_arm" / "1"
    watched = Watched(monkeypatch)
    target = trial.install(made, tmp_path / "triton", "select_arm")
    synced = {p.name for p in watched.synced_before(target)}
    assert {p.name for p in target.rglob("*")} <= synced
    assert bundle.verify(target)["number"] == 1


@pytest.mark.parametrize(("arm", "propensity"), [(b"a", 0.25), (b"b", 0.6), (b"c", 0.15)])
def test_a_clients_record_has_the_probability_of_the_arm_it_showed(tmp_path, arm, propensity):
    raw = RawRecord(
        unit_id=b"u",
        context=b"{}",
        arms=b'["a", "b", "c"]',
        arm_context=b"",
        event_id=b"e",
        arm=arm,
        pmf=b"[0.25, 0.6, 0.15]",
        at=10**15,
        reason=b"down",
    )
    spool = Spool(tmp_path / "log.db", durability="NORMAL")
    (outcome,) = Records(spool, unit_key="k").take([raw])
    found = spool.find(["e"])["e"]
    spool.close()
    assert (outcome.status, found.arm, found.propensity) == ("accepted", arm.decode(), propensity)


@pytest.mark.medium
@pytest.mark.parametrize(("harmful", "candidates", "champions", "harm"), [
    ("lower", 0.2, 0.8, True), ("lower", 0.8, 0.2, False), ("higher", 0.8, 0.2, True), ("higher", 0.2, 0.8, False),
])  # fmt: skip
def test_a_guardrail_knows_which_way_is_harm(house, harmful, candidates, champions, harm):
    h = house(
        FixedArm(arm="a1"),
        stages=(0.5, 1.0),
        guardrails={"like": harmful},
        guards={"like": lambda a: candidates if a.role == "candidate" else champions},
    )
    h.visits(1000)
    state = rollout_store.read_state(h.store)
    h.look()
    found = gather.gather(h.store, h.spec, state, h.selector.release, now=h.now)
    guard, sign = found.numbers["guardrails"]["like"], -1.0 if harmful == "higher" else 1.0
    assert guard["harm"] is harm
    assert ("like" in found.harms) is harm
    assert found.problems == (), "a decision without an event is a 0, within the range"
    assert guard["candidate"] * sign == pytest.approx(candidates, abs=0.06)
    assert guard["champion"] * sign == pytest.approx(champions, abs=0.06)


def test_evidence_is_of_its_own_release_alone(house):
    """A host that was late goes on serving the release before, whose arms and candidate are others."""
    h = house(FixedArm(arm="a0"), stages=(0.5, 1.0))
    late = h.selector
    h.release(FixedArm(arm="a2"))
    current, state = h.selector, rollout_store.read_state(h.store)
    h.selector = late
    former = {a.event_id for a in h.visits(300)}
    h.selector = current
    own = {a.event_id for a in h.visits(200)}
    h.look()
    rows = comparison.decisions(h.store, h.spec.reward, state, now=h.now)
    assert set(rows["event_id"]) == own
    assert not own & former
    found = gather.gather(h.store, h.spec, state, h.selector.release, now=h.now)
    assert found.numbers["candidate_decisions"] + found.numbers["champion_decisions"] == 200
