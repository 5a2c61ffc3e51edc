"""Scores to pmf, by hand and against the definitions."""

import numpy as np
import pytest
from scipy.optimize import minimize

from croupier.models import exploration as e

ALL = np.ones((1, 3), dtype=bool)


def test_squarecb_by_hand():
    # K = 3, gamma = 10, gaps 0, 0.2, 0.7: 1/(3 + 2) and 1/(3 + 7), the rest on the best
    pmf = e.squarecb(np.array([[0.9, 0.7, 0.2]]), ALL, 10.0)
    np.testing.assert_allclose(pmf, [[0.7, 0.2, 0.1]], atol=1e-15)


def test_ties_share():
    scores = np.array([[1.0, 1.0, 0.0]])
    np.testing.assert_allclose(e.enforce_minimum(e.greedy(scores, ALL), ALL, 0.3), [[0.45, 0.45, 0.1]], atol=1e-15)
    near = np.array([[1.0, 1.0 - 1.9e-4, 1.0 - 2.1e-4]])  # VW ties what differs by 1e-4 of the sum of magnitudes
    np.testing.assert_allclose(e.greedy(near, ALL, tie=e.VW_TIE), [[0.5, 0.5, 0]], atol=1e-15)
    np.testing.assert_allclose(e.greedy(near, ALL), [[1.0, 0, 0]], atol=1e-15)
    np.testing.assert_allclose(e.squarecb(scores, ALL, 7.0), [[0.45, 0.45, 0.1]], atol=1e-15)
    placed = e.squarecb(
        scores, ALL, 7.0, order=lambda: np.array([[5, 2, 0]])
    )  # 1/3 and the rest, to the lower place of the two
    np.testing.assert_allclose(placed, [[1 / 3, 17 / 30, 0.1]], atol=1e-15)
    np.testing.assert_allclose(e.squarecb(np.zeros((1, 3)), ALL, 7.0), np.full((1, 3), 1 / 3), atol=1e-15)


def test_masked_arms_get_nothing_whatever_their_score():
    mask, scores = np.array([[True, True, False]]), np.array([[0.0, 0.5, 9e9]])
    for pmf in (
        e.greedy(scores, mask),
        e.squarecb(scores, mask, 4.0),
        e.enforce_minimum(e.greedy(scores, mask), mask, 0.2),
        e.votes(scores[None], mask),
    ):
        assert pmf[0, 2] == 0
        assert pmf.sum() == pytest.approx(1)
    np.testing.assert_allclose(e.squarecb(scores, mask, 4.0), [[0.25, 0.75, 0]], atol=1e-15)


def test_with_floor_by_hand():
    np.testing.assert_allclose(e.with_floor(np.array([[1.0, 0, 0]]), ALL, 0.3), [[0.8, 0.1, 0.1]], atol=1e-15)


def test_enforce_minimum_is_the_nearest_pmf_above_the_floor():
    rng = np.random.default_rng(0)
    for epsilon in np.linspace(0.02, 0.95, 12):
        p = rng.dirichlet(np.full(4, 0.3))
        ours = e.enforce_minimum(p[None], np.ones((1, 4), dtype=bool), epsilon)[0]
        best = minimize(
            lambda q, p=p: ((q - p) ** 2).sum(),
            np.full(4, 0.25),
            bounds=[(epsilon / 4, 1)] * 4,
            constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(ours, best.x, atol=1e-5)
        assert ours.sum() == pytest.approx(1, abs=1e-12)
    many, all15 = rng.dirichlet(np.full(15, 0.5), size=300), np.ones((300, 15), dtype=bool)
    projected = e.enforce_minimum(many, all15, 0.5)
    np.testing.assert_allclose(projected.sum(axis=1), 1, atol=1e-12)
    shift = np.where(projected > 0.5 / 15 + 1e-12, many - projected, np.nan)  # one tau for all that stay above
    np.testing.assert_allclose(np.nanmax(shift, axis=1), np.nanmin(shift, axis=1), atol=1e-12)
    above = np.array([[0.5, 0.3, 0.2]])
    np.testing.assert_allclose(e.enforce_minimum(above, ALL, 0.3), above, atol=1e-15)
    np.testing.assert_allclose(e.enforce_minimum(above, ALL, 1.0), np.full((1, 3), 1 / 3), atol=1e-15)


def test_votes_count_and_share_ties():
    scores = np.array([[[1.0, 0, 0]], [[1, 0, 0]], [[0, 2, 0]], [[3, 3, 0]]])
    np.testing.assert_allclose(e.votes(scores, ALL), [[0.625, 0.375, 0]], atol=1e-15)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="no candidate in row 0"):
        e.greedy(np.zeros((1, 3)), np.zeros((1, 3), dtype=bool))
    with pytest.raises(ValueError, match="NaN or infinity"):
        e.greedy(np.array([[0.0, np.nan, 0]]), ALL)
    with pytest.raises(ValueError, match="found shape"):
        e.greedy(np.zeros((1, 2)), ALL)
    for bad in (
        lambda: e.with_floor(np.zeros((1, 3)), ALL, 1.5),
        lambda: e.squarecb(np.zeros((1, 3)), ALL, -1.0),
    ):
        with pytest.raises(ValueError, match="found"):
            bad()


@pytest.mark.parametrize("row", [0, 1, 2])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("bad", "found"),
    [
        ([np.nan, 0.5, 0.5], "NaN or infinity"), ([0.5, 0.5, np.nan], "NaN or infinity"),
        ([np.inf, -np.inf, 1.0], "NaN or infinity"), ([-1e-3, 0.5, 0.501], "negative mass"),
        ([1.2, -0.1, -0.1], "negative mass"), ([0.3, 0.3, 0.3], "does not sum to 1"),
        ([0.5, 0.5, 1e-5], "does not sum to 1"), ([0.0, 0.0, 0.0], "does not sum to 1"),
    ],
)  # fmt: skip
def test_the_guard_finds_what_is_no_pmf_in_any_row(bad, found, row, padded):
    pmf, mask = np.full((3, 3), 1 / 3), np.ones((3, 3), dtype=bool)
    if padded:
        pmf, mask = np.pad(pmf, [(0, 0), (0, 1)]), np.pad(mask, [(0, 0), (0, 1)])
    assert e.guard(pmf, mask) is pmf
    pmf[row, :3] = bad
    with pytest.raises(e.PolicyFailed, match=found), np.errstate(invalid="ignore"):
        e.guard(pmf, mask)


def test_the_guard_refuses_mass_on_padding_and_rounds_one_and_a_hair_to_one():
    mask = np.array([[True, True, False]])
    with pytest.raises(e.PolicyFailed, match="mass outside the candidates"):
        e.guard(np.array([[0.5, 0.4999999, 1e-7]]), mask)
    assert e.guard(np.array([[1.0 + 1e-9, 0.0, 0.0]]), mask).tolist() == [[1.0, 0.0, 0.0]]
    assert e.guard(np.array([[1.0 + 1e-9, 0.0, 0.0]]), np.ones((1, 3), dtype=bool)).tolist() == [[1.0, 0.0, 0.0]]
    assert e.guard(np.zeros((0, 3)), np.ones((0, 3), dtype=bool)).shape == (0, 3)
    with pytest.raises(e.PolicyFailed, match="shape"):
        e.guard(np.zeros((1, 2)), mask)


def test_a_row_by_itself_has_the_very_bits_it_has_in_a_batch():
    """A request by itself takes shorter ways (floats for arrays of one)."""
    rng = np.random.default_rng(5)
    scores, order = rng.normal(size=(200, 7)).round(1), np.tile(rng.permutation(7), (200, 1))  # rounded: many ties
    mask = np.ones((200, 7), dtype=bool)
    for rule in (
        lambda s, m, o: e.squarecb(s, m, 30.0, order=lambda: o),
        lambda s, m, o: e.squarecb(s, m, 30.0),
        lambda s, m, o: e.enforce_minimum(e.squarecb(s, m, 1e4, order=lambda: o), m, 0.05),
        lambda s, m, o: e.with_floor(e.greedy(s, m), m, 0.02),
        lambda s, m, o: e.enforce_minimum(e.greedy(s, m), m, 0.3),
    ):
        alone = [rule(scores[i : i + 1], mask[i : i + 1], order[i : i + 1]) for i in range(200)]
        np.testing.assert_array_equal(np.concatenate(alone), rule(scores, mask, order))


def test_exploring_toward_is_a_pmf_with_a_floor_and_knows_no_batch_mates():
    rng = np.random.default_rng(0)
    mask = rng.random((60, 7)) < 0.7
    mask[:, 0] = True
    one, other = (e.with_floor(_pmf(rng, mask), mask, 0.02) for _ in range(2))
    found = e.with_floor_toward(one, other, mask, 0.1, 0.5)
    assert found.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-12)
    assert (found[~mask] == 0.0).all()
    least = 0.9 * one + 0.05 * mask / mask.sum(axis=1, keepdims=True)
    assert (found >= least - 1e-12).all(), "the champion's share, and half of ε uniformly"
    for row in (0, 31):
        alone = e.with_floor_toward(one[row : row + 1], other[row : row + 1], mask[row : row + 1], 0.1, 0.5)
        assert (alone == found[row]).all()
    each = np.linspace(0.05, 0.4, 60)[:, None]
    own = e.with_floor_toward(one, other, mask, each, 0.5)
    for row in (0, 31, 59):
        alone = e.with_floor_toward(one[[row]], other[[row]], mask[[row]], float(each[row, 0]), 0.5)
        assert own[row] == pytest.approx(alone[0], abs=1e-15), "a request's own ε"


def test_exploring_toward_draws_the_difference_at_the_least_price():
    """No other way to spend the same share has a smaller Σ (π₁ − π₀)² / p: 2,000 random ones have not."""
    rng, mask = np.random.default_rng(1), np.ones((1, 5), bool)
    one, other = np.array([[0.8, 0.1, 0.06, 0.02, 0.02]]), np.array([[0.1, 0.55, 0.05, 0.28, 0.02]])
    found = e.with_floor_toward(one, other, mask, 0.3, 0.5)[0]
    gap = (other - one)[0]
    base = 0.7 * one[0] + 0.15 / 5
    price = (gap**2 / found).sum()
    others = base + 0.15 * rng.dirichlet(np.full(5, 0.6), size=2000)
    assert price <= (gap**2 / others).sum(axis=1).min() + 1e-12
    filled = found > base + 1e-9
    assert filled.tolist() == [False, True, False, True, False]
    assert np.ptp(found[filled] / np.abs(gap[filled])) < 1e-12, "what is filled up goes with the difference"


def test_exploring_toward_the_same_policy_is_uniform_exploration():
    mask = np.array([[True, True, True, False]])
    one = np.array([[0.7, 0.2, 0.1, 0.0]])
    assert (e.with_floor_toward(one, one, mask, 0.2, 0.5) == e.with_floor(one, mask, 0.2)).all()
    other = np.array([[0.1, 0.2, 0.7, 0.0]])
    assert e.with_floor_toward(one, other, mask, 0.2, 0.0) == pytest.approx(e.with_floor(one, mask, 0.2))
    with pytest.raises(ValueError, match="share: found 1"):
        e.with_floor_toward(one, one, mask, 0.2, 1.0)


def _pmf(rng, mask):
    p = rng.random(mask.shape) ** 3 * mask
    return p / p.sum(axis=1, keepdims=True)
