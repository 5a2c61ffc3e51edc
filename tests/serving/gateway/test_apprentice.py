"""Apprentice mode: the app chooses, the policy learns to choose alike, and how often it would have is counted."""

import contextlib
import random
from datetime import timedelta

import numpy as np
import pytest

from croupier.features import build, clock
from croupier.features.interactions import imitation
from croupier.features.interactions.account import Account
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.schema import APPRENTICE
from croupier.features.utc import HOUR, MINUTE, from_us, to_us
from croupier.features.workspace import get_folder
from croupier.models import training
from croupier.models.gate.gate_page import state
from croupier.models.policy import load
from croupier.serving.decide import replay
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.problems import CallProblem
from croupier.serving.health.apprentice import agreement
from croupier.serving.operate.verdict_release import release_policies
from tests.serving.gateway.door import ARMS, TOML, actions, declared, reward, workspace

MODE = '[requests]\nlearning_mode = "apprentice"\n[policies]\ncandidates = ["vw_cb_adf"]\n'
N = 600
BEGAN = 1_790_000_000 * 10**6
CHOICE = {"phone": "green", "tablet": "red", "desk": "blue"}  # the app's own rule


@contextlib.contextmanager
def desk_of(var, monkeypatch, toml=TOML + MODE):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(var, toml=toml)))
    with contextlib.closing(Desk(Options(app="shop"))) as desk:
        yield desk


def ranked(desk, device, event_id):
    first = CHOICE[device]
    listed = actions(first, *(name for name in ARMS if name != first))
    return desk.rank({"actions": listed, "contextFeatures": [{"device": {"type": device}}], "eventId": event_id})


def test_the_first_action_is_the_answer_for_certain_and_so_it_is_logged(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch) as desk:
        answer = desk.rank({"actions": actions("green", "red", "blue"), "eventId": "e"})
        assert answer["rewardActionId"] == "green"
        assert [each["probability"] for each in answer["ranking"]] == [1.0, 0.0, 0.0]
        excluded = desk.rank({"actions": actions("green", "red", "blue"), "excludedActions": ["green"], "eventId": "f"})
        assert [each["id"] for each in excluded["ranking"]] == ["red", "blue", "green"]
        spool, host = desk.embedded.host.spool, desk.embedded.host
        found = spool.find(["e"])["e"]
        assert (found.arm, found.propensity, found.pmf, found.role) == ("green", 1.0, (1.0, 0.0, 0.0), APPRENTICE)
        load = {1: host.selector.release}.__getitem__
        steps = replay.replay(found, load=load, spool=spool, spec=host.w.spec.reward)
        assert [(s.step, s.detail) for s in steps if not s.holds] == []
        assert [s.step for s in steps][-3:] == ["pmf", "draw", "propensity"]
        told = desk.health()[1]["worker"]["apprentice"]
        assert told == {"decisions": 2.0, "agreed": pytest.approx((1 / 3 + 1 / 2) / 2)}, "of a policy that is uniform"
        assert desk.service()["learningMode"] == "Apprentice"


def test_a_slots_baseline_is_what_it_shows(tmp_path, monkeypatch):
    slots = [{"id": name, "baselineAction": arm} for name, arm in (("top", "blue"), ("side", "red"), ("end", "green"))]
    page = {"actions": actions("red", "green", "blue"), "slots": slots, "eventId": "p"}
    with desk_of(tmp_path, monkeypatch) as desk:
        assert [each["rewardActionId"] for each in desk.multislot(page)["slots"]] == ["blue", "red", "green"]
        logged = desk.embedded.host.spool.find(["p/top", "p/side"])
        assert [logged[f"p/{name}"].propensity for name in ("top", "side")] == [1.0, 1.0]


WRONG = {
    "found nothing, expected the action that the app shows in slot 's' by itself: in apprentice mode": {},
    "found 'zz', expected the action that the app shows in slot 's' by itself, one of actions": {"baselineAction": "zz"},
    "found '', expected the action that the app shows in slot 's' by itself, one of actions": {"baselineAction": ""},
    "found 'red', expected the action that the app shows in slot 's' by itself, none of its excludedActions": {
        "baselineAction": "red", "excludedActions": ["red"],
    },
    "found 'blue', expected the action that the app shows in slot 's' by itself: slot 'top' has this one": {"baselineAction": "blue"},
}  # fmt: skip


@pytest.mark.parametrize(("mode", "refused"), [(MODE, 5), ("", 2)])
def test_a_slot_whose_baseline_is_not_what_the_app_shows_is_refused(tmp_path, monkeypatch, mode, refused):
    """Without the mode only one that is no action is wrong: nothing else is made of it."""
    with desk_of(tmp_path, monkeypatch, TOML + mode) as desk:
        said = {}
        for i, (expected, slot) in enumerate(WRONG.items()):
            slots = [{"id": "top", "baselineAction": "blue"}, {"id": "s"} | slot]
            try:
                desk.multislot({"actions": actions("red", "green", "blue"), "slots": slots, "eventId": f"p{i}"})
            except CallProblem as error:
                said[expected] = error
        assert len(said) == refused
        for expected, problem in said.items():
            assert (problem.status, problem.field) == (400, "slots[1].baselineAction")
            assert problem.detail.startswith(f"slots[1].baselineAction: {expected}")
        assert desk.embedded.host.spool.counts()["decisions"] == 2 * (5 - refused)


def test_the_mode_holds_at_once_and_ends_at_once(tmp_path, monkeypatch):
    with desk_of(tmp_path, monkeypatch) as desk:
        toml = desk.embedded.host.w.home / "app.toml"
        assert {ranked(desk, "phone", f"a{i}")["rewardActionId"] for i in range(20)} == {"green"}
        toml.write_text(TOML)
        assert {ranked(desk, "phone", f"b{i}")["rewardActionId"] for i in range(40)} == set(ARMS)
        assert desk.service()["learningMode"] == "Online"
        rows = desk.embedded.host.spool.find(["a0", "b0"])
        assert (rows["a0"].role, rows["b0"].role, rows["b0"].propensity) == (
            APPRENTICE,
            "champion",
            pytest.approx(1 / 3),
        )


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """An app whose own rule was followed N times, over two hours; joined: (workspace, interval, its rows)."""
    rng, var = random.Random(3), tmp_path_factory.mktemp("lived")
    with pytest.MonkeyPatch.context() as patch, desk_of(var, patch) as desk:
        for i in range(N):
            with clock.at(BEGAN + i * MINUTE // 6):
                ranked(desk, rng.choice([*CHOICE]), f"e{i}")
                if i % 3 == 0:
                    reward(desk, f"e{i}", {"value": 1})
    w, start = workspace(var), from_us(BEGAN // HOUR * HOUR)
    end = start + timedelta(hours=4)
    with contextlib.closing(w.spool()) as spool:
        ship(spool, w.store, host="h")
    join_interval(w.store, w.spec.reward, start=start, end=end, now=end + timedelta(hours=3))
    return w, (start, end), read_interactions(w.store, start=start, end=end).sort("at")


@pytest.mark.medium
def test_rows_become_draws_of_one_arm_whose_reward_says_whether_it_is_the_apps(lived):
    w, _, rows = lived
    made = imitation.learnt(rows, w.spec)
    assert len(made) == N
    assert made["propensity"].to_list() == [1 / 3] * N
    assert made["pmf"].to_list() == [[1 / 3] * 3] * N
    agrees = [a == b for a, b in zip(made["arm"], rows["arm"], strict=True)]
    assert made["reward"].to_list() == [float(a) for a in agrees], "the app's own reward is not in it"
    assert abs(np.mean(agrees) - 1 / 3) < 4 * (2 / 9 / N) ** 0.5
    assert imitation.is_imitated(made)
    assert imitation.learnt(rows, w.spec).equals(made), "the same draw each time"


@pytest.mark.medium
def test_what_policies_decided_goes_before_once_there_is_enough_of_it(lived):
    w, _, rows = lived
    some = rows.with_columns(role=np.where(np.arange(N) < 300, "champion", APPRENTICE))
    assert imitation.learnt(some, w.spec).equals(some[:300])
    few = rows.with_columns(role=np.where(np.arange(N) < 199, "champion", APPRENTICE))
    assert imitation.is_imitated(imitation.learnt(few, w.spec))
    assert len(imitation.learnt(few, w.spec)) == N - 199
    none = rows.with_columns(role=np.where(np.arange(N) < N, "champion", ""))
    assert imitation.learnt(none, w.spec).equals(none)
    assert not imitation.is_imitated(none[:0])


def refused(policy):
    return {c["name"] for c in policy["conditions"] if state(c) == "no"}


@pytest.mark.slow
def test_as_it_is_such_a_log_supports_no_other_policy(lived, monkeypatch):
    """What the gate would say of the app's own rows, if they were not made rows to imitate."""
    w, (start, end), _ = lived
    monkeypatch.setenv("CROUPIER_VAR", str(w.settings.var))
    monkeypatch.setattr(imitation, "learnt_part", lambda rows, spec, **_: rows)
    with clock.at(to_us(end) + 3 * HOUR):
        found = build.encode("shop", start.isoformat(), end.isoformat())
        (verdict,) = training.judge([training.train("shop", found["features"], "vw_cb_adf")])
    policy = verdict["evaluation"]["policies"]["vw_cb_adf"]
    assert {"lift_lower", "estimators_agree", "features_before_decision"} <= refused(policy)
    assert verdict["promoted"] == ""


@pytest.mark.slow
def test_a_policy_learns_to_choose_as_the_app_does_is_judged_by_that_and_its_share_is_told(lived, monkeypatch):
    """The whole loop: train, gate, release; and the share in which the released policy agrees."""
    w, (start, end), _ = lived
    monkeypatch.setenv("CROUPIER_VAR", str(w.settings.var))
    before = agreement(w, end=end)
    assert (before.policy, before.share, before.decisions) == ("uniform", pytest.approx(1 / 3), N)
    with clock.at(to_us(end) + 3 * HOUR):
        span = start.isoformat(), end.isoformat()
        report, _ = build.validate("shop", *span, Account(decisions_in=N, interactions=N).to_dict())
        assert [finding.rule for finding in report.critical] == []
        found = build.encode("shop", *span)
        job = training.train("shop", found["features"], "vw_cb_adf")
        (verdict,) = training.judge([job])
        policy = verdict["evaluation"]["policies"]["vw_cb_adf"]
        assert policy["lift"]["lower"] > 0.2, "of agreement, which by chance is a third"
        assert "support" not in refused(policy), "each arm could have been drawn"
        learned = load(get_folder(w.store, job["candidate"], w.home / "learned"))
        encoder = build.encoder_of(w, found["features"])
        release_policies(w, champion=learned, candidate=None, encoder=encoder, arms=w.arms(), meta={"verdict": "test"})
    after = agreement(w, end=end)
    assert after.policy == "vw_cb_adf"
    assert after.share > 0.9
    assert after.chance == pytest.approx(1 / 3)
