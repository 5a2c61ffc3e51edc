"""The watch, whole, on seasons and late rewards: real selections, a real log, only the clock is ours."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.models.baselines import FixedArm, Uniform
from tests.serving.watched import SECOND

pytestmark = pytest.mark.medium


def test_stages_are_decided_on_whole_seasons_and_the_last_on_two(house):
    """A look each 16 s, a season of 30 s, a reward window of 5 s: what is twice as good climbs no faster than that."""
    h = house(
        FixedArm(arm="a2"),
        season="30s",
        stages=(0.2, 0.5, 1.0),
        margins=(0.3, 0.0),
        min_decisions=500,
        latency_p99_ms=60000.0,
    )
    state = h.until_decided()
    assert [entry["stage"] for entry in state.history] == ["20%", "50%", "100%"]
    times = [entry["at"] / SECOND for entry in state.history]
    assert 35 <= times[1] - times[0] < 35 + 16
    assert 65 <= times[2] - times[1] < 65 + 16
    known = state.history[-1]["evidence"]
    assert [season["stage"] for season in known["seasons"]] == ["20%", "50%", "50%"]
    assert 0.1 < known["difference"] < 0.3, "the truth: 0.96 × (0.40 − 0.20)"
    assert known["lower"] > 0
    assert known["latest"] > 1.28


def test_harm_before_the_season_is_over_is_said_and_great_harm_aborts(house):
    h = house(FixedArm(arm="a3"), season="1d", stages=(0.2, 1.0), latency_p99_ms=60000.0)  # 0.11 against 0.20
    state = h.until_decided(looks=12)
    assert (state.stage, state.history[-1]["reason"]) == ("aborted", "harm shown: reward")
    assert any(entry["reason"] == "held: harm suspected, season not over: reward" for entry in state.history)


def late_for(h, role, share):
    """From now on this share of a role's rewards comes ten seconds late, after the window."""
    roles, select, append, rng = {}, h.selector.select, h.spool.append_rewards, np.random.default_rng(5)

    def noted(requests):
        answers = select(requests)
        roles.update((a.event_id, a.role) for a in answers)
        return answers

    def tardy(rewards):
        slow = [roles[r.event_id] == role and rng.random() < share for r in rewards]
        return append([replace(r, at=r.at + 10 * SECOND) if s else r for r, s in zip(rewards, slow, strict=True)])

    h.selector.select, h.spool.append_rewards = noted, tardy


@pytest.mark.parametrize("role", ["champion", "candidate"])
def test_late_rewards_of_one_role_hold_the_rollout_and_are_named(house, role):
    """The same policy twice. Without the condition the candidate is aborted, or, where the champion's are late,
    released: a third of what it competes with is not counted."""
    h = house(Uniform(), stages=(0.3, 0.5, 1.0), latency_p99_ms=60000.0)
    late_for(h, role, 0.33)
    state = h.until_decided(looks=8)
    other = "candidate" if role == "champion" else "champion"
    assert (state.share, state.held) == (0.3, f"rewards of the {role} are late more often than those of the {other}")
    known = state.history[-1]["evidence"]["rewards"]
    assert known[f"{role}_late"] / (known[f"{role}_late"] + known[f"{role}_on_time"]) == pytest.approx(0.33, abs=0.12)
    assert known[f"{other}_late"] == 0
    assert len(state.history) == 2, "said once"
