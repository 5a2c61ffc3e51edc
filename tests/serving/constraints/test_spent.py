"""What a day's budgets have spent: an hour's log is read once, another time only where it has grown."""

import math
import shutil

import polars as pl
import pytest
from typer.testing import CliRunner

from croupier import Embedded
from croupier.features import build, clock
from croupier.features.interactions.join import join_interval
from croupier.features.log import ship
from croupier.features.log.shipped import ShippedLog
from croupier.features.store import layout
from croupier.features.utc import HOUR, from_us
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.long_run import Usage
from croupier.serving.cli import app as cli
from croupier.serving.constraints import controller, measured
from croupier.serving.constraints.spent import READ, Overrun, overrun, spent_on
from croupier.serving.contract.requests import Request
from tests.serving.constraints.test_constraints_command import told

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


def rows_of(*each, release=1, kept=1.0):
    """Decisions (minute of the first of March, arm)."""
    return pl.DataFrame(
        [(f"e{i}-{at}-{kept}", BEGIN + at * 60_000_000, release, arm, kept) for i, (at, arm) in enumerate(each)],
        schema=READ, orient="row",
    )  # fmt: skip


def test_what_a_day_costs_beyond_its_budget_and_who_broke_it():
    """A budget of 5: 3 + 1 are within, the next 3 is beyond it by 2, then a free one, and 1 more. Another day is whole."""
    usage = Usage(constraint="ads", of=SPENDS["ads"].of, limit=0.0, budget=5.0)
    day = [(0, "dear"), (1, "cheap"), (2, "dear"), (3, "free"), (4, "cheap")]
    rows = pl.concat([rows_of(*day), rows_of((1440, "dear"), (1441, "free"), release=2)])
    found = overrun(rows.reverse(), usage, {1, 2})
    assert found == Overrun(days={"2026-03-01": pytest.approx(3.0)}, decisions=2)
    assert overrun(pl.concat([rows, rows]), usage, {1}) == found, "an event of two hosts counts once"
    assert overrun(rows, usage, {2}).decisions == 0, "its release did not have the constraint"
    assert overrun(rows, usage, {2}).days == found.days
    thinned = overrun(rows_of(*day, kept=0.5), usage, {1})
    assert thinned == Overrun(days={"2026-03-01": pytest.approx(11.0)}, decisions=0), "an estimate breaks nothing"
    exact = Usage(constraint="ads", of=SPENDS["ads"].of, limit=0.0, budget=8.0)
    assert overrun(rows, exact, {1}) == Overrun(days={}, decisions=0)
    assert overrun(rows.clear(), usage, {1}) == Overrun(days={}, decisions=0)


@pytest.mark.medium
def test_a_day_that_was_overrun_is_told_and_called_broken(tmp_path, monkeypatch):
    """The host's account is deleted within the day, before anything is shipped: the host spends the budget again."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    with Embedded.declared("shop", toml=TOML, arms=ARMS, var=tmp_path) as shop:
        spent = decided(shop, BEGIN, n=300)
        with clock.at(BEGIN + 1):
            assert told("constraints", "--app", "shop")["constraints"][0]["overrun"] == {}
        home = shop.host.w.home
    assert 250 < spent <= 300
    shutil.rmtree(home / "spending")
    with Embedded("shop", var=tmp_path) as shop:
        spent += decided(shop, BEGIN + HOUR, n=300, first=300)
    with clock.at(BEGIN + 2 * HOUR):
        (found,) = told("constraints", "--app", "shop", code=1)["constraints"]
        said = CliRunner().invoke(cli, ["constraints", "--app", "shop"]).output
    assert (found["so_far"], found["overrun"]) == (spent, {"2026-03-01": spent - 300})
    assert found["broken"] > 50
    assert f"overrun on 2026-03-01 by {spent - 300:g}; {found['broken']} broke it" in said
    with clock.at(BEGIN + 30 * HOUR):
        build.collect("shop")
        w = Workspace.known("shop")
        join_interval(w.store, w.spec.reward, start=from_us(BEGIN), end=from_us(BEGIN + 2 * HOUR), now=clock.now())
        (later,) = told("constraints", "--app", "shop", code=1)["constraints"]
    assert (later["so_far"], later["overrun"], later["broken"]) == (0.0, found["overrun"], found["broken"])
