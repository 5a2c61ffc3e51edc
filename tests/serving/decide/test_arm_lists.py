"""Lists of arms that come again are read once, and answered as if they were read each time; at what price."""

import time
from dataclasses import replace

import numpy as np
import pytest

from croupier.models import policy
from croupier.serving.contract.requests import Raw, Request
from croupier.serving.decide import arm_lists
from croupier.serving.decide.arm_lists import ArmLists
from croupier.serving.decide.selector import Selector
from croupier.serving.release import bundle
from tests.serving import apps

B, K = 64, 20
IDS = [arm.arm_id for arm in apps.sample().arms][:K]
OWN = {a.arm_id: {n: v for n, v in a.features.items() if n in apps.sample().spec.arm} for a in apps.sample().arms}


class Kept:
    """A log in memory."""

    def __init__(self):
        self.decisions, self.rejects = [], []

    def append_decisions(self, decisions):
        self.decisions += decisions
        return list(decisions)

    def append_rejects(self, rejects):
        self.rejects += rejects


def selector(tmp_path, name):
    """The app "both", in service with a policy that is trained on the sample's log."""
    learnt, app = policy.make(name), apps.sample()
    learnt = learnt.learn([app.log], seed=1) if name != "uniform" else learnt
    bundle.write_release(
        tmp_path / "1",
        number=1,
        champion=learnt,
        candidate=None,
        encoder=app.encoder,
        arms=app.arms,
        floor=0.02,
        meta={},
        salt="s",
        source="both",
    )
    return Selector(bundle.load(tmp_path / "1"), recorder=Kept(), rollout=None, unit_key="k")


def raws(kind, batch=0):
    """B requests of K arms: by id, or brought along, the same list for all ("shared") or each its own ("fresh")."""
    found = []
    for i, visit in enumerate(apps.sample().requests(B, seed=5)):
        prefix = {"shared": "in-", "fresh": f"in-{batch}-{i}-"}.get(kind, "")
        arms = IDS if kind == "listed" else [{"id": prefix + a, "features": OWN[a]} for a in IDS]
        pairs = [visit.arm_context[0]] * K
        asked = replace(visit, arms=arms, arm_context=pairs, event_id=f"e{i}")
        found.append(Raw.of(asked))
    return found


def test_what_was_read_before_is_answered_alike(tmp_path):
    s = selector(tmp_path, "lin_ts")
    asked = raws("shared")
    first = [s.select_raw([raw])[0] for raw in asked[:1]] + s.select_raw(asked[1:])
    assert len(s.offered._lists._kept) == 1
    again = s.select_raw(asked)
    s.offered._lists = ArmLists()
    alone = [s.select_raw([raw])[0] for raw in asked]
    assert [a.error for a in first] == [""] * B
    assert [(a.arm, a.pmf) for a in first] == [(a.arm, a.pmf) for a in again] == [(a.arm, a.pmf) for a in alone]
    logged = s.recorder.decisions
    assert all(d.arm_features == tuple(OWN[a] for a in IDS) for d in logged)
    assert all(d.arms == tuple(f"in-{a}" for a in IDS) for d in logged)


def test_of_a_list_that_is_known_all_else_is_still_checked(tmp_path):
    s = selector(tmp_path, "uniform")
    good = raws("shared")[0]
    s.select_raw([good, good, good])
    bad = [replace(good, context=b'{"hue": 1}'), replace(good, arm_context=b"[{}]"), replace(good, unit_id=b"")]
    errors = [answer.error for answer in s.select_raw([*bad, good])]
    assert errors[0].startswith("context.hue: found 1, expected a declared feature")
    assert errors[1].startswith("arm_context: found '1 objects', expected one per arm: 20")
    assert errors[2].startswith("unit_id: found '0 bytes'")
    assert errors[3] == ""


def test_a_wrong_list_is_refused_however_often_it_comes_and_alone(tmp_path):
    s = selector(tmp_path, "uniform")
    good = raws("shared")[0]
    wrong = Raw.of(Request(unit_id="u", context={}, arms=[{"id": "x", "features": {"genre": 7.5, "hue": 1}}]))
    for _ in range(4):
        answers = s.select_raw([wrong, good, wrong])
        assert [bool(a.error) for a in answers] == [True, False, True]
        assert answers[0].error.startswith("arms[0].features.hue: found 1, expected a declared feature")


def test_what_is_left_out_of_a_list_is_counted_each_time(tmp_path, monkeypatch):
    s = selector(tmp_path, "uniform")
    counts = []
    monkeypatch.setattr(s, "_ignores", lambda: True)
    monkeypatch.setattr(s.recorder, "append_decisions", lambda made, left=None: counts.append(dict(left)) or list(made))
    odd = Raw.of(Request(unit_id="u", context={}, arms=[{"id": "x", "features": {"genre": "comedy", "hue": 1}}]))
    for _ in range(3):
        assert s.select_raw([odd, odd])[0].error == ""
    assert counts == [{"arm.hue": 2}] * 3


def test_only_what_comes_again_is_kept_and_not_for_ever(monkeypatch):
    monkeypatch.setattr(arm_lists, "MOST", 2)
    lists = ArmLists()
    for raw in (b"a", b"a", b"b", b"b", b"c"):
        lists.keep(raw, (("x",), ()))
    assert [lists.get(raw) is not None for raw in (b"a", b"b", b"c")] == [True, True, False]
    lists.get(b"a")
    lists.keep(b"c", (("x",), ()))
    assert [lists.get(raw) is not None for raw in (b"a", b"b", b"c")] == [True, False, True]
    long = b"l" * (arm_lists.LONGEST + 1)
    lists.keep(long, (("x",), ()))
    lists.keep(long, (("x",), ()))
    assert lists.get(long) is None


NEURAL = pytest.param("neural_linear", marks=pytest.mark.slow)  # its training is


@pytest.mark.medium
@pytest.mark.parametrize("name", ["uniform", "vw_cb_adf", "lin_ts", "lin_ucb", NEURAL])
def test_brought_arms_cost_at_most_half_as_much_again_as_a_catalogue(tmp_path, name):
    """By process time, in turns; an offer that nobody else is made has to be parsed, and costs what that does."""
    s, spent = selector(tmp_path, name), {"listed": [], "shared": [], "fresh": []}
    calls = {"listed": raws("listed"), "shared": raws("shared")}
    for turn in range(12):
        for kind, times in spent.items():
            asked = calls.get(kind) or raws(kind, turn)
            began = time.process_time()
            s.select_raw(asked)
            times.append(time.process_time() - began)
            s.recorder.decisions.clear()
    typical = {kind: float(np.median(times[2:])) for kind, times in spent.items()}
    assert s.recorder.rejects == []
    assert typical["shared"] < 1.5 * typical["listed"], typical
    assert typical["fresh"] < 4 * typical["listed"], typical
