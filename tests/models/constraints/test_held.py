"""The limits of decisions as they are served: kept in every row, exploration kept, other rows untouched."""

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue
from croupier.features.declared.constraint import ConstraintSpec
from croupier.models.constraints.held import DecisionLimits
from croupier.models.exploration import with_floor

IDS = tuple(f"a{i}" for i in range(10))
CATEGORY = {arm: ("news", "sport", "film")[i % 3] for i, arm in enumerate(IDS)}
EPSILON = 0.02
DECLARED = [
    ConstraintSpec(name="news shown", arm={"category": ("news",)}, floor=0.3),
    ConstraintSpec(name="less film", arm={"category": ("film",)}, cap=0.4),
    ConstraintSpec(name="a4", arms=("a4",), floor=0.05, cap=0.5),
]
LIMITS = DecisionLimits.of(DECLARED, {arm: {"category": name} for arm, name in CATEGORY.items()})
CATALOGUE = Catalogue(ids=IDS, features=np.zeros((len(IDS), 1), np.float32), digest="d")


def batch_of(rng, n, least=4):
    """Ragged requests of arms in any order, each with one of news and of sport."""
    K = len(IDS)
    arm, mask = np.zeros((n, K), np.int64), np.zeros((n, K), bool)
    for row in range(n):
        k = rng.integers(least, K + 1)
        listed = rng.permutation(np.unique([0, 1, *rng.permutation(K)[: k - 2]]))
        arm[row, : len(listed)], mask[row, : len(listed)] = listed, True
    nothing = np.zeros((n, K, 0), np.float32)
    return Batch(context=np.zeros((n, 1), np.float32), arm=arm, mask=mask, pair=nothing, catalogue=CATALOGUE)


def pmfs(rng, mask):
    """Rows from nearly uniform to certain, zero where masked."""
    n = len(mask)
    raw = rng.dirichlet(np.full(mask.shape[1], 0.2), n) * mask
    raw = np.where(raw.sum(axis=1, keepdims=True) > 1e-9, raw, mask)
    certain = np.eye(mask.shape[1])[np.zeros(n, int)] * mask
    return np.where(rng.random((n, 1)) < 0.3, certain, raw / raw.sum(axis=1, keepdims=True))


def share(p, batch, name):
    return (p * (np.array([CATEGORY[a] == name for a in IDS])[batch.arm] & batch.mask)).sum(axis=1)


@pytest.mark.parametrize("epsilon", [EPSILON, 0.0, 0.3])
def test_every_row_keeps_its_limits_and_its_exploration(epsilon):
    rng = np.random.default_rng(3)
    batch = batch_of(rng, 2000)
    before = with_floor(pmfs(rng, batch.mask), batch.mask, epsilon)
    p = LIMITS.held(before, batch, epsilon)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert (p[~batch.mask] == 0).all()
    assert (p >= 0).all()
    assert share(p, batch, "news").min() >= 0.3 - 1e-12
    assert share(p, batch, "film").max() <= 0.4 + 1e-12
    a4 = (batch.arm == 4) & batch.mask
    assert p[a4].min() >= 0.05 - 1e-12
    assert p[a4].max() <= 0.5 + 1e-12
    if epsilon:
        least = (p * batch.mask.sum(axis=1, keepdims=True) / epsilon)[batch.mask].min()
        assert least > 0.5  # z is at least half of 1/K here: the film's cap and the news' floor leave that much
    inside = (share(before, batch, "news") >= 0.3) & (share(before, batch, "film") <= 0.4)
    mass = np.where(a4, before, np.nan)
    inside &= ~((mass < 0.05) | (mass > 0.5)).any(axis=1)
    assert 0 < inside.sum() < len(p) * 0.9
    np.testing.assert_array_equal(p[inside], before[inside])


def test_a_floor_raises_the_category_and_keeps_ratios_by_hand():
    """news .06 of two arms 2 : 1, to .3; the others share .7 in their old ratios."""
    limits = DecisionLimits.of(DECLARED[:1], {arm: {"category": name} for arm, name in CATEGORY.items()})
    batch = Batch(
        context=np.zeros((1, 1), np.float32), arm=np.array([[0, 3, 1, 2]]), mask=np.ones((1, 4), bool),
        pair=np.zeros((1, 4, 0), np.float32), catalogue=CATALOGUE,
    )  # fmt: skip
    p = limits.held(np.array([[0.04, 0.02, 0.74, 0.20]]), batch, EPSILON)
    np.testing.assert_allclose(p, [[0.2, 0.1, 0.7 * 0.74 / 0.94, 0.7 * 0.20 / 0.94]], atol=1e-12)


def test_alone_as_among_batch_mates():
    rng = np.random.default_rng(5)
    batch = batch_of(rng, 40)
    before = with_floor(pmfs(rng, batch.mask), batch.mask, EPSILON)
    together = LIMITS.held(before, batch, EPSILON)
    for row in range(40):
        k = int(batch.mask[row].sum())
        one = Batch(
            context=batch.context[[row]],
            arm=batch.arm[[row], :k],
            mask=batch.mask[[row], :k],
            pair=batch.pair[[row], :k],
            catalogue=CATALOGUE,
        )
        np.testing.assert_allclose(
            LIMITS.held(before[[row], :k], one, EPSILON), together[[row], :k], rtol=0, atol=1e-14
        )


@pytest.mark.parametrize(("ids", "says"), [
    (("a4",), "found caps that sum to 0.5, expected at least 1"), (("a4", "a2"), "found caps that sum to 0.9"),
    (("a2", "a5"), "found caps that sum to 0.4"),
])  # fmt: skip
def test_what_no_pmf_keeps_is_named(ids, says):
    with pytest.raises(ValueError, match=says):
        LIMITS.refuse_infeasible(ids, {})


def test_a_category_that_a_request_does_not_list_has_no_floor_there():
    LIMITS.refuse_infeasible(("a1", "a2"), {})
    batch = Batch(
        context=np.zeros((1, 1), np.float32), arm=np.array([[1, 2]]), mask=np.ones((1, 2), bool),
        pair=np.zeros((1, 2, 0), np.float32), catalogue=CATALOGUE,
    )  # fmt: skip
    np.testing.assert_allclose(LIMITS.held(np.array([[0.5, 0.5]]), batch, EPSILON), [[0.6, 0.4]], atol=1e-12)
