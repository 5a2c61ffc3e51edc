"""What a day's budgets have spent: an hour's log is read once, another time only where it has grown."""

import math

import polars as pl
import pytest

from croupier import Embedded
from croupier.features import build, clock
from croupier.features.interactions.join import join_interval
from croupier.features.log import ship
from croupier.features.log.shipped import ShippedLog
from croupier.features.store import layout
from croupier.features.utc import HOUR, from_us
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.long_run import Usage
from croupier.serving.constraints import controller, measured
from croupier.serving.constraints.spent import spent_on
from croupier.serving.contract.requests import Request

BEGIN = 1_772_323_200_000_000  # 2026-03-01T00:00Z
COST = {"free": 0.0, "cheap": 1.0, "dear": 3.0}
ARMS = {arm: {"cost": cost} for arm, cost in COST.items()}
TOML = '[arm.cost]\ntype = "numeric"\n[[constraints]]\nname = "ads"\nkind = "spend"\nbudget = 300\ncost = "cost"\n'
SPENDS = {"ads": Usage(constraint="ads", of={"cheap": 1.0, "dear": 3.0}, limit=0.0, budget=300.0)}


def decided(shop, at, n=30, first=0):
    """What the answers of n requests at this time cost, by hand; shipped."""
    with clock.at(at):
        asked = [
            Request(unit_id=f"u{i}", context={}, arms=tuple(ARMS), event_id=f"e{at}-{first + i}") for i in range(n)
        ]
        answers = shop.select_batch(asked)
        ship.ship(shop.host.spool, shop.host.w.store, host="here")
    return sum(COST[answer.arm] for answer in answers)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    with Embedded.declared("shop", toml=TOML, arms=ARMS, var=tmp_path) as found:
        yield found


@pytest.fixture
def read(monkeypatch):
    """The hours that were read since it was last cleared."""
    found, whole = [], ShippedLog.read

    def noted(self, kind, hours, schema):
        found.extend(hours)
        return whole(self, kind, hours, schema)

    monkeypatch.setattr(ShippedLog, "read", noted)
    return found


def test_a_look_reads_the_hours_that_have_grown_and_no_others(shop, read):
    store, now = shop.host.w.store, from_us(BEGIN + 3 * HOUR + 10)
    total = sum(decided(shop, BEGIN + hour * HOUR) for hour in range(-1, 4))
    yesterday = spent_on(store, SPENDS, from_us(BEGIN - 1)).spent["ads"]
    read.clear()
    assert spent_on(store, SPENDS, now, keep=True).spent == {"ads": total - yesterday}
    assert [hour[-2:] for hour in read] == ["00", "01", "02", "03"], "yesterday's are not of today"
    read.clear()
    assert spent_on(store, SPENDS, now, keep=True).spent == {"ads": total - yesterday}
    assert read == []
    more = decided(shop, BEGIN + 3 * HOUR + 5, first=30) + decided(shop, BEGIN + HOUR + 5, first=30)
    assert spent_on(store, SPENDS, now, keep=True).spent == {"ads": total - yesterday + more}
    assert [hour[-2:] for hour in read] == ["01", "03"], "one that is late is counted, too"


def test_other_costs_and_broken_sums_are_counted_anew(shop, read):
    store, now = shop.host.w.store, from_us(BEGIN + 2 * HOUR)
    decided(shop, BEGIN)
    first = spent_on(store, SPENDS, now, keep=True).spent["ads"]
    twice = {"ads": Usage(constraint="ads", of={"cheap": 2.0, "dear": 6.0}, limit=0.0, budget=300.0)}
    assert spent_on(store, twice, now).spent["ads"] == 2 * first > 0
    for broken in (b"", b"[]", b"{", b'{"of": "x", "hours": 3}'):
        store.put(layout.SPENT, broken)
        assert spent_on(store, SPENDS, now).spent["ads"] == first
    assert store.get(layout.SPENT) == broken, "who only asks keeps nothing"


def test_a_thinned_log_counts_what_it_stands_for_and_an_event_of_two_hosts_once(shop, monkeypatch):
    decided(shop, BEGIN)
    whole = ShippedLog.read

    def thinned(self, kind, hours, schema):
        rows = whole(self, kind, hours, schema)
        return pl.concat([rows, rows]).with_columns(pass_probability=pl.lit(0.25))

    once = spent_on(shop.host.w.store, SPENDS, from_us(BEGIN + 1)).spent["ads"]
    monkeypatch.setattr(ShippedLog, "read", thinned)
    assert math.isclose(spent_on(shop.host.w.store, SPENDS, from_us(BEGIN + 1)).spent["ads"], 4 * once)


def test_rows_of_a_thinned_log_weigh_in_exposures_too():
    usage = Usage(constraint="x", of={"a": 1.0}, limit=0.25)
    rows = pl.DataFrame(
        {"arms": [["a", "b"], ["a", "b"]], "pmf": [[0.5, 0.5], [0.1, 0.9]], "arm": ["a", "b"],
         "pass_probability": [1.0, 0.25]}
    )  # fmt: skip
    assert measured.used(usage, rows) == pytest.approx(0.5 + 4 * 0.1)
    assert controller._mean_excess(usage, rows, {"h": 10.0}) == pytest.approx((0.9 - 0.25 * 5) / 10)


@pytest.mark.medium
def test_an_hour_that_is_joined_while_it_lasts_moves_its_price_once_it_is_over(shop):
    """`croupier turn --last 1h` joins the hour that is going on."""
    w, later = shop.host.w, from_us(BEGIN + 2 * HOUR)
    decided(shop, BEGIN + HOUR // 2, n=60)
    with clock.at(BEGIN + HOUR // 2 + 5_000_000):
        build.collect("shop")
        join_interval(w.store, w.spec.reward, start=from_us(BEGIN), end=from_us(BEGIN + HOUR), now=later)
        assert controller.move(w, now=clock.now()).hours == ()
        assert kept_multipliers.now(w.store).hours == ()
    assert list(controller.move(w, now=later).hours) == ["2026-03-01T00"]
