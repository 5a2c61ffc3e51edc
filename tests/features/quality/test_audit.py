"""The propensity audit: silent on true logs however often it looks, loud on wrong ones, and a martingale by hand."""

from math import exp, log

import numpy as np
import polars as pl
import pytest

from croupier.features.quality import audit
from croupier.features.quality.audit import ALPHA, FACTORS, PROPENSITY_ONLY, SHAPES, Evidence

LOUD = log(1 / ALPHA)


def epsilon_greedy(n, *, logged, true=None, seed=0, K=10, stage="5%", arm=0, factor=1.0):
    """n decisions logged as ε-greedy with `logged`, drawn with `true`; arm number `arm` drawn `factor` as often."""
    rng = np.random.default_rng(seed)
    best = rng.integers(K, size=n)
    greedy = best[:, None] == np.arange(K)
    p = logged / K + (1 - logged) * greedy
    q = (logged if true is None else true) / K + (1 - (logged if true is None else true)) * greedy
    q[:, arm] *= factor
    q /= q.sum(axis=1, keepdims=True)
    chosen = (q.cumsum(axis=1) > rng.random(n)[:, None]).argmax(axis=1)
    arms = [f"a{i}" for i in range(K)]
    return pl.DataFrame(
        {
            "release": [1] * n,
            "role": ["champion"] * n,
            "policy": ["p"] * n,
            "stage": [stage] * n,
            "arms": [arms] * n,
            "pmf": p.tolist(),
            "arm": [arms[i] for i in chosen],
            "propensity": p[np.arange(n), chosen],
        }
    )


def log_e(df):
    (found,) = audit.evidence(df).values()
    return found.log_e


def test_ratios_by_hand():
    df = pl.DataFrame({"release": [1], "role": ["champion"], "policy": ["p"], "stage": [""], "arms": [["x", "y", "z"]],
                       "pmf": [[0.2, 0.7, 0.1]], "arm": ["y"], "propensity": [0.7]})  # fmt: skip
    found = audit.evidence(df)["release 1, champion, p"]
    shapes = dict(zip(SHAPES, found.shapes, strict=True))
    assert shapes["uniform +0.2"] == pytest.approx(log((0.8 * 0.7 + 0.2 / 3) / 0.7))
    assert shapes["power 2"] == pytest.approx(log(0.49 / (0.04 + 0.49 + 0.01) / 0.7))
    assert shapes["greedy +0.5"] == pytest.approx(log((0.35 + 0.5) / 0.7))
    assert shapes["first +0.5"] == pytest.approx(log(0.5))
    twice, _, _, half = found.arms["x"]
    assert twice == pytest.approx(log((0.7 / 1.2) / 0.7))
    assert half == pytest.approx(log((0.7 / 0.9) / 0.7))
    assert found.arms["y"][FACTORS.index(2.0)] == pytest.approx(log((1.4 / 1.7) / 0.7))


@pytest.mark.medium
def test_the_same_rows_give_the_same_bytes_however_often():
    """A second run of an interval changes nothing: sums are in the order of the rows, not of the threads."""
    df = epsilon_greedy(5_000, logged=0.3, seed=5, K=20)
    assert len({str(audit.evidence(df)["release 1, champion, p"].to_dict()) for _ in range(100)}) == 1


def test_every_alternative_is_a_pmf_so_its_mean_ratio_is_one():
    """E_p[q/p] = 1, exactly, for each alternative: the martingale property, by enumeration."""
    arms, p = ["x", "y", "z", "w"], [0.4, 0.35, 0.05, 0.2]
    df = pl.DataFrame({"release": [0] * 4, "role": arms, "policy": [""] * 4, "stage": [""] * 4, "arms": [arms] * 4,
                       "pmf": [p] * 4, "arm": arms, "propensity": p})  # fmt: skip
    found = [audit.evidence(df.filter(role=arm))[f"release 0, {arm}, "] for arm in arms]
    for i in range(len(SHAPES)):
        assert sum(pa * exp(e.shapes[i]) for pa, e in zip(p, found, strict=True)) == pytest.approx(1)
    for arm in arms:
        for i in range(len(FACTORS)):
            assert sum(pa * exp(e.arms[arm][i]) for pa, e in zip(p, found, strict=True)) == pytest.approx(1)


@pytest.mark.medium
def test_a_true_log_never_alarms_at_any_look():
    """40 logs × 20 looks: Ville allows α of them; plain testing at each look would not keep that."""
    worst = []
    for seed in range(40):
        looks = [Evidence()]
        for part in epsilon_greedy(400, logged=0.3, seed=seed, K=5).iter_slices(20):
            (found,) = audit.evidence(part).values()
            looks.append(looks[-1] + found)
        worst.append(max(e.log_e for e in looks))
    assert max(worst) < LOUD
    assert np.mean(np.array(worst) >= log(20)) <= 0.05  # and P(ever ≥ 20) ≤ 1/20


@pytest.mark.parametrize(
    ("wrong", "suspect"),
    [
        ({"logged": 0.10, "true": 0.14}, "uniform"), ({"logged": 0.2, "true": 0.1}, "greedy"),
        ({"logged": 0.5, "arm": 3, "factor": 1.5}, "a3 drawn"), ({"logged": 0.5, "arm": 3, "factor": 0.5}, "a3 drawn"),
        ({"logged": 0.5, "true": 0.0}, "power 5"), ({"logged": 1.0, "arm": 0, "factor": 1.8}, ""),
    ],
)  # fmt: skip
@pytest.mark.medium
def test_wrong_propensities_are_found(wrong, suspect):
    (found,) = audit.evidence(epsilon_greedy(20_000, **wrong)).values()
    assert found.log_e > LOUD
    assert suspect in found.suspect


def test_evidence_adds_and_survives_json():
    df = epsilon_greedy(3000, logged=0.1, true=0.2)
    whole, parts = audit.evidence(df), audit.total(audit.evidence(part) for part in df.iter_slices(700))
    (a,), (b,) = whole.values(), parts.values()
    assert a.n == b.n == 3000
    assert a.log_e == pytest.approx(b.log_e, abs=1e-9)
    assert Evidence.from_dict(a.to_dict()) == a


def test_groups_are_apart():
    mixed = pl.concat(
        [epsilon_greedy(100, logged=0.1), epsilon_greedy(50, logged=0.1).with_columns(release=pl.lit(2, pl.Int64))]
    )
    found = audit.evidence(mixed)
    assert {g: e.n for g, e in found.items()} == {"release 1, champion, p": 100, "release 2, champion, p": 50}


@pytest.mark.medium
def test_where_only_the_chosen_arms_propensity_is_known():
    spread = epsilon_greedy(20_000, logged=0.3, stage=PROPENSITY_ONLY)
    assert log_e(spread) < 1
    assert log_e(spread.with_columns(pmf=pl.Series([[0.1] * 10] * 20_000))) == log_e(spread)  # it is not read
    assert log_e(epsilon_greedy(20_000, logged=0.2, true=0.4, stage=PROPENSITY_ONLY)) > LOUD
