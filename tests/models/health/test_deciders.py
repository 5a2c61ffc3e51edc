"""A line for each role, release and segment: what was due by hand, who is judged and who only shown, and fallbacks."""

import numpy as np
import pytest

from croupier.features.health.groups import groups
from croupier.features.utc import HOUR
from croupier.models.health.deciders import failing, past
from croupier.models.health.deciders.verdicts import verdicts
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.history import History
from croupier.models.health.season import View
from croupier.models.health.symptom import ACT, FINE, TO_WATCH
from tests.features.health.test_figures import ROWS, SPEC, frame
from tests.models.health.plain_hours import START, hours

DAYS, LIMITS = 23, (0.0, 1.0)
LAST = DAYS * 24


def shared(made, *, seed=5, share=0.1, worse=1.0, since=LAST - 48, began=0, release=LAST - 60):
    """Gives each hour's decisions to a champion and a candidate, which has `share` of them from hour `began` on and
    earns `worse` times as much from `since` on; release 4 takes over in hour `release`."""
    rng = np.random.default_rng(seed)
    for t, hour in enumerate(made):
        n, won, *_ = hour["groups"]["all"][""]
        mine = int(rng.binomial(int(n), share if t >= began else 0.0))
        theirs = int(rng.hypergeometric(int(won), int(n - won), mine))
        lost = int(rng.binomial(theirs, 1 - worse)) if t >= since else 0
        parts = {"champion": [n - mine, won - theirs], "candidate": [mine, theirs - lost]}
        everything = [n, won - lost, won - lost, won - lost]
        hour["groups"] |= {
            "all": {"": everything},
            "role": {role: [m, s, s, s] for role, (m, s) in parts.items() if m},
            "release": {"4" if t >= release else "3": everything},
            "fallback": {},
        }
    return made


def lines(made):
    history = History.of(made)
    diagnosis = diagnose(history)
    return diagnosis, {(v.group, v.key): v for v in verdicts(history, diagnosis, failing.of_day(made))}


@pytest.mark.medium
def test_a_candidate_that_falls_is_watched_and_its_line_says_since_when_and_what_was_due():
    made = shared(hours(DAYS, 1), worse=0.5)
    diagnosis, found = lines(made)
    told = found["role", "candidate"]
    assert (told.level, told.judged, told.threshold) == (TO_WATCH, "watched", 0.95)
    assert told.since == pytest.approx(START + (LAST - 48) * HOUR, abs=12 * HOUR)
    assert told.number == pytest.approx(0.5, abs=0.1)
    assert told.says.startswith("the candidate earns less: ")
    assert "due by its own same hours of past weeks" in told.says
    assert "croupier rollout status" in told.remedy
    assert told.decisions == sum(h["groups"]["role"]["candidate"][0] for h in made[-24:])
    assert told.reward == sum(h["groups"]["role"]["candidate"][1] for h in made[-24:]) / told.decisions
    assert [s.level for s in diagnosis.symptoms if s.cause == "decider_fell"] == [TO_WATCH], "it alarms nobody"
    assert (found["role", "champion"].level, found["role", "champion"].judged) == (FINE, "watched")
    every = found["all", ""]
    assert (every.level, every.says) == (TO_WATCH, told.says), "the app's level is that of its gravest symptom"
    assert every.number == pytest.approx(0.95, abs=0.05), "what it earned is its own: a tenth earns half"
    assert found["segment", "device=tv"].level == FINE


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(3))
def test_sound_roles_are_fine_and_what_was_due_is_that_of_the_same_hours(seed):
    made = shared(hours(DAYS, seed), seed=seed)
    diagnosis, found = lines(made)
    assert "decider_fell" not in {s.cause for s in diagnosis.symptoms}
    for who in (("role", "champion"), ("role", "candidate"), ("release", "4"), ("segment", "device=phone")):
        assert found[who].level == FINE
        assert found[who].number == pytest.approx(1.0, abs=0.3 if who[1] == "candidate" else 0.1)
    assert found["release", "4"].judged == "acted on", "it makes all decisions: it is everything"
    assert found["release", "4"].number == found["all", ""].number
    assert ("release", "3") not in found, "it serves no more"


def test_a_candidate_without_a_past_is_shown_and_not_called_fine():
    _, found = lines(shared(hours(DAYS, 1), began=LAST - 30))
    told = found["role", "candidate"]
    assert (told.level, told.judged, told.number) == ("", "shown", None)
    assert found["role", "champion"].level == FINE


def test_an_app_that_is_too_young_has_lines_without_a_verdict():
    _, found = lines(shared(hours(2, 1), release=0))
    assert {(v.level, v.judged) for v in found.values()} == {("", "shown")}
    assert found["role", "champion"].share == pytest.approx(0.9, abs=0.02)


def test_a_release_is_held_against_what_everybody_earned():
    """Of the recent hours it is the release's own sums, of the baseline everybody's."""
    made = shared(hours(DAYS, 2), release=LAST - 60)
    for hour in made[-60:]:
        n, won, *_ = hour["groups"]["all"][""]
        hour["groups"]["release"] = {"3": [n / 2, won / 2, won / 2, won / 2], "4": [n / 2, won / 4, won / 4, won / 4]}
    view = View.of(History.of(made))
    sums = past.compared(view, LIMITS, "release", "4")
    edge = view.m * view.P
    every = view.history.sums["all"][""]
    assert np.array_equal(sums[:edge], every[:edge, :3])
    assert np.array_equal(sums[edge:], view.history.sums["release"]["4"][edge:, :3])
    found, due = past.found_and_due(view, LIMITS, sums, view.R - 24)
    assert found / due == pytest.approx(0.5, abs=0.07)
    said, told = lines(made)
    assert told["release", "4"].level == TO_WATCH
    assert "instead of the" in told["release", "4"].says
    assert "everybody's same hours" in told["release", "4"].says
    assert said.cause != "decider_fell" or said.level == TO_WATCH


def test_what_makes_nearly_all_decisions_adds_no_stream():
    alone, both = (View.of(History.of(made)) for made in (hours(DAYS, 1), shared(hours(DAYS, 1))))
    assert past.signals(alone, LIMITS) == []
    assert [s.about for s in past.signals(both, LIMITS)] == ["reward, role candidate", "reward, role champion"]
    assert not any(s.alarming for s in past.signals(both, LIMITS))


def test_fallbacks_count_for_the_role_that_failed():
    reasons = ["candidate: TooSlow: 60 ms", "champion: ValueError: x", "no answer within 50 ms", ""]
    roles = ["fallback", "fallback", "fallback", "champion"]
    rows = frame(
        [r | {"fallback_reason": why, "role": role} for r, why, role in zip(ROWS, reasons, roles, strict=True)]
    )
    found = groups(rows, SPEC)["fallback"]
    assert found == {
        "3|candidate": [1.0, 1.0, 1.0, 1.0], "3|champion": [1.0, 0.0, 0.0, 0.0], "4|other": [1.0, 0.5, 0.25, 1.0],
    }  # fmt: skip
    assert "fallback" not in groups(rows.drop("fallback_reason"), SPEC), "not known is not none"


def test_fallbacks_of_a_candidate_are_watched_once_they_are_sure():
    made = shared(hours(DAYS, 1))
    for hour in made[-10:]:
        hour["groups"]["fallback"] = {"4|candidate": [20.0, 0.0, 0.0, 0.0]}
    day = failing.of_day(made)
    n = int(sum(h["groups"]["role"]["candidate"][0] for h in made[-24:]))
    assert day["role", "candidate"] == failing.FailedDay(
        fallbacks=200, decisions=n + 200, since=START + (LAST - 10) * HOUR
    )
    (told,) = failing.symptoms(day, History.of(made))
    assert (told.level, told.cause, told.number) == (TO_WATCH, "fallbacks", 200 / (n + 200))
    assert f"of role candidate were fallbacks (200 of {n + 200:,})" in told.says
    alone = hours(DAYS, 1)
    for hour in alone:
        hour["groups"]["fallback"] = {"3|champion": [20.0, 0.0, 0.0, 0.0]}
    assert failing.of_day(alone)["role", "champion"].surely > 0.01
    assert failing.symptoms(failing.of_day(alone), History.of(alone)) == [], "everything's fallbacks are told already"
    few = failing.FailedDay(fallbacks=2, decisions=50, since=0)
    assert few.share == 0.04
    assert few.surely == pytest.approx((0.13 - 3 * (0.0384 / 50 + 0.0009) ** 0.5) / 1.18)
    assert failing.symptoms({("role", "candidate"): few}, History.of(made)) == []
    old = [h | {"groups": {k: v for k, v in h["groups"].items() if k != "fallback"}} for h in made]
    assert failing.of_day(old) == {}, "older versions do not say"


def test_what_concerns_a_part_is_its_verdict():
    """Everything falls: whatever makes nearly all decisions is acted on with it, its candidate is not."""
    made = shared(hours(DAYS, 3, {"lost": 0.4}, last=30), worse=1.0)
    diagnosis, found = lines(made)
    assert diagnosis.level == ACT == found["all", ""].level == found["release", "4"].level
    assert found["role", "candidate"].level != ACT
