"""Changes of the users that are acted on: which are noted, once, and what is done then."""

from dataclasses import replace

import pytest

from croupier.features.spec_values import HealthSpec
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.features.utc import DAY, HOUR
from croupier.models.health import noted
from croupier.models.health.symptom import Symptom

T0 = 1_790_000_000_000_000
FLIP = Symptom(
    watch="reward",
    about="reward, segment device=tv",
    level="act",
    cause="taste_flip",
    number=0.5,
    threshold=0.95,
    since=T0,
    says="device tv does not like any more what it liked",
    remedy="retrain",
    nats=30.0,
    needed=12.0,
)
RESET, DISCOUNT = HealthSpec(on_change="reset_head"), HealthSpec(on_change="discount", discount=0.2)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def test_the_surest_change_is_noted_with_what_is_done(store):
    other = replace(FLIP, cause="dying_arm", about="reward, arm a", since=T0 + HOUR, nats=20.0)
    (change,) = noted.note(store, DISCOUNT, [other, FLIP], now=T0 + 5 * HOUR)
    assert (change.since, change.noted, change.cause) == (T0, T0 + 5 * HOUR, "taste_flip")
    assert (change.action, change.weight) == ("discount", 0.2)
    assert noted.every(store) == [change]
    assert noted.surest(RESET, [FLIP], now=T0).weight == 0.0


@pytest.mark.parametrize(("spec", "symptom"), [
    (HealthSpec(), FLIP), (RESET, replace(FLIP, level="watch")), (RESET, replace(FLIP, cause="rewards_lost")),
])  # fmt: skip
def test_nothing_is_done_unasked_unsure_or_where_no_taste_changed(store, spec, symptom):
    assert noted.note(store, spec, [symptom], now=T0) == []
    assert noted.last(store, T0 + DAY) is None


def test_one_change_is_noted_once_and_earlier_ones_are_kept(store):
    noted.note(store, RESET, [FLIP], now=T0 + HOUR)
    assert noted.note(store, RESET, [replace(FLIP, since=T0 + 20 * HOUR)], now=T0 + 21 * HOUR) == []
    (second,) = noted.note(store, DISCOUNT, [replace(FLIP, since=T0 + 2 * DAY)], now=T0 + 3 * DAY)
    assert [c.since for c in noted.every(store)] == [T0, T0 + 2 * DAY]
    assert noted.last(store, T0 + 4 * DAY) == second
    assert noted.last(store, T0 + DAY).action == "reset_head"
    assert noted.last(store, T0) is None, "rows before the change know nothing of it"


def test_a_broken_object_is_named(store):
    store.put(layout.CHANGES, b"[{}]")
    with pytest.raises(ValueError, match=r"changes/health.json: found"):
        noted.every(store)
