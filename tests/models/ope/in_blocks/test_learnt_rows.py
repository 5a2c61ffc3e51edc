"""Which rows a fold's reward model learns, of a log that is read block by block."""

import numpy as np
import pytest

from croupier.features.encoded import on_disk
from croupier.models.ope import reward_model

N, MOST = 1000, 100
FOLD = np.random.default_rng(0).integers(0, 3, N).astype(np.int8)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(on_disk, "BLOCK", 97)
    monkeypatch.setattr(reward_model, "FIT_ROWS", MOST)


@pytest.mark.parametrize("k", range(3))
def test_a_sample_of_the_other_folds(k):
    rest = np.flatnonzero(k != FOLD)
    drawn = np.sort(np.random.default_rng(5).choice(len(rest), MOST, replace=False))
    assert reward_model.learnt_rows(FOLD, k, np.random.default_rng(5)).tolist() == rest[drawn].tolist()


def test_all_of_them_where_they_are_few(monkeypatch):
    monkeypatch.setattr(reward_model, "FIT_ROWS", N)
    assert reward_model.learnt_rows(FOLD, 1, np.random.default_rng(5)).tolist() == np.flatnonzero(FOLD != 1).tolist()


def test_its_own_where_there_is_no_other_fold():
    drawn = np.sort(np.random.default_rng(5).choice(N, MOST, replace=False))
    assert reward_model.learnt_rows(np.zeros(N, np.int8), 0, np.random.default_rng(5)).tolist() == drawn.tolist()
