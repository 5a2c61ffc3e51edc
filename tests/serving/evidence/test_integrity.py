"""Logged propensities of a role: true ones are never refuted, however greedy and few, and false ones are."""

import numpy as np
import polars as pl
import pytest

from croupier.features.spec import RolloutSpec
from croupier.models.ope.estimators import Moments
from croupier.models.ope.intervals import asymptotic_cs
from croupier.serving.evidence import sample_ratio
from croupier.serving.evidence.comparison import Compared, unit_counts
from croupier.serving.evidence.integrity import AUDIT_ALPHA, bad_propensities
from croupier.serving.simulation.season import returning

ARMS = [f"a{i}" for i in range(15)]


def greedy(n, *, seed, floor=0.02, drawn=None, role="candidate"):
    """n interactions of a policy that is greedy but for `floor`, spread over 15 arms; `drawn`: the true floor."""
    rng, K = np.random.default_rng(seed), len(ARMS)
    best = np.eye(K)[rng.integers(K, size=n)]
    floors = floor * rng.choice([0.5, 1.5], size=(n, 1))  # as posteriors of several contexts have it
    p = floors / K + (1 - floors) * best
    true = p if drawn is None else drawn / K + (1 - drawn) * best
    chosen = (true.cumsum(axis=1) > rng.random(n)[:, None]).argmax(axis=1)
    return pl.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(n)],
            "at": range(n),
            "release": [4] * n,
            "role": [role] * n,
            "policy": ["neural_linear"] * n,
            "stage": ["50%"] * n,
            "arms": [ARMS] * n,
            "pmf": p.tolist(),
            "arm": [ARMS[i] for i in chosen],
            "propensity": p[np.arange(n), chosen],
            "reward": [0.0] * n,
            "pass_probability": [1.0] * n,
        }
    )


@pytest.mark.medium
def test_a_greedy_role_of_a_hundred_true_draws_is_never_refuted():
    """Held rollouts of a virtual month; the normal bound that was asked here refutes one in ten of these."""
    refuted, by_normal = 0, 0
    for seed in range(100):
        frame = greedy(100, seed=seed)
        refuted += bad_propensities(frame) != []
        values = 1.0 / (len(ARMS) * frame["propensity"].to_numpy()) - 1.0
        bound = asymptotic_cs(Moments.of(values), alpha=AUDIT_ALPHA / 4)
        by_normal += bound.lower > 0 or bound.upper < 0
    assert refuted == 0
    assert by_normal > 3


@pytest.mark.parametrize(("n", "drawn"), [(600, 0.3), (4000, 0.08), (4000, 0.001)])
def test_another_floor_than_the_logged_one_is_refuted(n, drawn):
    mixed = pl.concat([greedy(n, seed=1, drawn=drawn), greedy(n, seed=2, role="champion")])
    assert bad_propensities(mixed) == ["candidate"]


def test_a_propensity_that_is_not_the_pmfs_is_refuted():
    frame = greedy(200, seed=3)
    assert bad_propensities(frame) == []
    wrong = pl.when(pl.col("event_id") == "e7").then(0.5).otherwise("propensity")
    assert bad_propensities(frame.with_columns(propensity=wrong)) == ["candidate"]


def test_units_count_in_the_stage_in_which_they_came_first():
    """Whoever saw the candidate returns; of the others half do. The split of newcomers is what it was."""
    n = 8000
    place = (np.arange(n) + 0.5) / n
    first, second = np.arange(n) % 2 == 0, np.arange(n) % 2 == 1  # who comes in which stage anew
    returns = first & ((place < 0.2) | (np.arange(n) % 4 == 0))
    unit = np.concatenate([np.flatnonzero(first), np.flatnonzero(second), np.flatnonzero(returns)])
    share = np.repeat([0.2, 0.5], [first.sum(), second.sum() + returns.sum()])
    frame = pl.DataFrame({"unit_id": [f"u{i}" for i in unit], "stage": np.where(share == 0.2, "20%", "50%")})
    rows = Compared(frame=frame, log=None, assigned=place[unit] < share, share=share)
    counts = unit_counts(rows)
    assert counts == {"20%": (800, 3200, 0.2), "50%": (2000, 2000, 0.5)}
    assert not any(sample_ratio.mismatch(*split) for split in counts.values())
    anew = place[unit[4000:]] < 0.5
    assert sample_ratio.mismatch(int(anew.sum()), int((~anew).sum()), 0.5), "as they were counted before"


def test_a_candidate_that_is_liked_does_not_hold_its_rollout():
    found = returning.alarms(RolloutSpec(), runs=1000, more=0.2)
    assert found["newcomers"] <= 0.004
    assert found["each_stage_anew"] > 0.03
    assert max(returning.alarms(RolloutSpec(), runs=1000, more=0.0).values()) <= 0.004
