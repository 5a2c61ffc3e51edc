"""Names of faults where the beginning is misjudged by hours, where chance helps one part, where a number is mostly zero."""

import numpy as np
import pytest

from croupier.models.health.alike.streams import MEAN
from croupier.models.health.diagnosis import diagnose
from croupier.models.health.drifted import Shares, _scaled, drifted
from croupier.models.health.explained import explain
from croupier.models.health.history import History
from croupier.models.health.season import View
from croupier.models.health.symptom import ACT
from croupier.models.health.watches.features import _equal_shares
from tests.models.health.plain_hours import hour, hours, numeric

DAYS = 22
LIMITS = (0.0, 1.0)


@pytest.fixture(scope="module")
def before():
    """The sound days before, made once."""
    return hours(DAYS, 7)


def viewed(before, wrong, last, seed=99):
    rng = np.random.default_rng(seed)
    return View.of(History.of([*before, *(hour(DAYS * 24 + k, rng, **wrong) for k in range(last))]))


@pytest.mark.parametrize(
    ("wrong", "name", "cause"),
    [
        ({"renamed": True}, "context.device", "category_renamed"),
        ({"frozen": True}, "context.age", "feature_frozen"),
        ({"age": 100.0}, "context.age", "feature_scaled"),
    ],
    ids=["renamed", "frozen", "scaled"],
)
def test_a_sound_hour_before_does_not_hide_what_a_feature_suffers(before, wrong, name, cause):
    view = viewed(before, wrong, 1)
    assert drifted(view, name, view.R - 1).cause == cause
    assert drifted(view, name, view.R - 2).cause == cause, "one hour early"


def test_a_category_that_freezes_at_another_value_each_hour_is_frozen(before):
    """As a cache that is refreshed by the hour: no value is most of all, but of each hour one is."""
    rng = np.random.default_rng(3)
    late = [hour(DAYS * 24 + k, rng) for k in range(4)]
    for k, made in enumerate(late):
        made["features"]["context.device"]["bins"] = {("tv", "phone")[k % 2]: made["n"]}
    view = View.of(History.of([*before, *late]))
    told = drifted(view, "context.device", view.R - 4)
    assert (told.cause, told.serious) == ("feature_frozen", True)
    assert told.says == "context.device is frozen: nearly all values of an hour are the same one"
    for made in late:
        made["features"]["context.device"]["bins"] = {"tv": made["n"] // 2, "phone": made["n"] // 2}
    view = View.of(History.of([*before, *late]))
    assert drifted(view, "context.device", view.R - 4).cause == "feature_drift"


def test_a_feed_that_broke_is_not_an_arm_that_fades_where_its_beginning_is_put_too_early(before):
    """Eight hours without rewards of b, told as of fourteen; and an arm at a half, which stays one that fades."""
    view = viewed(before, {"arm_rates": [("b", 0.0)]}, 8)
    assert explain(view, MEAN, LIMITS, ("arm", "b"), view.R - 14).cause == "reward_feed_arm"
    view = viewed(before, {"arm_rates": [("b", 0.5)]}, 8)
    assert explain(view, MEAN, LIMITS, ("arm", "b"), view.R - 14).cause == "dying_arm"


def test_a_part_that_fell_hardly_more_than_everything_is_not_the_cause(before):
    """Rewards are lost everywhere; by chance phones lose a little more than the rest. Nobody's taste has turned."""
    view = viewed(before, {"lost": 0.13, "device_rates": [("tv", 1.085)]}, 30, seed=2)
    told = explain(view, MEAN, LIMITS, ("segment", "device=phone"), view.R - 30)
    assert told.cause == "rewards_lost", told.says
    view = viewed(before, {"device_rates": [("phone", 0.87)]}, 30)
    assert explain(view, MEAN, LIMITS, ("segment", "device=phone"), view.R - 30).cause == "taste_flip"


def mostly_zero(rng, n, factor):
    x = np.where(rng.random(n) < 0.01, rng.integers(1, 5, n), 0.0)
    return numeric(x * factor)


@pytest.mark.medium
def test_the_unit_of_a_number_that_is_mostly_zero(before):
    """One value of a hundred is not zero: multiplied by a hundred it is named as scaled, though hardly a bin's share."""
    rng = np.random.default_rng(4)
    made = [h | {"features": {"context.depth": mostly_zero(rng, 900, 1.0)}} for h in before]
    late = [hour(DAYS * 24 + k, rng) | {"features": {"context.depth": mostly_zero(rng, 900, 100.0)}} for k in range(6)]
    found = diagnose(History.of([*made, *late]))
    assert (found.level, found.cause) == (ACT, "feature_scaled"), [(s.level, s.says) for s in found.symptoms]
    assert found.says.startswith("context.depth is ×9")  # steps of 1.2: 95.4
    assert diagnose(History.of(made)).level != ACT


def test_groups_of_equal_share_by_hand():
    """A bin of nine tenths is a group by itself; the others are shared out among the nine that are left, in order."""
    assert _equal_shares(np.array([900.0, 50.0, 25.0, 25.0])).tolist() == [9, 2, 5, 7]
    assert _equal_shares(np.ones(20)).tolist() == [k // 2 for k in range(20)]
    assert _equal_shares(np.zeros(3)).tolist() == [0, 0, 0]


def test_a_handful_of_values_names_no_scale_and_no_drift():
    """Ten values that are not zero say nothing of a unit, thirty do; an index of 1 of six values may well be chance."""
    now, before = np.array([0.99, 0.0, 0.01]), np.array([0.99, 0.01, 0.0])
    few, enough = (Shares(("0", "300", "325"), now, before, n, 1e6) for n in (1000.0, 3000.0))
    assert _scaled(few) is None
    assert _scaled(enough) == pytest.approx(1.2**25)
    now, before = np.array([0.8, 0.2]), np.array([0.35, 0.65])
    index = (0.45 * np.log(0.8 / 0.35)) + (-0.45 * np.log(0.2 / 0.65))
    thin, thick = (Shares(("0", "300"), now, before, n, 1e6) for n in (6.0, 600.0))
    assert thin.psi == pytest.approx(index - 1 / 6, abs=2e-3)
    assert thin.certain == pytest.approx(thin.psi - 3 * np.sqrt(2) / 6, abs=2e-3)
    assert thin.certain < 0.1 < thick.certain
