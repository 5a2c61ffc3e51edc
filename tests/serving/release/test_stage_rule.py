"""The rule by itself: what each kind of evidence does, and what no sequence of evidence can do."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croupier.features.spec import AppSpec, RolloutSpec
from croupier.serving.evidence.integrity import stale
from croupier.serving.release import rollout_state
from croupier.serving.release.stage_rule import (
    AWAITING,
    RolloutEvidence,
    is_last,
    least_seconds,
    next_stage,
    stage_margin,
)

SPEC = RolloutSpec(season="none", min_decisions=100, min_seconds=10.0, max_seconds=1000.0)
SECOND = 1_000_000


def at(stage, **kwargs):
    state = rollout_state.start(3, now=0, **kwargs)
    while state.stage != stage:
        state = rollout_state.advance(state, "up", now=0, by="test")
    return state


SAFE = RolloutEvidence(decisions=100, safe=True)


def test_a_stage_is_left_when_enough_was_seen_for_long_enough_and_shown_safe():
    assert next_stage(at("5%"), SAFE, SPEC, now=10 * SECOND).stage == "20%"
    for evidence, seconds in (
        (RolloutEvidence(decisions=99, safe=True), 10),
        (RolloutEvidence(decisions=100, safe=False), 10),
        (SAFE, 9),
    ):
        state = at("5%")
        assert next_stage(state, evidence, SPEC, now=seconds * SECOND) is state


def test_harm_goes_before_everything_and_problems_before_progress():
    harmful = RolloutEvidence(decisions=10**6, safe=True, harms=("reward",), problems=("sample ratio",))
    assert next_stage(at("50%"), harmful, SPEC, now=0).stage == "aborted"
    doubtful = RolloutEvidence(decisions=10**6, safe=True, problems=("sample ratio",))
    held = next_stage(at("50%"), doubtful, SPEC, now=10 * SECOND)
    assert (held.stage, held.held) == ("50%", "sample ratio")
    assert next_stage(held, doubtful, SPEC, now=11 * SECOND) is held
    assert next_stage(held, SAFE, SPEC, now=12 * SECOND).stage == "100%", "what held it is over"
    free = next_stage(held, RolloutEvidence(), SPEC, now=12 * SECOND)
    assert (free.held, free.history[-1]["reason"]) == ("", "over: sample ratio")


def test_a_rollout_of_a_clock_that_was_ahead_is_taken_back():
    """By the clock as it is now it begins in a year: until then nothing could be shown of it, and it would be served."""
    year = 365 * 86400 * SECOND
    state = replace(at("5%"), since=year, history=({**at("5%").history[0], "at": year},))
    held = RolloutEvidence(problems=tuple(stale(pl.DataFrame({"at": []}), AppSpec(), state, 0)))
    assert held.problems == ("the stage began at 1971-01-01 00:00 UTC, which is yet to come: a clock was ahead",)
    assert next_stage(state, held, SPEC, now=0).stage == "aborted"
    soon = replace(state, since=3600 * SECOND, history=({**state.history[0], "at": 3600 * SECOND},))
    assert stale(pl.DataFrame({"at": []}), AppSpec(), soon, 0) == [], "hosts' clocks differ"
    assert next_stage(soon, RolloutEvidence(), SPEC, now=0) is soon


def test_time_up_goes_back_and_is_counted_from_the_beginning():
    climbed = next_stage(at("5%"), SAFE, SPEC, now=900 * SECOND)
    assert climbed.stage == "20%"
    assert next_stage(climbed, RolloutEvidence(decisions=50), SPEC, now=999 * SECOND) is climbed
    assert next_stage(climbed, RolloutEvidence(decisions=50), SPEC, now=1000 * SECOND).stage == "aborted"


def test_a_problem_that_lasts_goes_back_to_the_champion_when_time_is_up():
    stale = RolloutEvidence(problems=("stale: no matured decision for 3 h",))
    held = next_stage(at("5%"), stale, SPEC, now=999 * SECOND)
    assert (held.stage, held.share) == ("5%", 0.05)
    back = next_stage(held, stale, SPEC, now=1000 * SECOND)
    assert (back.stage, back.share) == ("aborted", 0.0)
    assert back.history[-1]["reason"] == "held too long, 1000 s: stale: no matured decision for 3 h"


def test_where_a_season_is_declared_a_stage_lasts_a_whole_one_and_the_last_two():
    spec = SPEC.model_copy(update={"season": "24h"})
    whole = [RolloutEvidence(decisions=100, safe=True, seasons=n) for n in range(3)]
    assert [next_stage(at("20%"), e, spec, now=10 * SECOND).stage for e in whole] == ["20%", "50%", "50%"]
    assert [next_stage(at("50%"), e, spec, now=10 * SECOND).stage for e in whole] == ["50%", "50%", "100%"]
    short = at("50%", stages=(0.5, 1.0))  # a refresh: shown to lose less than 30 %
    assert [next_stage(short, e, spec, now=10 * SECOND).stage for e in whole] == ["50%", "100%", "100%"]


def test_the_quickest_rollout_by_hand():
    day = 86_400.0
    assert least_seconds(RolloutSpec()) == 4 * day
    assert least_seconds(RolloutSpec(stages=(0.5, 1.0))) == day, "the margin of a first stage: it need not be better"
    assert least_seconds(RolloutSpec(season="7d")) == 28 * day
    assert least_seconds(SPEC) == 30.0


def test_the_last_step_needs_the_latest_season_to_agree_and_no_other_does():
    stale = RolloutEvidence(decisions=100, safe=True, seasons=5, latest=False)
    assert next_stage(at("20%"), stale, SPEC, now=10 * SECOND).stage == "50%"
    assert next_stage(at("50%"), stale, SPEC, now=10 * SECOND).stage == "50%"


def test_suspected_harm_is_said_and_stops_nothing_that_is_shown():
    doubt = RolloutEvidence(decisions=100, suspected=("reward",))
    held = next_stage(at("20%"), doubt, SPEC, now=10 * SECOND)
    assert (held.stage, held.held) == ("20%", "harm suspected, season not over: reward")
    shown = RolloutEvidence(decisions=100, safe=True, suspected=("reward",))
    assert next_stage(held, shown, SPEC, now=11 * SECOND).stage == "50%"


def test_each_step_says_why_and_keeps_its_numbers():
    seen = RolloutEvidence(decisions=1234, safe=True, numbers={"lower": 0.1})
    steps = [next_stage(at(s, shadow=True), seen, SPEC, now=10 * SECOND) for s in ("shadow", "5%", "20%", "50%")]
    assert [step.history[-1]["reason"] for step in steps] == [
        "scored without failure, 1234 decisions here",
        "shown to lose less than 30%, 1234 decisions here",
        "shown to lose less than 15%, 1234 decisions here",
        "shown to be better, 1234 decisions here",
    ]
    harm = next_stage(at("5%"), RolloutEvidence(harms=("reward", "fallback"), numbers={"n": 3}), SPEC, now=7)
    late = next_stage(at("5%"), RolloutEvidence(numbers={"n": 3}), SPEC, now=1000 * SECOND)
    two = next_stage(at("5%"), RolloutEvidence(problems=("stale", "audit"), numbers={"n": 3}), SPEC, now=7)
    assert harm.history[-1]["reason"] == "harm shown: reward, fallback"
    assert late.history[-1]["reason"] == "inconclusive after 1000 s"
    assert (two.held, two.history[-1]["reason"]) == ("stale; audit", "held: stale; audit")
    for new, when in ((harm, 7), (late, 1000 * SECOND), (two, 7)):
        assert {k: new.history[-1][k] for k in ("at", "by", "evidence")} == {
            "at": when,
            "by": "watch",
            "evidence": {"n": 3},
        }
    assert steps[0].history[-1]["evidence"] == {"lower": 0.1}


def test_shadow_needs_decisions_and_time_but_nothing_shown():
    seen = RolloutEvidence(decisions=100)
    assert next_stage(at("shadow", shadow=True), seen, SPEC, now=10 * SECOND).stage == "5%"
    few = at("shadow", shadow=True)
    assert next_stage(few, RolloutEvidence(decisions=99), SPEC, now=10 * SECOND) is few
    assert next_stage(few, seen, SPEC, now=9 * SECOND) is few


def test_without_margins_each_step_has_to_be_shown_better():
    none = SPEC.model_copy(update={"margins": ()})
    assert stage_margin(at("5%"), none) == 0.0
    assert next_stage(at("5%"), SAFE, none, now=10 * SECOND).history[-1]["reason"].startswith("shown to be better")


def test_margins_tighten_to_better():
    stages = ("shadow", "5%", "20%", "50%")
    assert [stage_margin(at(s, shadow=True), SPEC) for s in stages] == [0.30, 0.30, 0.15, 0.0]
    short = SPEC.model_copy(update={"margins": (0.1,)})
    assert [stage_margin(at(s), short) for s in stages[1:]] == [0.1] * 3
    assert [is_last(at(s)) for s in stages[1:]] == [False, False, True]


def test_a_person_is_asked_once_and_only_for_the_last_step():
    spec = SPEC.model_copy(update={"approval": True})
    assert next_stage(at("20%"), SAFE, spec, now=10 * SECOND).stage == "50%"
    waiting = next_stage(at("50%"), SAFE, spec, now=10 * SECOND)
    assert waiting.held == AWAITING
    assert next_stage(waiting, SAFE, spec, now=20 * SECOND) is waiting
    assert next_stage(waiting, RolloutEvidence(decisions=100), spec, now=20 * SECOND, approved=True).share == 0.5
    assert next_stage(waiting, SAFE, spec, now=20 * SECOND, approved=True).share == 1.0


@pytest.mark.parametrize("stage", ["aborted", "none", "100%"])
def test_what_is_decided_stays(stage):
    state = {
        "aborted": rollout_state.abort(at("20%"), "x", now=0, by="test"),
        "100%": at("100%"),
        "none": rollout_state.start(3, now=0, has_candidate=False),
    }[stage]
    for evidence in (SAFE, RolloutEvidence(harms=("reward",)), RolloutEvidence(problems=("stale",))):
        assert next_stage(state, evidence, SPEC, now=5000 * SECOND) is state


looks = st.builds(
    RolloutEvidence,
    decisions=st.integers(0, 300),
    safe=st.booleans(),
    problems=st.sampled_from([(), ("stale",)]),
    harms=st.sampled_from([(), (), (), ("reward",)]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(looks, st.integers(1, 100)), max_size=30))
@pytest.mark.medium
def test_whatever_is_seen_the_share_rises_only_on_shown_safety_one_stage_at_a_time(sequence):
    state, now = at("5%"), 0
    for evidence, seconds in sequence:
        now += seconds * SECOND
        new = next_stage(state, evidence, SPEC, now=now)
        if new.share > state.share:
            assert evidence.safe
            assert evidence.decisions >= SPEC.min_decisions
            assert not evidence.harms
            assert not evidence.problems
            assert SPEC.stages.index(new.share) == SPEC.stages.index(state.share) + 1
        elif new.share < state.share:
            assert new.stage == "aborted"
            assert evidence.harms or now >= SPEC.max_seconds * SECOND
        if state.stage == "aborted":
            assert new is state
        assert len(new.history) - len(state.history) in (0, 1)
        state = new
