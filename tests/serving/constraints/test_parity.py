"""Parity: groups of requests are shown a category alike, in the mean, by prices of each group."""

import tomllib

import numpy as np
import polars as pl
import pytest

from croupier import Embedded
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec, RewardSpec
from croupier.features.utc import HOUR, from_us
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.long_run import usages
from croupier.serving.constraints import controller, standing, understood
from croupier.serving.decide.replay import replay
from tests.serving import apps
from tests.serving.constrained import declared
from tests.serving.constraints.test_controller import BEGIN, lived
from tests.serving.constraints.test_segments_served import mass
from tests.serving.embedded.shop import publish

PARITY = """
[[constraints]]
name = "music alike"
kind = "parity"
arm.genre = ["music"]
across = "device"
groups = ["phone", "tv"]
tolerance = 0.02
"""
FEATURES = """
[context.device]
type = "categorical"
[context.age]
type = "numeric"
[arm.genre]
type = "categorical"
"""


def gap(decisions, genre="music"):
    """The shares of phones and of tvs, and by how much they differ."""
    phone, tv = (
        np.mean([mass(d, genre) for d in decisions if d.context.get("device") == of]) for of in ("phone", "tv")
    )
    return phone, tv, phone - tv


def test_excess_of_a_group_is_measured_around_all_groups():
    (one,) = AppSpec.model_validate(tomllib.loads(FEATURES + PARITY)).constraints
    found = usages([one], {"a": {"genre": "music"}, "b": {"genre": "news"}})
    assert list(found) == [f"music alike {group} {side}" for group in ("phone", "tv") for side in ("more", "less")]
    rows = pl.DataFrame({
        "context": ['{"device": "phone"}'] * 3 + ['{"device": "tv"}'] + ['{"device": "tablet"}'] * 4,
        "arms": [["a", "b"]] * 8, "pmf": [[0.9, 0.1]] * 3 + [[0.1, 0.9]] + [[1.0, 0.0]] * 4,
        "pass_probability": [1.0] * 8,
    })  # fmt: skip
    mean = (3 * 0.9 + 0.1) / 4  # tablets are in no group
    excess = {name: controller._mean_excess(usage, rows, {"h": 8.0}) for name, usage in found.items()}
    assert excess["music alike phone more"] == pytest.approx(3 * (0.9 - mean - 0.01) / 8)
    assert excess["music alike phone less"] == pytest.approx(3 * (mean - 0.9 - 0.01) / 8)
    assert excess["music alike tv more"] == pytest.approx((0.1 - mean - 0.01) / 8)
    assert excess["music alike tv less"] == pytest.approx((mean - 0.1 - 0.01) / 8)


@pytest.mark.slow
@pytest.mark.full
def test_groups_are_shown_a_category_alike_after_some_days_and_replayed(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = declared(tmp_path, PARITY.replace("music", "comedy"))
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        found = lived(w, shop, 96)
        spool, release = shop.host.spool, shop.host.selector.release
        first, last = ([d for each in found[rows] for d in each.values()] for rows in (slice(3), slice(-36, None)))
        before, after = gap(first, "comedy")[2], gap(last, "comedy")[2]
        assert abs(before) > 0.04, "there is something to even out"
        assert abs(after) < min(0.03, abs(before) / 2)
        prices = {"prices": lambda version: kept_multipliers.of_version(w.store, version)}
        for decision in last[::300]:
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), **prices)
            assert all(s.holds for s in steps), steps
    told = {each.name: each for each in standing.standing(w, end=from_us(BEGIN + 96 * HOUR), days=1.0)}
    assert list(told) == ["comedy alike phone", "comedy alike tv"]
    assert told["comedy alike phone"].price * before > 0, "who was shown more pays for it"
    assert told["comedy alike tv"].price * before < 0


@pytest.mark.parametrize(("text", "why"), [
    (PARITY.replace("tolerance = 0.02", ""), "expected a tolerance above 0"),
    (PARITY.replace('["phone", "tv"]', '["phone"]'), "two of its values at least"),
    (PARITY.replace('"device"', '"sort"'), "across: found sort, expected a feature declared in"),
    (PARITY.replace('"device"', '"age"'), "across.age: found 'phone', expected numbers"),
    (PARITY + "floor = 0.1\n", "expected across, groups and tolerance beside its arms"),
    (PARITY.replace("parity", "exposure") + "floor = 0.1\n", 'which are of kind = "parity"'),
])  # fmt: skip
def test_what_is_no_parity_is_refused_by_name(text, why):
    with pytest.raises(ValueError, match=why):
        AppSpec.model_validate(tomllib.loads(FEATURES + text))


def test_it_is_said_in_words():
    spec = AppSpec.model_validate(tomllib.loads(FEATURES + PARITY))
    (said,) = understood.sentences(spec, [Arm(arm_id="a", features={"genre": "music"})])
    assert said == (
        "constraint music alike: 1 arm (a) together, in shares at most 0.02 apart between requests of device phone and tv, "
        "in the mean"
    )
