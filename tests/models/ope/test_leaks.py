"""Columns that no decision can have known: what a shop's own export holds beside its features."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.features.spec import GateSpec
from croupier.models.gate.evaluation import evaluate
from croupier.models.gate.gate import AGREEMENT_LEVEL, LEAK_LEVEL
from croupier.models.ope import self_tests
from croupier.models.ope.agreement import agreement
from croupier.models.ope.leaks import tested as leaks
from croupier.models.ope.reward_model import cross_fit
from croupier.models.policy import make

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

ARMS, RATES = 3, np.array([0.05, 0.10, 0.20])  # uniform earns .117
CATALOGUE = Catalogue(ids=("a", "b", "c"), features=np.eye(ARMS, dtype=np.float32), digest="shop")


def log_of(n, *, seed, columns, digits=None, whole=False, floor=0.3):
    """n decisions of a policy that prefers one arm by device, p from .1 to .8; logged as people log: the drawn arm's
    probability alone (`whole`: all), rounded to `digits`. `columns(rng, arm, reward, device)` are (n, ·) more features."""
    rng = np.random.default_rng(seed)
    device = rng.integers(3, size=n)
    pmf = floor / ARMS + (1 - floor) * np.eye(ARMS)[device]
    arm = (pmf.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    reward = (rng.random(n) < RATES[arm]).astype(np.float64)
    p = pmf[np.arange(n), arm]
    p = p if digits is None else np.round(p, digits)
    if not whole:
        pmf = np.repeat(((1 - p) / (ARMS - 1))[:, None], ARMS, axis=1)
        pmf[np.arange(n), arm] = p
    context = np.column_stack([np.eye(3)[device], columns(rng, arm, reward, device)]).astype(np.float32)
    batch = Batch(
        context=context,
        arm=np.tile(np.arange(ARMS), (n, 1)),
        mask=np.ones((n, ARMS), bool),
        pair=np.zeros((n, ARMS, 0), np.float32),
        catalogue=CATALOGUE,
    )
    return Interactions(
        batch=batch,
        chosen=arm,
        reward=reward,
        propensity=p,
        pmf=pmf,
        at=np.arange(n),
        unit=np.arange(n).astype(np.uint64) + 1,
        weight=np.ones(n),
    )


def filled(value, present):
    """As the encoder has it: standardised, the mean where missing, and a column that says so."""
    return np.column_stack([np.where(present, (value - 60.0) / 20.0, 0.0), ~present])


def nothing(rng, arm, reward, device):
    return rng.normal(size=(len(arm), 2))


def age(rng, arm, reward, device):
    return rng.normal(size=(len(arm), 1)) + 2 * (device == 1)[:, None]


def order_value(rng, arm, reward, device):
    return filled(rng.normal(60, 20, len(arm)), reward > 0)


def order_value_of_others_too(rng, arm, reward, device):
    return filled(rng.normal(60, 20, len(arm)), (reward > 0) | (rng.random(len(arm)) < 0.02))


def revenue(rng, arm, reward, device):
    return (reward * rng.uniform(0.5, 1.5, len(arm)))[:, None]


def minutes_on_page(rng, arm, reward, device):
    return (reward + rng.normal(0, 0.2, len(arm)))[:, None]


def price_shown(rng, arm, reward, device):
    return (np.array([10.0, 12.0, 30.0])[arm] + rng.normal(0, 3, len(arm)))[:, None] / 10


LEAKS = [order_value, order_value_of_others_too, revenue, minutes_on_page, price_shown]
SOUND = [nothing, age]


def verdict(log):
    found = evaluate(
        {"uniform": make("uniform"), "c": make("fixed_arm", arm="c")},
        log,
        champion="uniform",
        floor=0.0,
        gate=GateSpec(),
    )
    return found, found.policies["c"].verdict


@pytest.mark.parametrize("columns", LEAKS)
@pytest.mark.parametrize("whole", [False, True])
def test_a_log_with_an_outcome_among_its_features_is_not_promoted_on(columns, whole):
    found, of_c = verdict(log_of(8000, seed=1, columns=columns, whole=whole))
    assert of_c.decision == "not enough evidence"
    assert {"features_before_decision", "estimators_agree"} & set(of_c.failed), found.leak
    assert found.suspect >= 3 or "estimators_agree" in of_c.failed  # none of the device's columns


@pytest.mark.parametrize("columns", SOUND)
@pytest.mark.parametrize(("whole", "digits"), [(True, None), (False, None), (False, 6), (False, 4)])
def test_a_sound_log_is_promoted_on_however_it_was_written(columns, whole, digits):
    log = log_of(8000, seed=2, columns=columns, whole=whole, digits=digits)
    found, of_c = verdict(log)
    assert of_c.decision == "promote", of_c.failed
    assert abs(found.policies["c"].estimates["dr"] - 0.20) < 0.03


@pytest.mark.parametrize("arms", [2, 3, 7, 19, 41])
@pytest.mark.parametrize("digits", [6, 7, "float32", None])
def test_a_uniform_log_is_not_refused_for_the_last_digit_of_its_propensities(arms, digits):
    """(1 − p)/(K − 1) differs from p in the last bit, or in the sixth digit: that must not tell which arm was drawn."""
    rng, n = np.random.default_rng(arms), 3000
    p = {None: 1 / arms, "float32": float(np.float32(1 / arms))}.get(digits) or round(1 / arms, digits)
    chosen = rng.integers(arms, size=n)
    pmf = np.full((n, arms), (1 - p) / (arms - 1))
    pmf[np.arange(n), chosen] = p
    batch = Batch(
        context=np.zeros((n, 1), np.float32),
        arm=np.tile(np.arange(arms), (n, 1)),
        mask=np.ones((n, arms), bool),
        pair=np.zeros((n, arms, 0), np.float32),
        catalogue=Catalogue(ids=tuple(map(str, range(arms))), features=np.eye(arms, dtype=np.float32), digest="k"),
    )
    log = Interactions(
        batch=batch,
        chosen=chosen,
        reward=rng.random(n),
        propensity=np.full(n, p),
        pmf=pmf,
        at=np.arange(n),
        unit=np.arange(n).astype(np.uint64) + 1,
        weight=np.ones(n),
    )
    assert self_tests.propensity(log) > 0.01


def test_the_tests_of_agreement_and_balance_hold_their_level():
    """300 sound logs of 1,000 rows, of both kinds: at the gate's thresholds next to none is refused for its features."""
    refused = 0
    for seed in range(150):
        for columns in SOUND:
            log = log_of(1000, seed=seed, columns=columns, whole=bool(seed % 2))
            q = np.tile(RATES, (1000, 1))
            target = np.eye(ARMS)[np.full(1000, 2)]
            p = agreement(log, (target, np.full((1000, ARMS), 1 / ARMS)), q).p
            refused += leaks.tested(log).p < LEAK_LEVEL or p < AGREEMENT_LEVEL
    assert refused <= 3  # of 300: at most 1 %


def test_predictions_below_every_reward_are_kept_so_that_the_mean_of_rare_rewards_is_right():
    rng, n = np.random.default_rng(4), 20_000
    log = log_of(n, seed=4, columns=lambda r, a, w, d: r.normal(size=(n, 12)), whole=True)
    rare = ((log.batch.context[:, 3] > 2.0) & (rng.random(n) < 0.2)).astype(np.float64)
    q = cross_fit(replace(log, reward=rare))
    assert q.min() < 0.0
    assert q.mean() == pytest.approx(rare.mean(), rel=0.2)
    assert np.maximum(q, 0.0).mean() > 1.25 * rare.mean()  # what clipping at the rewards would say
