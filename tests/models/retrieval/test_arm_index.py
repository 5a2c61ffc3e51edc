"""The index: exact where it is small, nearly so where it is not, against every product in the same run."""

import numpy as np
import pytest

faiss = pytest.importorskip("faiss", reason="the extra `retrieval`")
from croupier.models.retrieval import arm_index  # noqa: E402 - it needs faiss
from croupier.models.retrieval.arm_index import ArmIndex, arrays_of  # noqa: E402


def clustered(n, *, d=16, seed=0):
    """(n, d) vectors around 40 centres, of differing length, as embeddings of a catalogue are."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(40, d))
    found = centres[rng.integers(0, 40, n)] + 0.6 * rng.normal(size=(n, d))
    return (found * rng.lognormal(0, 0.2, (n, 1))).astype(np.float32)


def recall(index, vectors, queries, n=100):
    found = index.search(queries, n)
    assert all(len(set(rows)) == n for rows in found.tolist())
    truth = np.argsort(-(queries @ vectors.T), axis=1)[:, :n]
    return np.mean([len({*a} & {*b}) / n for a, b in zip(found.tolist(), truth.tolist(), strict=True)])


def test_a_small_one_is_exact_and_in_order():
    vectors, queries = clustered(500), clustered(20, seed=1)
    index = ArmIndex.of(vectors)
    np.testing.assert_array_equal(index.search(queries, 10), np.argsort(-(queries @ vectors.T), axis=1)[:, :10])


@pytest.mark.medium
def test_a_large_one_finds_nearly_all_and_takes_new_arms_without_being_built_anew():
    vectors, queries = clustered(40_000), clustered(50, seed=1)
    index = ArmIndex.of(vectors)
    assert recall(index, vectors, queries) >= 0.95
    more = clustered(2_000, seed=2) * 1.5
    grown = index.with_added(more)
    both = np.concatenate([vectors, more])
    assert (len(index), len(grown)) == (40_000, 42_000)
    assert recall(grown, both, queries) >= 0.95
    assert (grown.search(queries, 100) >= 40_000).any(), "new arms are found"
    assert (index.search(queries, 100) < 40_000).all(), "the old one is what it was"
    again = ArmIndex.of_arrays(arrays_of(vectors))
    np.testing.assert_array_equal(again.search(queries, 100), index.search(queries, 100))
    np.testing.assert_array_equal(ArmIndex.of(vectors).search(queries, 100), index.search(queries, 100))


def test_lists_that_hold_too_few_are_not_the_end(monkeypatch):
    """20 far arms and 780 at home: what is asked for beyond the lists looked through is found in the others."""
    monkeypatch.setattr(arm_index, "EXACT", 100)
    vectors = np.concatenate([clustered(780), 50 + clustered(20, seed=3)]).astype(np.float32)
    found = ArmIndex.of(vectors).search(vectors[-1:], 300)
    assert len({*found[0].tolist()}) == 300
    assert {*range(780, 800)} <= {*found[0, :100].tolist()}


@pytest.mark.parametrize(("make", "says"), [
    (lambda: ArmIndex.of(np.ones((3, 2))), "vectors: found float64 of shape (3, 2), expected float32"),
    (lambda: ArmIndex.of(np.ones((0, 2), np.float32)), "vectors: found float32 of shape (0, 2)"),
    (lambda: ArmIndex.of(np.full((1, 2), np.nan, np.float32)), "vectors: found NaN"),
    (lambda: ArmIndex.of(clustered(3)).search(clustered(1), 4), "search: found n = 4, expected 1 to 3"),
    (lambda: ArmIndex.of(clustered(3)).search(clustered(1, d=4), 1), "vectors: found length 4, expected 16"),
    (lambda: ArmIndex.of(clustered(3)).with_added(clustered(1, d=4)), "vectors: found length 4, expected 16"),
])  # fmt: skip
def test_wrong_arguments_are_refused(make, says):
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value).startswith(says)
