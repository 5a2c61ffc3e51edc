"""What serves is written for speed; each formula equals its plain form, alone, in batches, padded, and where it ties."""

from weakref import WeakKeyDictionary

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue
from croupier.models import exploration as e
from croupier.models.bayesian import thompson
from croupier.models.bayesian.linear import BilinearForm
from tests.models import plain_formulas as plain

ROWS, K = 60, 7


@pytest.fixture(params=["whole", "padded", "alone", "tied"])
def case(request):
    """scores, mask, order, gamma's rng: rounded scores tie often; a row of a padded batch has 1 to K candidates."""
    rng = np.random.default_rng(len(request.param))
    n = 1 if request.param == "alone" else ROWS
    scores = rng.normal(size=(n, K)).round(0 if request.param == "tied" else 3)
    mask = np.ones((n, K), dtype=bool)
    if request.param == "padded":
        mask = np.arange(K) < rng.integers(1, K + 1, size=(n, 1))
        scores = np.where(mask, scores, rng.choice([-9.0, 1e9, np.nan, np.inf], size=(n, K)))
    return scores, mask, np.argsort(rng.random((n, K)), axis=1), rng


def same(found, mask, rows, tolerance=1e-12):
    """`rows`: a plain pmf of each request's candidates."""
    assert not found[~mask].any()
    for row, candidates, expected in zip(found, mask, rows, strict=True):
        np.testing.assert_allclose(row[candidates], expected, atol=tolerance, rtol=0)


def each(formula, mask, *arrays):
    return [formula(*(a[i][mask[i]].tolist() for a in arrays)) for i in range(len(mask))]


@pytest.mark.parametrize("gamma", [0.0, 0.3, 30.0, 1e6])
@pytest.mark.parametrize("ordered", [True, False])
def test_squarecb(case, gamma, ordered):
    scores, mask, order, _ = case
    given = (scores, order) if ordered else (scores,)
    expected = each(lambda s, o=None: plain.squarecb(s, gamma, o), mask, *given)
    same(e.squarecb(scores, mask, gamma, order=(lambda: order) if ordered else None), mask, expected)


@pytest.mark.parametrize("tie", [0.0, 1e-4, 0.3])
def test_greedy(case, tie):
    scores, mask, order, _ = case
    same(e.greedy(scores, mask, tie=tie), mask, each(lambda s: plain.greedy(s, tie), mask, scores))
    ordered = each(lambda s, o: plain.greedy(s, tie, o), mask, scores, order)
    same(e.greedy(scores, mask, tie=tie, order=order), mask, ordered)


def test_eliminate(case):
    scores, mask, _, rng = case
    high = scores + rng.random(scores.shape).round(1)
    same(e.eliminate(scores, high, mask), mask, each(plain.eliminate, mask, scores, high))


@pytest.mark.parametrize("epsilon", [0.0, 0.02, 0.5, 0.9, 1.0])
def test_floors(case, epsilon):
    _, mask, _, rng = case
    pmf = rng.dirichlet(np.full(K, 0.3), size=len(mask)) * mask
    pmf /= pmf.sum(axis=1, keepdims=True)
    same(e.enforce_minimum(pmf, mask, epsilon), mask, each(lambda p: plain.enforce_minimum(p, epsilon), mask, pmf))
    same(e.with_floor(pmf, mask, epsilon), mask, each(lambda p: plain.with_floor(p, epsilon), mask, pmf))
    new = rng.random(mask.shape) < 0.3
    expected = each(lambda p, f: plain.with_newcomers(p, f, epsilon), mask, pmf, new)
    same(e.with_newcomers(pmf, mask, new, epsilon), mask, expected)


def test_votes(case):
    scores, mask, _, rng = case
    draws = (np.where(mask, scores, -np.inf) + rng.normal(size=(33, *scores.shape)).round(0)).astype(np.float32)
    expected = [plain.votes([d[i][mask[i]].tolist() for d in draws]) for i in range(len(mask))]
    same(e.votes(draws, mask), mask, expected)
    found = thompson.votes(np.ascontiguousarray(draws.transpose(1, 2, 0)))
    once = [i for i in range(len(mask)) if all(_single(d[i][mask[i]]) for d in draws)]
    same(found[once], mask[once], [expected[i] for i in once])  # a tied draw is a vote for each there


def _single(scores):
    return (scores == scores.max()).sum() == 1


def test_best_of_normals():
    rng = np.random.default_rng(3)
    mask = np.arange(5) < rng.integers(1, 6, size=(8, 1))
    mean, sd = rng.normal(size=(8, 5)), rng.uniform(0.2, 2.0, size=(8, 5))
    same(e.best_of_normals(mean, sd, mask), mask, each(plain.best_of_normals, mask, mean, sd), tolerance=1e-6)


@pytest.mark.parametrize("row", [
    [0.2, 0.3, 0.5, 0.0], [1.0 + 5e-7, 0.0, 0.0, 0.0], [0.5, 0.5, 2e-6, 0.0], [0.5, 0.4, 0.0, 0.1], [1.1, -0.1, 0.0, 0.0],
    [float("nan"), 0.5, 0.5, 0.0], [float("inf"), 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.3, 0.3, 0.4, -0.0],
])  # fmt: skip
def test_guard(row):
    mask = np.array([[True, True, True, False]])
    try:
        expected = plain.guard(row, mask[0])
    except ValueError:
        with pytest.raises(e.PolicyFailed), np.errstate(invalid="ignore"):
            e.guard(np.array([row]), mask)
    else:
        assert e.guard(np.array([row]), mask)[0].tolist() == expected


@pytest.mark.parametrize("cross", [True, False])
@pytest.mark.parametrize(("d_u", "d_a", "d_p"), [(3, 2, 2), (2, 0, 1), (3, 2, 0)])
def test_the_bilinear_form_ranks_as_phi_does(cross, d_u, d_a, d_p):
    """What all arms of a request share is left out of it, so differences between arms are compared."""
    rng, S, arms = np.random.default_rng(0), 5, 9
    d = d_u + (d_a + d_p) * (1 + d_u * cross) + 1
    weights = rng.normal(size=(d, S))
    catalogue = Catalogue(ids=tuple(f"a{i}" for i in range(arms)), features=_f32(rng, arms, d_a), digest="")
    mask = np.arange(6) < rng.integers(2, 7, size=(10, 1))
    arm = np.array([rng.choice(arms, 6, replace=False) for _ in range(10)])
    batch = Batch(context=_f32(rng, 10, d_u), arm=arm, pair=_f32(rng, 10, 6, d_p), mask=mask, catalogue=catalogue)
    form = BilinearForm(weights.astype(np.float32), d_u, d_a + d_p, cross=cross, arms=WeakKeyDictionary())
    found = form.scores(batch)
    for i, j in np.argwhere(mask):
        for s in range(S):

            def of(k, i=i, s=s):
                x = [*catalogue.features[arm[i, k]], *batch.pair[i, k]]
                return plain.linear_scores(weights[:, s], batch.context[i], x, cross=cross)

            assert found[i, j, s] - found[i, 0, s] == pytest.approx(of(j) - of(0), abs=2e-4)
    assert np.isneginf(found[~mask]).all()


def _f32(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def test_draw():
    from croupier.features.ids import uniform01
    from croupier.serving.decide.draws import draw

    rng = np.random.default_rng(1)
    pmf = rng.dirichlet(np.full(5, 0.4), size=400)
    pmf[::3, 1] = 0.0
    events = [f"e{i}" for i in range(400)]
    expected = [plain.draw(row, uniform01("salt", event)) for row, event in zip(pmf.tolist(), events, strict=True)]
    assert draw(pmf.tolist(), "salt", events) == expected
