"""What the watch must notice: harm, broken candidates, logs that lose or lie."""

import time
from dataclasses import replace

import numpy as np
import pytest

from croupier.models.baselines import FixedArm
from croupier.serving.decide.candidate_breaker import PATIENCE_MS
from croupier.serving.evidence import gather


def test_a_guardrail_aborts_a_candidate_that_earns_more(house):
    report = {"complaint": lambda a: 0.5 if a.role == "candidate" else 0.01}
    h = house(FixedArm(arm="a1"), guards=report, guardrails={"complaint": "higher"})
    state = h.until_decided()
    assert state.stage == "aborted"
    assert state.history[-1]["reason"] == "harm shown: complaint"
    guard = state.history[-1]["evidence"]["guardrails"]
    assert set(guard) == {"fallback", "latency", "complaint"}
    assert not guard["fallback"]["harm"]


class Tardy(FixedArm):
    """Slower than its limit, too quick for the breaker."""

    def pmf(self, batch):
        time.sleep(0.015)
        return super().pmf(batch)


@pytest.mark.medium
def test_a_slow_candidate_that_earns_more_is_aborted_for_its_latency(house):
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), min_decisions=10**6, latency_p99_ms=10.0)
    h.serve_with(1, candidate=Tardy(arm="a2"))
    state = h.until_decided(looks=12)
    assert (state.stage, state.share) == ("aborted", 0.0)
    assert state.history[-1]["reason"].startswith("harm shown: latency (p99 ")
    guard = state.history[-1]["evidence"]["guardrails"]["latency"]
    assert (guard["candidate"], guard["harm"]) == (-1.0, True)
    assert guard["champion"] > -0.2
    assert not (h.home / "breaker.json").exists()


class Drags(FixedArm):
    """Too slow to be waited for in every second batch: never five times in a row."""

    calls = 0

    def pmf(self, batch):
        Drags.calls += 1
        time.sleep(0.12 if Drags.calls % 2 else 0)
        return super().pmf(batch)


@pytest.mark.medium
def test_what_was_not_waited_for_is_latency_and_no_fallback(house):
    """Its users have the champion's arm in time; the watch sees why."""
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), min_decisions=10**6, patience_ms=PATIENCE_MS)
    h.serve_with(1, candidate=Drags(arm="a2"))
    answers = h.visits(500)
    h.visits(500)
    state = h.look()
    found = gather.gather(h.store, h.spec, state, h.selector.release, now=h.now).numbers["guardrails"]
    late = [a for a in answers if a.role == "fallback"]
    assert len(late) > 50
    assert {d.fallback_reason[:18] for d in h.spool.find([a.event_id for a in late]).values()} == {"candidate: TooSlow"}
    assert all(a.pmf == (0.25,) * 4 for a in late)
    assert found["fallback"]["candidate"] == 0.0
    # a busy machine keeps some of the champion's calls waiting, too
    assert found["latency"]["candidate"] < -0.2 < found["latency"]["champion"] <= 0.0


@pytest.mark.medium
def test_decisions_logged_before_latency_was_measured_say_nothing_about_it(house):
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), min_decisions=10**6)
    h.serve_with(1, candidate=Tardy(arm="a2"))
    h.selector.recorder = _Older(h.spool, h.rng)
    h.visits(500)
    state = h.look()
    found = gather.gather(h.store, h.spec, state, h.selector.release, now=h.now).numbers["guardrails"]["latency"]
    assert (found["candidate"], found["champion"], found["log_wealth_harm"]) == (0.0, 0.0, 0.0)


@pytest.mark.medium
def test_lost_logs_of_the_candidate_are_noticed_and_hold(house):
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), margins=(0.0,))
    for _ in range(12):
        keep, h.selector.recorder = h.selector.recorder, _Losing(h.spool, h.rng)
        h.visits(1000)
        h.selector.recorder = keep
        state = h.look()
        if state.held:
            break
    assert "sample ratio at 50%" in state.held
    assert state.share == 0.5


class _Losing:
    """A log that loses a third of the candidate's decisions."""

    def __init__(self, spool, rng):
        self.spool, self.rng = spool, rng

    def append_decisions(self, made):
        self.spool.append_decisions([d for d in made if d.role != "candidate" or self.rng.random() > 0.33])
        return made

    def append_rejects(self, rejects):
        self.spool.append_rejects(rejects)


def test_a_reward_called_latency_stands_beside_the_latency_that_is_always_watched(house):
    h = house(FixedArm(arm="a1"), guards={"latency": lambda a: 0.5}, guardrails={"latency": "higher"})
    h.visits(500)
    state = h.look()
    found = gather.gather(h.store, h.spec, state, h.selector.release, now=h.now).numbers["guardrails"]
    assert set(found) == {"fallback", "latency", "latency (reward)"}
    assert found["latency"]["says"].startswith("p99 ")
    assert found["latency (reward)"]["champion"] == pytest.approx(-0.5, abs=0.1)


class _Older(_Losing):
    """A log without the column."""

    def append_decisions(self, made):
        self.spool.append_decisions([replace(d, took_us=0) for d in made])
        return made


@pytest.mark.medium
def test_wrong_propensities_are_noticed_and_hold(house):
    h = house(FixedArm(arm="a2"))

    class Liar(_Losing):
        def append_decisions(self, made):
            """Logs uniform where it drew from a sharper pmf."""
            shown = [replace(d, pmf=(0.25,) * 4, propensity=0.25) if d.role == "candidate" else d for d in made]
            self.spool.append_decisions(shown)
            return made

    h.selector.recorder = Liar(h.spool, h.rng)
    h.visits(4000)
    assert "propensities of the candidate are not those of its draws" in h.look().held


class Nan(FixedArm):
    def pmf(self, batch):
        return np.full(batch.mask.shape, np.nan)


class Errs(FixedArm):
    def pmf(self, batch):
        raise RuntimeError("out of memory")


class Slow(FixedArm):
    def pmf(self, batch):
        time.sleep(0.2)
        return super().pmf(batch)


@pytest.mark.parametrize(("candidate", "reason"), [(Nan, "NaN"), (Errs, "out of memory"), (Slow, "slow: 5 batches")])
@pytest.mark.medium
def test_a_candidate_that_breaks_is_aborted_at_the_next_look_and_nobody_sees_an_error(house, candidate, reason):
    """`visits` itself refuses any answer with an error."""
    h = house(FixedArm(arm="a2"), stages=(0.5, 1.0), patience_ms=PATIENCE_MS)
    h.serve_with(1, candidate=candidate(arm="a2"))
    began = time.monotonic()
    while not (h.home / "breaker.json").exists() and time.monotonic() - began < 30:
        h.visits(20)
        time.sleep(0.05)
    began = time.monotonic()
    state = h.look()
    assert (state.stage, state.share) == ("aborted", 0.0)
    assert "breaker: candidate: " in state.history[-1]["reason"]
    assert reason in state.history[-1]["reason"]
    assert {a.role for a in h.visits(200)} == {"champion"}
    assert time.monotonic() - began < 5.0
