"""Arms come and go without a promotion: what is released, what goes on, what new arms get, and what is dropped."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from croupier.features.encoding import catalogue
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.contract.requests import Request
from croupier.serving.evidence import comparison
from croupier.serving.operate import catalogue_release, succession
from croupier.serving.release import bundle_store, rollout_store
from croupier.serving.release.rollout_mirror import RolloutReader
from tests.serving.arm_shop import ARMS, MINUTE, NEW, START, Shop

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

IDS = [arm.arm_id for arm in ARMS]
FLOOR, SHARE = 0.04, 0.1


@pytest.fixture
def shop(tmp_path, monkeypatch):
    made = []

    def make(**kwargs):
        made.append(Shop(tmp_path / "var", monkeypatch, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.spool.close()


def test_a_new_arm_is_released_over_a_running_rollout_which_goes_on_where_it_stands(shop):
    s = shop(candidate=FixedArm(arm="a1"))
    before = rollout_store.read_state(s.w.store)
    units = [f"u{i}" for i in range(400)]
    roles = [a.role for a in s.selector.select([Request(unit_id=u, context={}, arms=IDS) for u in units])]
    assert s.look() == ""
    s.write([*ARMS, NEW])
    assert s.look() == "release 2"
    after, old, new = rollout_store.read_state(s.w.store), s.loaded(1), s.loaded(2)
    assert (after.release, after.continues) == (2, (1,))
    for name in ("stage", "share", "salt", "since", "stages", "held"):
        assert getattr(after, name) == getattr(before, name)
    assert after.history[-1]["reason"] == "catalogue: 1 added"
    assert (new.manifest["policies"], new.floor) == (old.manifest["policies"], old.floor)
    assert new.encoder.digest == old.encoder.digest
    assert new.salt != old.salt
    policies = [
        {f: d for f, d in r.manifest["files"].items() if f.startswith(("champion/", "candidate/"))} for r in (old, new)
    ]
    assert policies[0] == policies[1]
    again = s.selector.select([Request(unit_id=u, context={}, arms=[*IDS, "n0"]) for u in units])
    assert [a.role for a in again] == roles
    assert roles.count("candidate") > 5
    assert {a.release for a in again} == {2}
    assert [g.arms for g in new.golden if g.role == "champion"] == [["a0", "a1", "a2"], ["n0", *IDS]]


def test_evidence_of_the_rollout_is_gathered_over_its_catalogue_releases(shop):
    s = shop(candidate=FixedArm(arm="a1"))
    s.ask(100, IDS)
    s.write([*ARMS, NEW])
    assert s.look() == "release 2"
    s.ask(100, [*IDS, "n0"])
    state = s.tick()
    frame = comparison.decisions(s.w.store, s.w.spec.reward, state, now=s.now + MINUTE)
    assert frame["release"].to_list() == [1] * 100 + [2] * 100
    rows = comparison.compared(frame, state, s.loaded())
    assert (len(rows), set(frame["stage"])) == (200, {"5%"})
    assert (rows.assigned == (frame["role"] == "candidate").to_numpy()).all()


def test_changed_features_are_released_too(shop):
    s = shop()
    s.write([replace(ARMS[0], features={"price": 77.0}), *ARMS[1:]])
    assert s.look() == "release 2"
    assert s.loaded().manifest["meta"]["verdict"] == "catalogue: 1 changed"
    assert s.loaded().arms[0].features == {"price": 77.0}
    assert s.look() == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"[{", "InvalidEvent: catalogue: found"),
        (b'[{"arm_id": "a0"}, {"arm_id": "a0"}]', "'a0'"),
        (b'[{"arm_id": "a0", "features": {"price": "dear"}}]', "catalogue.a0.price: found 'dear'"),
        (b'[{"arm_id": "a0", "valid_too": 3}]', "catalogue[0].valid_too: found 3"),
        (b"[]", "found '0 arms, none of which can be chosen now'"),
        (b'[{"arm_id": "a0", "paused": true}]', "found '1 arms, none of which can be chosen now'"),
    ],
)
def test_a_broken_catalogue_is_refused_by_name_and_the_old_one_serves_on(shop, text, named):
    s = shop()
    path = s.w.home / "catalogue.json"
    path.write_bytes(text)
    for _ in range(2):  # at each look, not only at the first
        said = s.look()
        assert said.startswith("not released: ")
        assert named in said
    assert (s.number, s.loaded().arms) == (1, tuple(ARMS))
    assert {a.error for a in s.ask(20, IDS)} == {""}
    assert [k for k in s.w.store.list("releases/") if k.endswith("/claim")] == ["releases/000001/claim"]
    s.write([*ARMS, NEW])
    assert s.look() == "release 2"
    assert {a.error for a in s.ask(20, [*IDS, "n0"])} == {""}


def test_without_a_triton_that_answers_no_number_is_spent(shop, monkeypatch, nobody):
    s = shop()
    s.write([*ARMS, NEW])
    monkeypatch.setenv("CROUPIER_TRITON", nobody)
    s.w = type(s.w).open("shop")
    said = f"not released: TritonUnavailable: {nobody}: no Triton answers there; the catalogue goes live when it does"
    assert s.look() == said
    monkeypatch.delenv("CROUPIER_TRITON")
    s.w = type(s.w).open("shop")
    assert s.look() == "release 2"


def test_a_new_arm_gets_its_share_exactly_until_it_was_shown_often_enough(shop):
    s = shop(champion=FixedArm(arm="a2"))
    s.write([*ARMS, NEW, replace(NEW, arm_id="n1")])
    s.look()
    base = FLOOR / 6
    expected = {"a0": base, "a1": base, "a2": base + 1 - FLOOR, "a3": base, "n0": base, "n1": base}
    mixed = {a: (1 - SHARE) * p + (SHARE / 2 if a[0] == "n" else 0.0) for a, p in expected.items()}
    answers = s.ask(2000, list(expected))
    for a in answers[:50]:
        assert np.allclose(a.pmf, list(mixed.values()), rtol=0, atol=1e-15)
        assert a.propensity == a.pmf[list(expected).index(a.arm)]
    assert max(abs(sum(a.pmf) - 1) for a in answers) < 1e-12
    for arm in ("n0", "n1"):
        p, got = mixed[arm], np.mean([a.arm == arm for a in answers])
        assert abs(got - p) < 4 * np.sqrt(p * (1 - p) / 2000)  # 4 standard errors
    alone = s.ask(1, IDS)[0]
    assert np.allclose(alone.pmf, [0.01, 0.01, 0.97, 0.01], atol=1e-15), "a request without new arms is as it was"
    shown = sum(a.arm in ("n0", "n1") for a in answers)
    assert shown < 2 * 150
    s.ask(4000, list(expected), seed=1)
    assert s.look() == "release 3"
    assert s.loaded().manifest["meta"]["verdict"] == "catalogue: 2 new no more"
    assert np.allclose(s.ask(1, list(expected))[0].pmf, list(expected.values()), rtol=0, atol=1e-15)
    assert s.look() == ""
    wrong = [(d.event_id, f) for d in s.decisions()[::40] for f in s.replayed(d)]
    assert wrong == []
    assert {d.release for d in s.decisions()} == {2, 3}


def test_the_share_ends_for_each_arm_by_itself(shop):
    s = shop()
    s.write([*ARMS, NEW, replace(NEW, arm_id="n1")])
    s.look()
    s.ask(1000, [*IDS, "n0"])  # n1 is not asked for
    assert s.look() == "release 3"
    assert list(s.loaded().newcomers.since) == ["n1"]
    known, new = s.ask(1, [*IDS, "n0"])[0], s.ask(1, [*IDS, "n1"])[0]
    assert known.pmf == pytest.approx([0.2] * 5)
    assert new.pmf == pytest.approx([0.18] * 4 + [0.28])


def test_a_retired_arm_is_gone_from_the_next_releases_answers_and_is_said(shop):
    s = shop()
    assert {a.arm for a in s.ask(200, IDS)} == set(IDS)
    s.write(ARMS[:3])
    assert s.look() == "release 2"
    answers = s.ask(200, IDS)
    assert {a.arm for a in answers} == set(IDS[:3])
    assert {a.dropped for a in answers} == {("a3",)}
    assert np.allclose([a.pmf for a in answers], [1 / 3, 1 / 3, 1 / 3, 0.0])
    assert {d.arms for d in s.decisions()[200:]} == {("a0", "a1", "a2")}
    assert s.dropped() == {"retired": 200}
    refused = s.ask(1, ["a3"])[0]
    assert refused.error.startswith("arms: found 'a3', expected at least one arm that can be chosen now (this one: ret")
    assert s.ask(1, ["a0", "zz"])[0].error.startswith("arms: found 'zz', expected an arm of release 2")


def test_a_paused_arm_is_dropped_until_it_is_resumed(shop):
    s = shop()
    s.write([replace(ARMS[0], paused=True), *ARMS[1:]])
    s.look()
    assert {a.dropped for a in s.ask(50, IDS)} == {("a0",)}
    s.write(ARMS)
    assert s.look() == "release 3"
    assert {a.dropped for a in s.ask(50, IDS)} == {()}
    assert s.loaded().newcomers.since == {}, "what was known before is not new again"


def test_a_repeated_event_gets_its_first_answer_across_the_release(shop):
    s = shop()
    request = Request(unit_id="u", context={}, arms=IDS, event_id="again")
    first = s.selector.select([request])[0]
    s.write(ARMS[:3])
    s.look()
    second = s.selector.select([request])[0]
    assert (second.arm, second.propensity, second.release, second.dropped) == (first.arm, 0.25, 1, ())


def test_a_promotion_keeps_new_arms_new_and_retired_ones_retired(shop):
    s = shop(candidate=FixedArm(arm="a1"))
    s.write([*ARMS[:3], NEW])
    s.look()
    done = succession.promote(s.w.store, s.w.home, triton=None)
    s.follow()
    assert (done.number, s.loaded().champion.name) == (3, "fixed_arm")
    assert list(s.loaded().newcomers.since) == ["n0"]
    answer = s.ask(1, [*IDS, "n0"])[0]
    assert answer.dropped == ("a3",)
    assert answer.pmf == pytest.approx([0.009, 0.9 * 0.97, 0.009, 0.0, 0.009 + 0.1])
    assert s.loaded().continues == ()
    assert s.look() == ""


def test_a_rollback_serves_an_old_policy_over_todays_arms(shop):
    s = shop(champion=FixedArm(arm="a2"))
    s.write([*ARMS[:3], NEW])
    s.look()
    s.publish(Uniform())  # by an older hand, over the first arms
    assert s.look() == "release 4"
    done = succession.roll_back(s.w.store, s.w.home, 1, triton=None)
    s.follow()
    answer = s.ask(1, [*IDS, "n0"])[0]
    assert (done.number, answer.release, answer.dropped) == (5, 5, ("a3",))
    assert answer.pmf[2] > 0.8
    assert s.look() == ""


def test_the_reader_of_a_stage_trusts_either_number_between_release_and_state(shop):
    s = shop(candidate=FixedArm(arm="a1"))
    s.write([*ARMS, NEW])
    s.look()
    reader = RolloutReader(s.w.home / "rollout.json", every=0.0)
    assert reader.view(1).share == reader.view(2, (1,)).share == 0.05
    assert reader.view(7).share == 0.0


def test_the_file_that_was_changed_last_counts_whichever_host_has_it(shop, tmp_path, monkeypatch):
    s = shop()
    monkeypatch.setenv("CROUPIER_STORE", str(s.w.home / "store"))
    monkeypatch.setenv("CROUPIER_HOST", "first")
    s.w = type(s.w).open("shop")
    assert s.look() == ""
    other = tmp_path / "other"
    (other / "shop").mkdir(parents=True)
    for name in ("app.toml", "catalogue.json", "unit.key"):
        shutil.copy(s.w.home / name, other / "shop" / name)
    monkeypatch.setenv("CROUPIER_VAR", str(other))
    monkeypatch.setenv("CROUPIER_HOST", "second")
    second = type(s.w).open("shop")
    assert catalogue_release.look(second, START) == ""
    s.write([*ARMS, NEW])
    assert s.look() == "release 2"
    said = catalogue_release.look(second, s.now)
    assert said.startswith("not released: OldFile: ")
    assert "host first released at 2026-" in said
    assert bundle_store.current(s.w.store) == 2
    catalogue.write(second.home / "catalogue.json", [*ARMS, replace(NEW, arm_id="n7")])
    assert catalogue_release.look(second, s.now) == "release 3"
    assert "OldFile: " in s.look()
    assert bundle_store.current(s.w.store) == 3
