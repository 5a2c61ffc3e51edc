"""What the evidence says of guardrails, by value: which name, which sign, what a decision without an event counts, and
that a candidate which was not waited for is slow and not broken."""

from dataclasses import dataclass

import pytest

from croupier.models.baselines import FixedArm
from croupier.serving.decide.deadline import TooSlow
from croupier.serving.evidence import gather
from croupier.serving.release import rollout_store

pytestmark = pytest.mark.medium


@dataclass
class NotWaitedFor:
    """A candidate whose answer never comes in time."""

    name: str = "fixed_arm"

    def pmf(self, batch):
        raise TooSlow("no answer in 30 ms")


def found(h):
    h.look()
    return gather.gather(h.store, h.spec, rollout_store.read_state(h.store), h.selector.release, now=h.now)


def test_a_kind_that_is_called_as_what_is_always_watched_is_told_apart(house):
    h = house(
        FixedArm(arm="a1"),
        stages=(0.5, 1.0),
        guardrails={"latency": "higher"},
        guards={"latency": lambda a: 0.3},
    )
    h.visits(1000)
    seen = found(h)
    assert list(seen.numbers["guardrails"]) == ["fallback", "latency", "latency (reward)"]
    assert seen.numbers["guardrails"]["latency (reward)"]["candidate"] == pytest.approx(-0.3, abs=0.06)
    assert seen.problems == ()


def test_a_candidate_that_was_not_waited_for_is_slow_and_not_broken(house):
    h = house(FixedArm(arm="a1"), stages=(0.5, 1.0))
    h.serve_with(h.selector.release.number, candidate=NotWaitedFor())
    h.visits(1000)
    seen = found(h)
    rows = gather.decisions_of(h.store, h.spec, rollout_store.read_state(h.store), now=h.now)
    reasons = rows.filter(role="fallback")["fallback_reason"]
    slow = int(reasons.str.contains("TooSlow").sum())
    guards, mine = seen.numbers["guardrails"], seen.numbers["candidate_decisions"]
    assert mine > slow == len(reasons) > 200, "after five slow batches the breaker is open: no longer slow, but out"
    assert (guards["latency"]["candidate"], guards["latency"]["champion"]) == (pytest.approx(-slow / mine), 0.0)
    assert (guards["fallback"]["candidate"], guards["fallback"]["champion"]) == (pytest.approx(slow / mine - 1.0), 0.0)


def test_the_line_for_a_log_names_who_is_kept_back_only_where_somebody_is(house):
    h = house(FixedArm(arm="a1"), stages=(0.5, 1.0))
    h.visits(1000)
    numbers = dict(found(h).numbers)
    counts = f"{numbers['candidate_decisions']:,} + {numbers['champion_decisions']:,} decisions, difference "
    assert gather.summary(numbers).startswith(counts)
    kept = counts.replace(" +", " promoted +").replace(" decisions", " kept back decisions")
    assert gather.summary(numbers | {"kept": True}).startswith(kept)
    assert gather.summary({}) == "no matured decisions yet"
