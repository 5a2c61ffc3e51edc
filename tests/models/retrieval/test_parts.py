"""The top of very many arms by any number of workers: the bits of one worker's, and of sums by hand."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

pytest.importorskip("faiss", reason="the extra `retrieval`: its folder's other tests need it")
from croupier.features.batch import Batch, Catalogue
from croupier.features.engines.engine import LocalEngine
from croupier.models.bayesian.linear import LinTS, LinUCB
from croupier.models.retrieval import parts
from croupier.models.retrieval.parts import top_arms
from tests.models.retrieval.learnt import learnt

D, ARMS = 7, 5_003


class Processes:
    """An engine whose jobs other processes compute."""

    def map(self, function, jobs, *, done=None):
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            return list(pool.map(function, jobs))


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """Arms of which every tenth is a copy of the one before, so that there are ties."""
    found = np.random.default_rng(0).normal(size=(ARMS, D)).astype(np.float32)
    found[10::10] = found[9:-1:10]
    path = tmp_path_factory.mktemp("arms") / "arms.npy"
    np.save(path, found)
    return path


WEIGHTS = np.random.default_rng(1).normal(size=D)


def same(a, b):
    return (a.rows.tobytes(), a.scores.tobytes()) == (b.rows.tobytes(), b.scores.tobytes())


@pytest.mark.parametrize("n", [1, 10, 300, ARMS, ARMS + 5])
def test_any_number_of_workers_finds_what_one_does_bit_for_bit(arms, n, monkeypatch):
    one = top_arms(LocalEngine(), arms, WEIGHTS, n, workers=1)
    assert len(one.rows) == min(n, ARMS)
    for workers in (2, 3, 7, 64):
        monkeypatch.setattr(parts, "TILE", 1_000 // workers + 1)
        assert same(top_arms(LocalEngine(), arms, WEIGHTS, n, workers=workers), one)


def test_it_is_the_order_of_sums_by_hand(arms):
    by_hand = []
    for row, x in enumerate(np.load(arms).tolist()):
        score = 0.0
        for a, w in zip(x, WEIGHTS.tolist(), strict=True):
            score += a * w
        by_hand.append((-score, row))
    by_hand.sort()
    found = top_arms(LocalEngine(), arms, WEIGHTS, 400, workers=5)
    assert list(zip((-found.scores).tolist(), found.rows.tolist(), strict=True)) == by_hand[:400]
    assert len({*found.scores.tolist()}) < 400, "there are ties: the earlier row comes first"


@pytest.mark.medium
def test_workers_that_are_other_processes(arms):
    one = top_arms(LocalEngine(), arms, WEIGHTS, 50, workers=1)
    assert same(top_arms(Processes(), arms, WEIGHTS, 50, workers=2), one)


def test_the_top_of_a_draw_is_what_the_policy_elects(tmp_path):
    """The weights of a draw for a request, over all arms, are the scores by which LinTS votes."""
    policy, features = learnt(LinTS(draws=4), D), np.random.default_rng(3).normal(size=(600, D)).astype(np.float32)
    np.save(tmp_path / "arms.npy", features)
    known, u = Catalogue(ids=tuple(map(str, range(600))), features=features, digest=""), np.ones((1, D), np.float32)
    pair, mask = np.zeros((1, 600, 0), np.float32), np.ones((1, 600), bool)
    batch = Batch(context=u, arm=np.arange(600)[None], mask=mask, pair=pair, catalogue=known)
    weights, pmf = policy.drawn_for(u[0]), policy.pmf(batch)[0]
    firsts = [top_arms(LocalEngine(), tmp_path / "arms.npy", w, 1, workers=3).rows[0] for w in weights.T]
    np.testing.assert_array_equal(np.bincount(firsts, minlength=600) / 4, pmf)


def test_posteriors_of_one_policy_share_the_arms_that_they_keep():
    """A step of the fast loop makes a new posterior: of a million arms it must not copy a hundred megabytes."""
    policy, known = learnt(LinTS(draws=4), D), Catalogue(ids=("a",), features=np.ones((1, D), np.float32), digest="")
    before, after = (
        policy._form(),
        policy.with_head(policy.head.update(np.ones((1, 2 * D + D * D + 1)), np.ones(1)))._form(),
    )
    assert before is not after
    assert before._of(known) is after._of(known)


@pytest.mark.parametrize(("weights", "n", "workers", "says"), [
    (np.ones(3), 1, 1, "weights: found shape (3,), expected 7 finite numbers"),
    (np.full(D, np.nan), 1, 1, "weights: found shape (7,), expected 7 finite numbers"),
    (np.ones(D), 0, 1, "top_arms: found n = 0 and workers = 1, expected 1 at least"),
    (np.ones(D), 1, 0, "top_arms: found n = 1 and workers = 0, expected 1 at least"),
])  # fmt: skip
def test_wrong_arguments_are_refused(arms, weights, n, workers, says):
    with pytest.raises(ValueError) as refused:
        top_arms(LocalEngine(), arms, weights, n, workers=workers)
    assert str(refused.value).startswith(says)


def test_an_arm_that_is_no_number_is_refused_and_so_is_a_policy_that_draws_nothing(tmp_path):
    np.save(tmp_path / "arms.npy", np.array([[1.0], [np.nan]], np.float32))
    with pytest.raises(ValueError, match=r"arms: found \[nan\] in a row"):
        top_arms(LocalEngine(), tmp_path / "arms.npy", np.ones(1), 1, workers=1)
    for policy in (LinTS(), learnt(LinUCB(), 2), learnt(LinTS(heads="per_arm"), 2)):
        with pytest.raises(ValueError, match="expected a trained one that draws one shared head"):
            policy.drawn_for(np.ones(2, np.float32))
