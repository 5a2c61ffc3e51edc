"""A verdict does not depend on how many rows are looked at together, nor on where the log lies."""

from math import isnan
from mmap import mmap

import numpy as np
import polars as pl
import pytest

from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.features.encoded import on_disk
from croupier.features.encoded.gathered_log import gathered
from croupier.features.spec import GateSpec
from croupier.features.utc import DAY
from croupier.models.baselines import Uniform
from croupier.models.gate.evaluation import Asked, evaluate

N, K, UNITS = 4000, 7, 150
NAMES = np.array(["phone", "tablet", "tv"])


class Leans:
    name = "leans"

    def pmf(self, batch):
        score = batch.mask * (1.0 + 4.0 * (batch.arm == batch.context[:, :1].round() % K))
        return score / score.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def log():
    """A log of two days, of units that come again, thinned, with lists of 3 to 7 candidates of which pmfs differ."""
    rng = np.random.default_rng(0)
    mask = np.arange(K) < rng.integers(3, K + 1, N)[:, None]
    pmf = np.where(mask, rng.random((N, K)) + 0.2, 0.0)
    pmf /= pmf.sum(axis=1, keepdims=True)
    chosen = (pmf.cumsum(axis=1) < rng.random(N)[:, None]).sum(axis=1).clip(max=mask.sum(axis=1) - 1)
    arm = np.where(mask, np.argsort(rng.random((N, K)), axis=1), 0)
    context = rng.normal(3.0, 1.5, size=(N, 2)).astype(np.float32)
    likes = arm[np.arange(N), chosen] == context[:, 0].round() % K
    batch = Batch(
        context=context,
        arm=arm,
        mask=mask,
        pair=np.where(mask[:, :, None], rng.normal(size=(N, K, 1)), 0.0).astype(np.float32),
        catalogue=Catalogue(ids=tuple("abcdefg"), features=rng.normal(size=(K, 3)).astype(np.float32), digest=""),
    )
    return Interactions(
        batch=batch,
        chosen=chosen,
        reward=(rng.random(N) < 0.1 + 0.4 * likes).astype(float),
        propensity=pmf[np.arange(N), chosen],
        pmf=pmf,
        at=98 * DAY + np.sort(rng.integers(0, 2 * DAY, N)),
        unit=rng.integers(0, UNITS, N).astype(np.uint64) * 977,
        weight=np.where(rng.random(N) < 0.3, 2.0, 1.0),
    )


def judged(log):
    labels = NAMES[log.chosen % 3]
    asked = Asked(declared=(0.0, 1.0), late=np.where(log.chosen == 1, 0.1, 0.0), features=("c1", "c2", "p"))
    return evaluate(
        {"uniform": Uniform(), "leans": Leans()},
        log,
        champion="uniform",
        floor=0.05,
        gate=GateSpec(),
        guardrails={"hide": -(log.chosen == 2).astype(float)},
        asked=asked,
        segments={"device": pl.Series(labels).cast(pl.Categorical), "same": labels.tolist()},
        born=np.array([0, 0, 90 * DAY, 97 * DAY, 98 * DAY, 99 * DAY, 99 * DAY]),
    ).to_dict()


def is_mapped(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array.obj if isinstance(array, memoryview) else array, mmap)


def differences(a, b, path=""):
    """Where two verdicts differ by more than rounding."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        return [found for key in a for found in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, list):
        assert len(a) == len(b), path
        return [found for i, (x, y) in enumerate(zip(a, b, strict=True)) for found in differences(x, y, f"{path}/{i}")]
    if isinstance(a, float) and isinstance(b, float):
        return [] if a == pytest.approx(b, rel=1e-12, abs=1e-14) or (isnan(a) and isnan(b)) else [(path, a, b)]
    return [] if a == b else [(path, a, b)]


@pytest.mark.medium
@pytest.mark.parametrize("ordered", [True, False])
def test_a_verdict_is_the_same_in_blocks_and_on_disk(log, monkeypatch, ordered):
    log = log if ordered else log[np.random.default_rng(1).permutation(N)]
    expected = judged(log)
    assert expected["policies"]["leans"]["lift"]["value"] > 0.05
    segments = expected["policies"]["leans"]["details"]["segments"]
    assert segments["device"] == segments["same"]
    assert len(segments["age of the arm: its part of the lift"]) == 4
    monkeypatch.setattr(on_disk, "SMALL", 0)
    monkeypatch.setattr(on_disk, "BLOCK", 97)
    there = gathered(log[start : start + 700] for start in range(0, N, 700))
    assert is_mapped(there.pmf)
    assert is_mapped(on_disk.zeros((3,)))
    found = judged(there)
    assert differences(expected, found) == []
