"""Columns that are made and added up in blocks come to what numpy makes of them whole."""

import numpy as np
import pytest

from croupier.features.encoded import columns, on_disk

N = 1000
RNG = np.random.default_rng(0)
VALUES, WEIGHTS = RNG.normal(5.0, 2.0, N), RNG.random(N)
UNIT = (RNG.integers(0, 40, N) * 977).astype(np.uint64)


@pytest.fixture(params=[97, N, 5000])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(on_disk, "BLOCK", request.param)


@pytest.mark.usefixtures("_blocks")
def test_sums_and_moments():
    assert columns.total(N, lambda rows: VALUES[rows] * WEIGHTS[rows]) == pytest.approx(VALUES @ WEIGHTS, rel=1e-13)
    assert columns.mean(VALUES) == pytest.approx(VALUES.mean(), rel=1e-13)
    assert columns.squares(VALUES, 5.0) == pytest.approx(np.square(VALUES - 5.0).sum(), rel=1e-13)
    assert columns.median(VALUES) == np.median(VALUES)
    assert columns.median(VALUES[1:]) == np.median(VALUES[1:])
    assert columns.median(VALUES[:1]) == VALUES[0]


@pytest.mark.usefixtures("_blocks")
def test_a_column_is_what_its_blocks_are():
    found = columns.column(N, lambda rows: VALUES[rows] ** 2, np.float32)
    assert found.dtype == np.float32
    assert np.array_equal(found, (VALUES**2).astype(np.float32))
    assert columns.places(N, lambda rows: VALUES[rows] > 5.0).tolist() == np.flatnonzero(VALUES > 5.0).tolist()


@pytest.mark.usefixtures("_blocks")
def test_units_and_their_sums():
    known, number = columns.numbered(UNIT)
    expected = np.unique(UNIT, return_inverse=True, return_counts=True)
    assert (known.tolist(), number.tolist()) == (expected[0].tolist(), expected[1].tolist())
    assert columns.counted(number, 50).tolist() == [*expected[2].tolist(), *([0] * (50 - len(known)))]
    sums = np.bincount(expected[1], weights=VALUES - 5.0)
    assert columns.by_number(number.astype(np.uint32), VALUES, 5.0) == pytest.approx(sums, rel=1e-12)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("most", [1, 7, 2 * N])
def test_the_greatest_of_either_side(most):
    assert columns.greatest(VALUES, most).tolist() == np.sort(VALUES)[::-1][:most].tolist()
    assert columns.greatest(VALUES, most, sign=-1.0).tolist() == np.sort(-VALUES)[::-1][:most].tolist()


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("fall", [1, 96, 97, 98, 999])
def test_a_fall_is_seen_wherever_it_lies(fall):
    at = np.arange(N)
    assert columns.rising(at)
    at[fall] = at[fall - 1] - 1
    assert not columns.rising(at)


def test_nothing_comes_to_nothing():
    assert columns.counted(np.zeros(0, np.uint32)).tolist() == []
    assert [part.tolist() for part in columns.numbered(np.zeros(0, np.uint64))] == [[], []]
    assert columns.rising(np.zeros(0))
