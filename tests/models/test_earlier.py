"""A policy that was trained before an encoder grew decides, learns and is kept from the grown columns as before."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.encoding.earlier_columns import EarlierColumns
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.grown import grown
from croupier.models import earlier
from croupier.models.earlier import ReadsEarlier
from croupier.models.policy import load, make
from tests.features.encoding.test_grown import APP, LATER, NEW, OLD, encoded, rows

FAMILIES = [
    ("lin_ts", {}), ("lin_ts", {"heads": "per_arm"}), ("lin_ucb", {}), ("vw_cb_adf", {}),
    ("neural_linear", {"hidden": [8], "epochs": 2}),
]  # fmt: skip


@pytest.fixture(scope="module")
def encoders():
    before = Encoder.fit(APP, rows(["Graz", "Wien", None] * 10, ["s1", "s2", "s1"] * 10), OLD)
    return grown(before, APP, LATER, NEW)[0], before


def log_of(encoder):
    from croupier.features.batch import Interactions

    batch = encoded(encoder, NEW)
    pick = np.tile(np.arange(len(batch)), 40)
    rng = np.random.default_rng(1)
    chosen, n = rng.integers(3, size=len(pick)), len(pick)
    return Interactions(
        batch=batch[pick],
        chosen=chosen,
        reward=(rng.random(n) < 0.2 + 0.3 * chosen).astype(float),
        propensity=np.full(n, 1 / 3),
        pmf=np.full((n, 3), 1 / 3),
        at=np.arange(n),
        unit=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
    )


@pytest.mark.medium
@pytest.mark.parametrize(("family", "parameters"), FAMILIES)
def test_it_decides_to_the_bit_as_before_and_is_kept_under_its_own_name(encoders, tmp_path, family, parameters):
    now, before = encoders
    policy = make(family, **parameters).learn([log_of(before)], seed=3)
    expected = policy.pmf(encoded(before, NEW))
    read = earlier.reading(policy, now, before)
    read.save(tmp_path)
    kept = load(tmp_path)
    assert (type(kept), kept.name, kept.columns.before) == (ReadsEarlier, family, before.digest)
    for each in (read, kept):
        np.testing.assert_array_equal(each.pmf(encoded(now, NEW)), expected)
    with pytest.raises(ValueError):
        policy.pmf(encoded(now, NEW))  # why it has to be read so


@pytest.mark.medium
def test_its_head_goes_on_learning(encoders):
    now, before = encoders
    policy = make("lin_ts").learn([log_of(before)], seed=3)
    read, fresh = earlier.reading(policy, now, before), log_of(now)[:50]
    batch, chosen = fresh.batch, fresh.chosen
    old = log_of(before)[:50]
    np.testing.assert_array_equal(read.features(batch, chosen), policy.features(old.batch, chosen))
    assert (read.sizes, read.parameters, read.head.step) == (policy.sizes, policy.parameters, policy.head.step)
    moved = read.update([fresh])
    np.testing.assert_array_equal(moved.pmf(encoded(now, NEW)), policy.update([old]).pmf(encoded(before, NEW)))
    again = read.with_head(moved.head)
    assert isinstance(again, ReadsEarlier)
    np.testing.assert_array_equal(again.pmf(encoded(now, NEW)), moved.pmf(encoded(now, NEW)))


def test_it_has_no_more_than_its_policy_has(encoders):
    from croupier.serving.learning.live_heads import learns

    vw = make("vw_cb_adf")
    read = ReadsEarlier(vw, EarlierColumns.between(*encoders))
    assert (hasattr(read, "with_head"), hasattr(read, "features"), learns(read)) == (False, False, False)


def test_what_reads_no_feature_is_itself_and_what_reads_others_is_refused(encoders):
    now, before = encoders
    assert earlier.reading(make("uniform"), now, before).__class__.__name__ == "Uniform"
    other = Encoder.fit(APP, rows(["Graz"] * 3, ["s1"] * 3, ages=(4.0,)), OLD)
    with pytest.raises(ValueError, match="found other columns than before"):
        earlier.reading(make("lin_ts"), now, other)


@pytest.mark.medium
def test_growing_twice_is_growing_once(encoders):
    now, before = encoders
    more, changes = grown(now, APP, rows(["Rom"] * 30, ["s9"] * 30), NEW)
    assert {c.feature for c in changes} == {"context.city", "arm_context.shelf"}
    policy = make("lin_ts").learn([log_of(before)], seed=3)
    read = earlier.reading(earlier.reading(policy, now, before), more, now)
    assert read.columns == EarlierColumns.between(more, before)
    np.testing.assert_array_equal(read.pmf(encoded(more, NEW)), policy.pmf(encoded(before, NEW)))
    assert replace(read.columns, now="") != replace(read.columns, before="")
