"""Limits and explorations of a segment of requests: kept there, and nothing changed elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import Left
from croupier.features.declared.constraint import ConstraintSpec
from croupier.features.declared.segment import RequestSegment
from croupier.features.declared.segmented import SegmentedRows, joined_rows
from croupier.models.constraints.held import DecisionLimits
from croupier.models.constraints.long_run import PriceList, usages
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.exploration import with_floor
from tests.models.constraints.test_held import CATEGORY, EPSILON, batch_of, pmfs, share

ARMS = {arm: {"category": name} for arm, name in CATEGORY.items()}
NORTH, PHONE = {"region": ("north",)}, {"device": ("phone",)}
NEWS = {"category": ("news",)}
DECLARED = [
    ConstraintSpec(name="news in the north", when=NORTH, arm=NEWS, floor=0.4),
    ConstraintSpec(name="little news elsewhere", arm=NEWS, floor=0.1, cap=0.6),
    ConstraintSpec(name="a4 on phones", when=PHONE, arms=("a4",), cap=0.05),
    ConstraintSpec(name="phones explore", kind="exploration", when=PHONE, floor=0.3),
]
LIMITS = DecisionLimits.of(DECLARED, ARMS)


def asked(rng, n):
    """Requests, a third of which lack their region, and by hand which are of the north and on phones."""
    rows = [
        {"device": str(rng.choice(["phone", "desk"]))}
        | ({"region": str(rng.choice(["north", "south"]))} if i % 3 else {})
        for i in range(n)
    ]
    north, phone = (
        np.array([row.get(name) == of for row in rows]) for name, of in (("region", "north"), ("device", "phone"))
    )
    return replace(batch_of(rng, n), segmented=SegmentedRows(rows)), north, phone


def test_each_segment_keeps_its_own_limits_and_its_own_exploration():
    rng = np.random.default_rng(5)
    batch, north, phone = asked(rng, 3000)
    epsilon = LIMITS.explored(batch, EPSILON)
    np.testing.assert_array_equal(epsilon[:, 0], np.where(phone, 0.3, EPSILON))
    before = with_floor(pmfs(rng, batch.mask), batch.mask, epsilon)
    p = LIMITS.held(before, batch, EPSILON)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    news, a4 = share(p, batch, "news"), ((batch.arm == 4) & batch.mask & phone[:, None])
    assert news[north].min() >= 0.4 - 1e-12
    assert news[~north].min() == pytest.approx(0.1, abs=1e-9), "there the floor of all requests holds, and no more"
    assert news.max() <= 0.6 + 1e-12
    assert p[a4].max() <= 0.05 + 1e-12
    assert p[(batch.arm == 4) & batch.mask & ~phone[:, None]].max() > 0.5
    alone = DecisionLimits.of(DECLARED[3:], ARMS)
    np.testing.assert_array_equal(alone.held(before, batch, EPSILON), before, "what explores as it should stays")
    certain = alone.held(with_floor(batch.mask * (np.arange(10) == 0.0), batch.mask, epsilon), batch, EPSILON)
    lowest = np.where(batch.mask, certain, 1.0).min(axis=1) * batch.mask.sum(axis=1)
    np.testing.assert_allclose(lowest, np.where(phone, 0.3, EPSILON), atol=1e-12)


def test_a_pmf_within_the_limits_of_its_own_segment_stays_as_it_is():
    rng = np.random.default_rng(6)
    batch, north, phone = asked(rng, 500)
    before = with_floor(pmfs(rng, batch.mask), batch.mask, EPSILON)
    plain = ~north & ~phone
    fits = plain & (share(before, batch, "news") >= 0.1) & (share(before, batch, "news") <= 0.6)
    assert fits.sum() > 30
    np.testing.assert_array_equal(LIMITS.held(before, batch, EPSILON)[fits], before[fits])


def test_segments_survive_slices_what_is_left_and_joining():
    rng = np.random.default_rng(7)
    batch, north, _ = asked(rng, 40)
    segment = RequestSegment(NORTH)
    for rows in (slice(3, 20, 2), np.arange(40)[::-3], north):
        np.testing.assert_array_equal(batch[rows].of_segment(segment), north[rows])
        np.testing.assert_array_equal(
            SegmentedRows(marks=batch.segmented.marked([segment]).marks)[rows].of(segment), north[rows]
        )
    left = Left.of(batch.mask, np.array([5, 2, 9]), np.zeros((3, 1), np.int64)).batch(batch)
    np.testing.assert_array_equal(left.of_segment(segment), north[[5, 2, 9]])
    marked = batch.segmented.marked([segment, RequestSegment(PHONE)])
    np.testing.assert_array_equal(joined_rows([marked, marked[:4]]).of(segment), np.concatenate([north, north[:4]]))
    np.testing.assert_array_equal(joined_rows([batch.segmented, batch.segmented[:4]]).of(segment), [*north, *north[:4]])
    assert joined_rows([marked, None]) is None
    with pytest.raises(ValueError, match="encoded before the segment was declared"):
        batch.segmented.marked([]).of(segment)
    with pytest.raises(ValueError, match="encoded before the segment was declared"):
        LIMITS.held(np.full(batch.mask.shape, 0.1), replace(batch, segmented=None), EPSILON)


def test_a_segment_is_known_by_its_conditions_whatever_their_order():
    one = RequestSegment({"a": ("x",), "b": ("y",)})
    assert one == RequestSegment({"b": ("y",), "a": ("x",)})
    assert len({one, RequestSegment({"b": ("y",), "a": ("x",)}), RequestSegment({"a": ("x",)})}) == 2
    assert not one.has({"a": "x"}), "a request without the feature is of no segment"
    assert one.has({"a": "x", "b": "y", "c": 3})


def test_prices_of_a_segment_come_off_its_requests_alone():
    rng = np.random.default_rng(8)
    batch, north, _ = asked(rng, 200)
    declared = [
        ConstraintSpec(name="seen", kind="exposure", when=NORTH, arm=NEWS, floor=0.3),
        ConstraintSpec(name="film", kind="exposure", arm={"category": ("film",)}, cap=0.5),
    ]
    prices = Multipliers(version=3, prices={"seen floor": 0.2, "film cap": 0.1, "gone": 9.0})
    price = PriceList.of(usages(declared, ARMS), prices, "").on(batch).price
    kind = np.array([CATEGORY[f"a{i}"] for i in range(10)])[batch.arm]
    expected = np.where((kind == "news") & north[:, None], -0.2, 0.0) + np.where(kind == "film", 0.1, 0.0)
    np.testing.assert_allclose(np.where(batch.mask, price, 0), np.where(batch.mask, expected, 0), atol=1e-15)


def test_a_request_is_refused_by_the_limits_of_its_segment():
    limits = DecisionLimits.of([ConstraintSpec(name="c", when=NORTH, arm=NEWS, cap=0.2)], ARMS)
    news = tuple(arm for arm, name in CATEGORY.items() if name == "news")
    limits.refuse_infeasible(news, {"region": "south"})
    limits.refuse_infeasible(news, {})
    with pytest.raises(ValueError, match=r"found caps that sum to 0.2, expected at least 1"):
        limits.refuse_infeasible(news, {"region": "north"})
    with pytest.raises(ValueError, match=r'in segment {"region": \["north"\]}: found caps'):
        limits.refuse_all_infeasible(news)
