"""What a fit gathers in parts is what it would find in all values at once: deciles to the bit, words by their counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croupier.features.declared.feature import Feature
from croupier.features.encoding.fits.gathered import gathered
from croupier.features.encoding.fits.numbers_gathered import BLOCK, DECILES
from croupier.features.encoding.fits.quantiles import quantiles, ranked

RNG = np.random.default_rng(0)


def in_parts(name, feature, values, cuts):
    found = gathered(name, feature)
    for start, end in zip([0, *cuts], [*cuts, len(values)], strict=True):
        found.add(values[start:end])
    return found.fitted()


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=60), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_ranks_and_quantiles_are_those_of_sorted_numbers(values, size):
    x = np.array(values)
    blocks = lambda: (x[i : i + size] for i in range(0, len(x), size))  # noqa: E731 - read four times
    assert list(ranked(blocks, range(len(x))).values()) == sorted(values)
    assert quantiles(blocks, len(x), DECILES) == np.quantile(x + 0.0, DECILES).tolist()


@pytest.mark.parametrize("values", [
    [0.0], [-0.0, 0.0, 5e-324], [-1.5] * 9 + [2.0], [1e-300, -1e17, 1e17], RNG.normal(size=5000).tolist(),
    RNG.integers(0, 4, 3000).astype(float).tolist(),
])  # fmt: skip
def test_a_number_is_fitted_as_numpy_fits_all_of_it(values):
    found = in_parts("age", Feature(type="numeric", transform="standardise"), [None, *values, float("nan")], [1])
    x = np.array(values)
    assert (found.profile.n, found.profile.missing) == (len(x) + 2, 1 - len(x) / (len(x) + 2))
    assert found.profile.cuts == tuple(np.unique(np.quantile(x + 0.0, np.arange(1, 10) / 10)).tolist())
    assert (found.profile.low, found.profile.high) == (x.min(), x.max())
    assert (found.mean, found.scale) == (x.mean(), x.std() if x.std() > 1e-12 else 1.0)
    bins = np.bincount(np.searchsorted(found.profile.cuts, x, side="right"), minlength=len(found.profile.cuts) + 1)
    assert found.profile.shares == tuple((bins / len(x)).tolist())


def test_more_numbers_than_a_block_come_to_the_same_in_any_parts():
    """Beyond a block mean and scale are added up, and may differ from numpy's in their last digits."""
    values = (RNG.lognormal(3.0, 2.0, 2 * BLOCK + 17)).tolist()
    feature = Feature(type="numeric", transform="log", clip=(0.5, 4000.0))
    one, many = (in_parts("n", feature, values, cuts) for cuts in ([], [1, BLOCK - 3, BLOCK + 5000]))
    assert one == many
    x = np.log1p(np.clip(values, 0.5, 4000.0))
    assert one.mean == pytest.approx(x.mean(), rel=1e-13)
    assert one.scale == pytest.approx(x.std(), rel=1e-13)
    assert one.profile.cuts == tuple(np.quantile(values, DECILES).tolist())


@pytest.mark.parametrize("values", [[], [None, None]])
def test_without_a_number_there_is_nothing_to_say(values):
    found = in_parts("age", Feature(type="numeric", transform="standardise"), values, [])
    assert (found.mean, found.scale, found.profile.shares) == (0.0, 1.0, ())
    assert found.profile.missing == float(len(values) > 0)


def test_words_and_shapes_add_up():
    values = ["b", "a", None, "b", True, 3.0, float("nan"), "c"] * 5
    found = in_parts("c", Feature(type="categorical", max_vocabulary=2), values, [3, 4, 20])
    assert found.vocabulary == ("b", "3")
    assert (found.profile.n, found.profile.missing) == (40, 0.25)
    assert found.profile.shares == pytest.approx((1 / 3, 1 / 6, 1 / 2))
    tags = in_parts("t", Feature(type="tags"), [["x", "x", "y"], [], None, ["y"]], [2])
    assert (tags.vocabulary, tags.profile.missing) == (("y", "x"), 0.5)
    assert tags.profile.shares == pytest.approx((2 / 3, 1 / 3, 0.0))
    vector = in_parts("e", Feature(type="embedding", length=2), [[0.0, 1.0], None, [1.0, 1.0]], [1])
    assert (vector.length, vector.profile.missing) == (2, 1 / 3)
