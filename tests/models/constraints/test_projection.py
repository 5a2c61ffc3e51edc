"""The projection against scipy's optimisers, by its optimality conditions, and limits that no pmf satisfies."""

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, brentq, minimize

from croupier.models.constraints.limits import Limits
from croupier.models.constraints.projection import project

IDS = tuple("abcdefgh")
CATEGORY = dict(zip(IDS, "xxxyyyzz", strict=True))
LIMITS = Limits(
    never=frozenset("c"),
    arms={"a": (0.05, 1.0), "e": (0.0, 0.2), "h": (0.02, 0.6)},
    category=CATEGORY,
    shares={"x": (0.25, 0.5), "y": (0.0, 0.3)},
)


def random_pmfs(n, seed):
    """Dirichlet rows, from nearly uniform to nearly certain."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.dirichlet(np.full(len(IDS), a), n // 4) for a in (0.05, 0.3, 1.0, 5.0)])


def bounds_of(limits, n):
    return limits.bounds(IDS, np.ones((n, len(IDS)), dtype=bool))


def distance(p, q, by):
    return ((p - q) ** 2).sum(-1) if by == "euclidean" else (p * np.log(np.maximum(p, 1e-300) / q)).sum(-1)


def optimum(q, b, row, by):
    """What scipy's general solver finds, from a feasible beginning."""
    sets = np.array([b.group == g for g in range(len(b.names))], dtype=float)
    rows = [LinearConstraint(sets, b.group_low[row], b.group_high[row]), LinearConstraint(np.ones(len(q)), 1.0, 1.0)]
    gradient = (lambda p: 2 * (p - q)) if by == "euclidean" else (lambda p: np.log(np.maximum(p, 1e-300) / q) + 1)
    return minimize(
        lambda p: distance(p, q, by),
        np.clip(q, b.low[row], b.high[row]),
        jac=gradient,
        method="SLSQP",
        bounds=list(zip(b.low[row], b.high[row], strict=True)),
        constraints=rows,
        options={"ftol": 1e-15, "maxiter": 500},
    )


@pytest.mark.medium
@pytest.mark.filterwarnings("ignore:Values in x were outside bounds")
@pytest.mark.parametrize(("by", "within"), [("euclidean", 1e-9), ("kl", 2e-7)])
def test_nobody_finds_a_nearer_one(by, within):
    q = random_pmfs(60, seed=1) * 0.8 + 0.2 / len(IDS)  # next to 0 the general solver is the one that errs
    b = bounds_of(LIMITS, len(q))
    p = project(q, b, by=by)
    found = [optimum(q[row], b, row, by) for row in range(len(q))]
    nearest, theirs = distance(p, q, by), np.array([each.fun for each in found])
    np.testing.assert_allclose(nearest, theirs, rtol=0, atol=within)  # theirs break their sum of 1 by 1e-8 under KL
    np.testing.assert_allclose(p, [each.x for each in found], rtol=0, atol=1e-4)


@pytest.mark.parametrize("by", ["euclidean", "kl"])
def test_values_are_those_of_the_root_of_the_sum(by):
    limits = Limits(arms={"a": (0.2, 0.4), "b": (0.0, 0.1), "f": (0.05, 1.0)})
    q = random_pmfs(40, seed=2) * 0.999 + 0.001 / len(IDS)
    b = bounds_of(limits, len(q))
    for row, p in enumerate(project(q, b, by=by)):

        def at(s, row=row):
            return np.clip(q[row] * np.exp(s) if by == "kl" else q[row] + s, b.low[row], b.high[row])

        s = brentq(lambda s: at(s).sum() - 1, -20.0, 20.0, xtol=1e-15)
        np.testing.assert_allclose(p, at(s), rtol=0, atol=1e-9)


@pytest.mark.parametrize("by", ["euclidean", "kl"])
def test_each_arm_stands_where_its_multipliers_put_it(by):
    """KKT: arms strictly inside their limits share one multiplier within a category, and categories strictly inside
    theirs share the whole's."""
    q = random_pmfs(400, seed=3) * 0.999 + 0.001 / len(IDS)
    b = bounds_of(LIMITS, len(q))
    p = project(q, b, by=by)
    sums = p @ (b.group[:, None] == np.arange(len(b.names)))
    assert abs(p.sum(axis=1) - 1).max() < 1e-12
    assert (p >= b.low - 1e-12).all()
    assert (p <= b.high + 1e-12).all()
    assert (sums >= b.group_low - 1e-12).all()
    assert (sums <= b.group_high + 1e-12).all()
    inner = (p > b.low + 1e-9) & (p < b.high - 1e-9)
    multiplier = np.where(inner, np.log(np.where(inner, p, 1) / q) if by == "kl" else p - q, np.nan)
    loose = (sums > b.group_low + 1e-9) & (sums < b.group_high - 1e-9)
    for g in range(len(b.names)):
        spread = np.nanmax(multiplier[:, b.group == g], 1, initial=-9) - np.nanmin(
            multiplier[:, b.group == g], 1, initial=9
        )
        assert spread.max() < 1e-9
    free = np.where(loose[:, b.group], multiplier, np.nan)
    assert (np.nanmax(free, 1, initial=-9) - np.nanmin(free, 1, initial=9)).max() < 1e-9


def test_by_hand():
    """Half of a's .8 is above its cap: by KL the others keep their ratio of 3 to 1, by distance they get as much."""
    limits, q = Limits(arms={"a": (0.0, 0.4)}), np.array([[0.8, 0.15, 0.05]])
    b = limits.bounds(("a", "b", "c"), np.ones((1, 3), dtype=bool))
    np.testing.assert_allclose(project(q, b, by="kl"), [[0.4, 0.45, 0.15]], atol=1e-15)
    np.testing.assert_allclose(project(q, b, by="euclidean"), [[0.4, 0.35, 0.25]], atol=1e-15)


@pytest.mark.parametrize("by", ["euclidean", "kl"])
def test_what_satisfies_its_limits_stays_as_it_is(by):
    q = random_pmfs(200, seed=4)
    np.testing.assert_allclose(project(q, bounds_of(Limits(), len(q)), by=by), q, rtol=0, atol=1e-15)
    p = project(q * 0.999 + 0.001 / len(IDS), bounds_of(LIMITS, len(q)), by=by)
    np.testing.assert_allclose(project(p, bounds_of(LIMITS, len(q)), by=by), p, rtol=0, atol=1e-12)


@pytest.mark.parametrize("by", ["euclidean", "kl"])
def test_alone_as_among_batch_mates_and_many_arms(by):
    rng = np.random.default_rng(5)
    ids = tuple(f"arm-{k}" for k in range(300))
    limits = Limits(category={arm: str(k % 7) for k, arm in enumerate(ids)}, shares={"3": (0.3, 0.4), "5": (0.0, 0.01)})
    mask = rng.random((20, len(ids))) < 0.5
    q = rng.dirichlet(np.full(len(ids), 0.2), 20) * mask
    q /= q.sum(axis=1, keepdims=True)
    p = project(q, limits.bounds(ids, mask), by=by)
    assert not p[~mask].any()
    for row in range(3):
        one = slice(row, row + 1)
        np.testing.assert_allclose(project(q[one], limits.bounds(ids, mask[one]), by=by), p[one], rtol=0, atol=1e-14)


def test_probabilities_next_to_none_are_carried_all_the_way():
    q = np.array([[1.0 - 1e-18, 1e-18, 3e-18, 0.0]])
    b = Limits(arms={"a": (0.0, 0.2), "d": (0.0, 1.0)}).bounds(tuple("abcd"), np.ones((1, 4), dtype=bool))
    np.testing.assert_allclose(project(q, b, by="kl"), [[0.2, 0.2, 0.6, 0.0]], atol=1e-12)


def test_arms_of_no_probability_get_their_floor_by_kl_and_no_more():
    q, mask = np.array([[1.0, 0.0, 0.0]]), np.ones((1, 3), dtype=bool)
    b = Limits(arms={"b": (0.1, 1.0)}).bounds(("a", "b", "c"), mask)
    np.testing.assert_allclose(project(q, b, by="kl"), [[0.9, 0.1, 0.0]], atol=1e-15)
    b = Limits(arms={"a": (0.0, 0.7), "b": (0.1, 1.0)}).bounds(("a", "b", "c"), mask)
    with pytest.raises(
        ValueError, match=r"request 0: found arms of probability 0 that need 0\.2 of decisions .* a sum of 1"
    ):
        project(q, b, by="kl")
    np.testing.assert_allclose(project(q, b, by="euclidean"), [[0.7, 0.15, 0.15]], atol=1e-15)
    b = Limits(category={"b": "new", "c": "new"}, shares={"new": (0.3, 1.0)}).bounds(("a", "b", "c"), mask)
    with pytest.raises(ValueError, match="the floor of category new"):
        project(q, b, by="kl")


REFUSED = [
    (Limits(arms={"a": (0.6, 1.0), "d": (0.5, 1.0)}), "request 0: found floors that sum to 1.1, expected at most 1"),
    (Limits(arms=dict.fromkeys(IDS, (0.0, 0.1))), "request 0: found caps that sum to 0.8, expected at least 1"),
    (
        Limits(never=frozenset("abc"), category=CATEGORY, shares={"x": (0.1, 1.0)}),
        "request 0: category x can have at most 0 ",
    ),
    (
        Limits(arms={"a": (0.3, 1.0)}, category=CATEGORY, shares={"x": (0.0, 0.2)}),
        "request 0: category x has at least 0.3 ",
    ),
]


@pytest.mark.parametrize(("limits", "says"), REFUSED)
def test_limits_that_no_pmf_satisfies_are_refused_by_name(limits, says):
    with pytest.raises(ValueError) as refused:
        bounds_of(limits, 2)
    assert str(refused.value).startswith(says)


def test_a_request_without_an_arm_of_a_floored_category_is_refused_and_without_a_floored_arm_is_not():
    limits = Limits(arms={"e": (0.2, 1.0)}, category=CATEGORY, shares={"x": (0.1, 1.0)})
    mask = np.ones((3, len(IDS)), dtype=bool)
    mask[1, 4] = False
    assert limits.bounds(IDS, mask).low[:, 4].tolist() == [0.2, 0.0, 0.2]
    mask[2, :3] = False
    with pytest.raises(ValueError, match="request 2: category x can have at most 0 "):
        limits.bounds(IDS, mask)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"arm a: found floor 0\.5 and cap 0\.4"):
        Limits(arms={"a": (0.5, 0.4)})
    with pytest.raises(ValueError, match="category w: found a limit but no arm in it"):
        Limits(category=CATEGORY, shares={"w": (0.5, 1)})
    with pytest.raises(ValueError, match=r"mask: found shape \(2, 3\)"):
        Limits().bounds(IDS, np.ones((2, 3), dtype=bool))
    b = bounds_of(Limits(), 1)
    for wrong in (np.full((1, 8), 0.2), np.full((1, 8), np.nan), np.array([[1.5, -0.5, 0, 0, 0, 0, 0, 0]])):
        with pytest.raises(ValueError, match="no distribution"):
            project(wrong, b)
    with pytest.raises(ValueError, match="expected 'euclidean' or 'kl'"):
        project(np.full((1, 8), 0.125), b, by="l1")
