"""The condition of a head's precision, by hand and by numpy; near-collinear features have names, other pairs do not."""

import numpy as np
import pytest

from croupier.models.baselines import Uniform
from croupier.models.bayesian.linear import LinTS
from croupier.models.bayesian.neural_linear import NeuralLinear
from croupier.models.bayesian.posterior import Posterior, Prior
from croupier.models.health.learning.condition import (
    LARGEST,
    HeadCondition,
    NearlyAlike,
    alike,
    condition,
    condition_number,
    phi_names,
)
from croupier.models.health.symptom import TO_WATCH
from croupier.models.health.watches import learnt
from croupier.models.simulation.health.linear_failure import logistic, played

PRIOR = Prior(precision=0.25)


def head(columns):
    """The posterior of rows with these features, and a constant behind them."""
    phi = np.column_stack([*columns, np.ones(len(columns[0]))])
    return Posterior.empty(phi.shape[1], PRIOR).update(phi, np.zeros(len(phi)))


def test_the_condition_number_is_the_ratio_of_eigenvalues():
    assert condition_number(Posterior.empty(3, PRIOR)) == 1.0
    phi = np.array([[10.0, 0.0], [0.0, 1.0]])
    assert condition_number(Posterior.empty(2, PRIOR).update(phi, np.zeros(2))) == pytest.approx(100.25 / 1.25)
    rng = np.random.default_rng(1)
    found = head(rng.normal(size=(3, 200)))
    assert condition_number(found) == pytest.approx(np.linalg.cond(found.moments.A + 0.25 * np.eye(4)))
    assert condition_number(head([np.full(5, 1e100), np.zeros(5)])) == LARGEST


def test_features_that_are_nearly_the_same_are_named():
    rng = np.random.default_rng(2)
    age, other = rng.normal(38, 10, (2, 500))
    tv = (rng.random(500) < 0.3).astype(float)
    names = ("age", "years", "device=tv", "device=phone", "other", "age × other", "still", "1")
    columns = [age, 365 * age + rng.normal(0, 300, 500), tv, 1 - tv, other, age * 100, np.full(500, 3.0)]
    found = alike(head(columns), names)
    assert {(pair.one, pair.other) for pair in found} == {("age", "years"), ("years", "age × other")}
    by_hand = np.corrcoef(columns[0], columns[1])[0, 1]
    assert [pair.r for pair in found if pair.one == "age"] == [pytest.approx(by_hand)]
    assert alike(Posterior.empty(8, PRIOR), names) == ()


@pytest.fixture(scope="module")
def log():
    return played(logistic(np.random.default_rng(1), lambda X, w: 0.5 * X @ w), 600, 1)


@pytest.mark.parametrize("heads", ["shared", "per_arm", "hybrid"])
def test_each_column_of_a_linear_policys_phi_has_its_name(log, heads):
    """Products have the two names that are multiplied: φ of one row says which columns they are."""
    policy = LinTS(heads=heads).learn([log])
    d_u, d_a, d_p = policy.sizes
    context, arm, pair = ([f"{kind}{k}" for k in range(n)] for kind, n in (("u", d_u), ("a", d_a), ("p", d_p)))
    names = phi_names(policy, context, arm, pair)
    phi = policy.features(log.batch, log.chosen)[7]
    rows, pairs = log.shown
    value = dict(zip(context, log.batch.context[7], strict=True)) | dict(zip(pair, pairs[7], strict=True)) | {"1": 1.0}
    value |= dict(zip(arm, log.batch.catalogue.features[rows[7]], strict=True))
    mine = log.batch.catalogue.ids[rows[7]]
    value |= {f"arm={each}": float(each == mine) for each in (*policy.known, "any other")}
    expected = [np.prod([value[part] for part in name.split(" × ")]) for name in names]
    assert phi == pytest.approx(expected, abs=1e-5)


def test_a_policys_condition_is_that_of_its_worst_head(log):
    shared, apart = (LinTS(heads=heads).learn([log]) for heads in ("shared", "per_arm"))
    found = condition("the champion, lin_ts", shared)
    assert found.number == condition_number(shared.head)
    assert (found.size, found.arm) == (len(shared.head.mean), "every arm")
    worst = condition("x", apart)
    assert worst.number == max(map(condition_number, apart.heads.arms.values()))
    assert worst.number == condition_number(apart.heads.arms[worst.arm])
    assert condition("x", NeuralLinear(epochs=1).learn([log])).size == 51
    assert condition("x", LinTS()) is None, "untrained"
    assert condition("x", Uniform()) is None
    assert HeadCondition.from_dict(found.to_dict()) == found


def test_a_mean_without_four_digits_is_watched():
    pair = NearlyAlike(one="age", other="years", r=0.999)
    found = HeadCondition(who="the champion, lin_ts", number=3e13, arm="every arm", size=4, alike=(pair,))
    (told,) = learnt.symptoms(None, (found,), at=9)
    assert (told.watch, told.level, told.cause, told.since) == ("model", TO_WATCH, "unreliable_posterior", 9)
    assert (told.number, told.threshold) == (3e13, 1e12)
    assert told.says.endswith("is 3.0e+13; nearly the same are age and years")
    sound = HeadCondition(who="x", number=1e11, arm="", size=4, alike=(pair,))
    assert learnt.symptoms(None, (sound,), at=9) == [], "near-collinear features alone are only shown"
