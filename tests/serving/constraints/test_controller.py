"""Prices of long-run constraints, live: moved by the joined log, off the scores, in each decision's record, replayed."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from croupier import Embedded
from croupier.features import build, clock
from croupier.features.interactions.join import join_interval
from croupier.features.spec import RewardSpec
from croupier.features.utc import HOUR, from_us
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.held import limits_of
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.exploration import with_floor
from croupier.models.ope.rounds import as_served
from croupier.serving.constraints import controller, standing
from croupier.serving.contract.requests import Request
from croupier.serving.decide.price_reader import mirror
from croupier.serving.decide.replay import replay
from tests.serving import apps
from tests.serving.constrained import EXPOSURE, GENRE, declared
from tests.serving.embedded.shop import publish

BEGIN = 1_772_323_200_000_000  # 2026-03-01T00:00Z
EACH = 100  # decisions an hour


def asked_of(hour):
    return apps.sample().requests(EACH, seed=hour)


def lived(w, shop, hours, *, joined=lambda hour: True, asked=asked_of):
    """`hours` of decisions; each hour is joined two hours later, where `joined`, and the controller looks then.
    Returns the decisions by hour."""
    found = []
    for hour in range(hours):
        at = BEGIN + hour * HOUR
        with clock.at(at + HOUR // 2):
            answers = shop.select_batch(asked(hour))
            found.append(shop.host.spool.find([a.event_id for a in answers]))
        with clock.at(at + HOUR + 60_000_000):
            build.collect("shop")
            if hour and joined(hour - 1):
                start = from_us(at - HOUR)
                join_interval(w.store, w.spec.reward, start=start, end=start + timedelta(hours=1), now=clock.now())
            controller.move(w, now=clock.now())
            mirror(w.store, w.home)
            shop.host.selector._prices._looked = -np.inf  # the mirror is looked at each tenth of a second
    return found


def share(decisions, genre):
    return np.mean([sum(p for arm, p in zip(d.arms, d.pmf, strict=True) if GENRE[arm] == genre) for d in decisions])


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_an_exposure_floor_is_met_by_a_price_and_each_decision_is_derived_again(home):
    w = declared(home, EXPOSURE)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=home) as shop:
        found = lived(w, shop, 96)
        spool, release = shop.host.spool, shop.host.selector.release
        first, last = ([d for each in found[at] for d in each.values()] for at in (slice(3), slice(-24, None)))
        assert {d.multipliers for d in first} <= {0, 1}
        assert share(first, "sports") < 0.2
        assert share(last, "sports") == pytest.approx(0.25, abs=0.03)
        assert len({d.multipliers for d in last}) > 10
        for decision in last[::80]:
            prices = {"prices": lambda version: kept_multipliers.of_version(w.store, version)}
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), **prices)
            assert "multipliers" in [s.step for s in steps]
            assert all(s.holds for s in steps), steps
            (missing,) = [
                s for s in replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec()) if not s.holds
            ]
            assert missing.step in ("multipliers", "pmf"), "without the prices it is not what was decided"
    price = kept_multipliers.now(w.store).multipliers.prices["sports seen floor"]
    assert 0 < price < 1


@pytest.mark.slow
def test_an_hour_moves_prices_once_a_late_one_too_and_a_missing_one_not(home):
    w = declared(home, EXPOSURE)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=home) as shop:
        lived(w, shop, 6, joined=lambda hour: hour != 2)
        kept = kept_multipliers.now(w.store)
        assert [hour[-2:] for hour in kept.hours] == ["00", "01", "03", "04"]
        now = from_us(BEGIN + 7 * HOUR)
        assert controller.move(w, now=now).hours == (), "nothing new"
        assert kept_multipliers.now(w.store) == kept
        start = from_us(BEGIN + 2 * HOUR)
        join_interval(w.store, w.spec.reward, start=start, end=start + timedelta(hours=1), now=now)
        moved = controller.move(w, now=now)
        assert [hour[-2:] for hour in moved.hours] == ["02"]
        assert moved.multipliers.version == kept.multipliers.version + 1
        assert controller.move(w, now=now).hours == ()


@pytest.mark.slow
def test_a_spend_stops_at_its_budget_and_begins_anew_at_midnight(home):
    """A uniform choice of arms that cost 0, 1 and 3: 133 an hour. 300 a day are gone in the third hour, and the host
    stops by its own account, between two looks."""
    arms = {"free": {"cost": 0.0}, "cheap": {"cost": 1.0}, "dear": {"cost": 3.0}}
    toml = '[arm.cost]\ntype = "numeric"\n[[constraints]]\nname = "ads"\nkind = "spend"\nbudget = 300\ncost = "cost"\n'
    with Embedded.declared("shop", toml=toml, arms=arms, var=home) as shop:
        w = shop.host.w
        requests = [Request(unit_id=f"u{i}", context={}, arms=tuple(arms)) for i in range(EACH)]
        found = lived(w, shop, 27, asked=lambda hour: requests)
        release, spool = shop.host.selector.release, shop.host.spool
        spent = np.array([sum(arms[d.arm]["cost"] for d in each.values()) for each in found])
        until = int(np.argmax(np.cumsum(spent) > 297))
        assert 1 <= until <= 3
        assert 297 < spent[:24].sum() <= 300, "to the cost of the dearest arm, and never a unit more"
        np.testing.assert_array_equal(spent[until + 1 : 24], 0.0)
        assert (spent[24:26] > 80).all(), "the stop is of its day"
        in_order = [d for each in found for d in each.values()]
        by_host = [d for d in in_order if d.stopped]
        assert {d.stopped for d in by_host} == {'["ads"]'}
        assert {tuple(d.pmf) for d in by_host} == {(1.0, 0.0, 0.0)}
        prices = {"prices": lambda version: kept_multipliers.of_version(w.store, version)}
        for decision in (in_order[0], by_host[0], by_host[-1], next(iter(found[24].values()))):
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), **prices)
            assert all(s.holds for s in steps), steps
        steps = replay(
            replace(by_host[0], stopped=""), load=lambda _: release, spool=spool, spec=RewardSpec(), **prices
        )
        assert [s.step for s in steps if not s.holds] == ["pmf"], "without the host's own stop it is another pmf"
        with clock.at(BEGIN + 27 * HOUR):
            (told,) = standing.standing(w, end=clock.now(), days=7.0)
        assert (told.name, told.kind, told.target, told.so_far) == ("ads", "spend", "≤ 300 a day", spent[24:].sum())
        assert kept_multipliers.now(w.store).multipliers.prices == {"ads": 0.0}, "no price moves a uniform choice"


def test_policies_are_judged_with_the_prices_of_now(home):
    w = declared(home, EXPOSURE)
    publish(w, apps.trained("lin_ts"))
    log = apps.sample().log
    free = as_served(apps.trained("lin_ts"), log.batch, 0.02, limits_of(w))
    np.testing.assert_array_equal(free, as_served(apps.trained("lin_ts"), log.batch, 0.02))
    kept = kept_multipliers.now(w.store)
    new = Multipliers(version=1, prices={"sports seen floor": 0.2})
    assert kept_multipliers.keep(w.store, kept, new, ["2026-03-01T00"])
    assert not kept_multipliers.keep(w.store, kept, new, []), "another was faster"
    priced = as_served(apps.trained("lin_ts"), log.batch, 0.02, limits_of(w))
    sports = np.array([GENRE[arm] == "sports" for arm in log.batch.catalogue.ids])[log.batch.arm] & log.batch.mask
    by_hand = apps.trained("lin_ts").pmf(replace(log.batch, price=np.where(sports, -0.2, 0.0)))
    np.testing.assert_allclose(priced, with_floor(by_hand, log.batch.mask, 0.02), atol=1e-12)
    assert (priced * sports).sum() > 1.5 * (free * sports).sum()
