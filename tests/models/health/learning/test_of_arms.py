"""What arms' features say of the reward, from sums by arm: as numpy has it of the rows themselves; what is not known is
missing."""

import numpy as np
import pytest

from croupier.features.declared.feature import Feature
from croupier.features.health.figures import figures
from croupier.features.schema import Arm
from croupier.models.health.history import History
from croupier.models.health.learning.information import information
from croupier.models.health.learning.of_arms import of_arms
from croupier.models.health.learning.telling import telling
from tests.features.health.test_figures import ROWS, SPEC, frame
from tests.models.health.plain_hours import hours

DECLARED = {"price": Feature(type="numeric"), "kind": Feature(type="categorical"), "words": Feature(type="tags")}
ARMS = [
    Arm(arm_id="a", features={"price": 3.0, "kind": "old", "words": ["x"]}),
    Arm(arm_id="b", features={"price": 5, "kind": "new"}),
    Arm(arm_id="c", features={"price": "cheap", "kind": None}),
]


def history():
    """Two days of hours; arms a, b and c have sums of decisions, rewards, squares, decisions with a reward."""
    made, rng = hours(2, 3), np.random.default_rng(4)
    for hour in made:
        n = rng.integers(50, 100, 3)
        won = rng.binomial(n, (0.1, 0.4, 0.2))
        sums = zip("abc", n.tolist(), won.tolist(), strict=True)
        hour["groups"]["arm"] = {arm: [float(k), float(w), float(w), float(w)] for arm, k, w in sums}
    return History.of(made)


def rows(h, first, last):
    """Arm and reward of each decision."""
    found = []
    for arm, sums in h.sums["arm"].items():
        for n, won, *_ in sums[first:last]:
            found += [(arm, 1.0)] * int(won) + [(arm, 0.0)] * int(n - won)
    return found


def test_moments_are_those_of_the_rows():
    h = history()
    found = of_arms(h, ARMS, DECLARED)
    assert set(found) == {"arm.price", "arm.kind"}
    pairs = np.array([(3.0 if arm == "a" else 5.0, r) for arm, r in rows(h, 7, 8) if arm != "c"])
    x, r = pairs.T
    expected = [len(x), x.mean(), ((x - x.mean()) ** 2).sum(), r.mean(), ((r - r.mean()) ** 2).sum()]
    assert found["arm.price"].reward[7] == pytest.approx([*expected, ((x - x.mean()) * (r - r.mean())).sum()])


def test_the_page_is_told_r_and_nats():
    h = history()
    by_name = {each.name: each for each in telling(h, more=of_arms(h, ARMS, DECLARED))}
    n, won = (sum(h.sums["arm"][arm][:24, k].sum() for arm in "a") for k in (0, 3))
    m, also = (h.sums["arm"]["b"][:24, k].sum() for k in (0, 3))
    rest, lucky = (h.sums["arm"]["c"][:24, k].sum() for k in (0, 3))
    plain = information(np.array([[n, m, rest], [won, also, lucky]]))
    assert by_name["arm.kind"].nats == pytest.approx(plain)
    assert plain > 0.02
    assert by_name["arm.kind"].r is None
    assert by_name["arm.price"].r > 0.25 < by_name["arm.price"].r_now
    assert by_name["arm.price"].nats == pytest.approx(plain)


def test_arms_of_no_catalogue_say_nothing():
    h = history()
    (price, kind) = of_arms(h, [], {k: DECLARED[k] for k in ("price", "kind")}).values()
    assert price.told[:, 0, -1].sum() == kind.told[:, 0, -1].sum() == len(rows(h, 0, len(h)))
    found = {each.name: each for each in telling(h, more={"arm.price": price})}["arm.price"]
    assert (found.r, found.r_now, found.nats, found.nats_now) == (None, None, 0.0, 0.0)


def test_sums_of_real_hours_are_read():
    """Figures of interactions, not made by hand: the shown arm's price, decision by decision."""
    made = figures(frame(ROWS), SPEC, account={"late": 1})
    arms = sorted({row["arm"] for row in ROWS})
    known = [Arm(arm_id=arm, features={"price": float(i)}) for i, arm in enumerate(arms)]
    feature = of_arms(History.of([made | {"hour": "2026-01-05T00"}]), known, DECLARED)["arm.price"]
    x = np.array([arms.index(row["arm"]) for row in ROWS], float)
    assert feature.reward[0, :3] == pytest.approx([len(x), x.mean(), ((x - x.mean()) ** 2).sum()])
