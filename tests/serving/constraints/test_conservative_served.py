"""[safety] conservative, live: log, join, controller, the same share everywhere, in each decision's record, replayed."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from croupier import Embedded
from croupier.features import build, clock
from croupier.features.interactions.join import join_interval
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.utc import HOUR, from_us
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.held import limits_of
from croupier.models.ope.rounds import as_served
from croupier.serving.cli import app
from croupier.serving.constraints import conservative, controller, standing
from croupier.serving.constraints.promise import PromiseLedger
from croupier.serving.decide.price_reader import mirror
from croupier.serving.decide.replay import replay
from croupier.serving.release import bundle_store
from tests.serving import apps
from tests.serving.constrained import EXPOSURE, declared
from tests.serving.embedded.shop import publish

ALPHA = 0.1
PROMISED = "\n[safety]\nconservative = 0.1\n"
BEGIN = 1_772_323_200_000_000  # 2026-03-01T00:00Z
EACH = 300  # decisions an hour


def lived(w, shop, hours, *, joined=lambda hour: True, begin=0, clicks=None):
    """`hours` of decisions, half past; each hour is joined two hours later, where `joined`, and the controller looks.
    Returns the decisions by hour, and of each what it was worth, what the baseline was, its reward, and that by b / p."""
    world, found, worth = apps.sample().world, [], []
    for hour in range(begin, begin + hours):
        at = BEGIN + hour * HOUR
        with clock.at(at + HOUR // 2):
            asked = apps.sample().requests(EACH, seed=hour)
            answers = shop.select_batch(asked)
            decisions = shop.host.spool.find([a.event_id for a in answers])
            found.append(decisions)
            chances = world.click_probability(*zip(*[(r.context, r.arms, r.arm_context) for r in asked], strict=True))
            rng = np.random.default_rng([7, hour])
            for r, a, chance in zip(asked, answers, chances, strict=True):
                clicked = rng.random() < chance[r.arms.index(a.arm)]
                if clicked:
                    shop.reward(event_id=a.event_id, kind="click", value=1.0)
                base = np.mean(chance[: len(r.arms)])
                ratio = orjson.loads(decisions[a.event_id].conservative)["baseline"] / a.propensity
                worth.append((np.dot(a.pmf, chance[: len(r.arms)]), base, clicked, clicked * ratio))
        with clock.at(at + HOUR + 60_000_000):
            build.collect("shop")
            looked(w, shop, hour - 2, joined=joined)
    return found, np.array(worth)


def looked(w, shop, hour, *, joined=lambda hour: True):
    """The hour is joined, the controller looks, and the host follows."""
    if hour >= 0 and joined(hour):
        start = from_us(BEGIN + hour * HOUR)
        join_interval(w.store, w.spec.reward, start=start, end=start + timedelta(hours=1), now=clock.now())
    said = controller.look(w, now=clock.now())
    assert "not moved" not in said, said
    mirror(w.store, w.home)
    shop.host.selector._prices._looked = -np.inf  # the mirror is looked at each tenth of a second
    return said


def shares(decisions):
    return np.array([orjson.loads(d.conservative)["share"] for d in decisions.values()])


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_APP", "shop")
    return tmp_path


@pytest.mark.slow
def test_the_share_grows_as_the_log_allows_the_promise_is_kept_and_each_decision_is_derived_again(home):
    w = declared(home, PROMISED)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=home) as shop:
        found, worth = lived(w, shop, 40)
        means = [shares(each).mean() for each in found]
        spool, release = shop.host.spool, shop.host.selector.release
        assert all((shares(each) == ALPHA).all() for each in found[:4]), "nothing is known yet"
        assert means[-1] > 0.3
        assert (np.cumsum(worth[:, 0] - (1 - ALPHA) * worth[:, 1]) >= 0).all()
        kept = {"prices": lambda version: kept_multipliers.of_version(w.store, version)}
        by_hand(found[-1], release, shop)
        for decision in [*found[0].values(), *found[-1].values()][::40]:
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), **kept)
            assert {"share", "pmf", "baseline"} <= {s.step for s in steps}
            assert all(s.holds for s in steps), steps
        last = next(iter(found[-1].values()))
        planted(last, release, spool, kept)
        ledger, allowance = PromiseLedger.read(w.store), kept_multipliers.now(w.store).multipliers.allowance
        assert sum(allowance.grants.values()) <= ledger.budget + 1e-9
        assert used(found) <= sum(allowance.grants.values()) + 1e-9
        (told,) = standing.standing(w, end=clock.now(), days=7.0)
        assert told.live
        assert told.share == allowance.share
        assert 0.9 < told.least < told.so_far
        by_log = worth[2 * EACH : -2 * EACH, 2:].sum(axis=0)
        np.testing.assert_allclose([ledger.value.value, ledger.value.baseline], by_log)
        counted = [d for hour in found[2:-2] for d in hour.values()]
        assert told.decisions == len(counted), "from the first full hour on"
        (line,) = standing.lines([told])
        assert line.startswith("safety conservative: running value ≥ 0.9 of that of uniform, at all times")


def by_hand(decisions, release, shop):
    """The logged pmf is (1 − s) of the uniform baseline's and s of what the champion would be served as by itself."""
    some = [*decisions.values()]
    batch = release.encoder.encode(
        [d.context for d in some], [d.arms for d in some], [d.arm_context for d in some], release.catalogue
    )
    alone = as_served(release.champion, batch, release.floor)
    for d, own, s in zip(some, alone, shares(decisions), strict=True):
        expected = (1 - s) / len(d.arms) + s * own[: len(d.arms)]
        np.testing.assert_allclose(d.pmf, expected, atol=1e-12)
        assert orjson.loads(d.conservative)["baseline"] == pytest.approx(1 / len(d.arms))


def planted(decision, release, spool, kept):
    """A share that was not allowed, and another baseline, are seen."""
    said = orjson.loads(decision.conservative)
    for wrong, step in ({"share": said["share"] + 0.01}, "share"), ({"baseline": 0.5}, "baseline"):
        text = orjson.dumps(said | wrong).decode()
        steps = replay(
            replace(decision, conservative=text), load=lambda _: release, spool=spool, spec=RewardSpec(), **kept
        )
        assert next(s.step for s in steps if not s.holds) == step


def used(found):
    return sum(float(np.maximum(shares(each) - ALPHA, 0).sum()) for each in found)


@pytest.mark.slow
def test_without_looks_a_host_falls_back_to_the_free_share_and_a_missing_hour_holds_up_the_rest(home):
    w = declared(home, PROMISED)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=home) as shop:
        lived(w, shop, 12)
        before = PromiseLedger.read(w.store)
        granted = sum(kept_multipliers.now(w.store).multipliers.allowance.grants.values())
        found, _ = lived(w, shop, 12, begin=12, joined=lambda hour: hour != 10)
        after = PromiseLedger.read(w.store)
        assert after.through == BEGIN + 10 * HOUR, "hour 10 is not joined, so those behind it are not counted"
        assert after.value.rows == before.value.rows
        assert sum(kept_multipliers.now(w.store).multipliers.allowance.grants.values()) == pytest.approx(granted)
        means = [shares(each).mean() for each in found]
        assert means[0] > ALPHA
        assert shares(found[-1]).max() == ALPHA, "what was granted is used up"
        with clock.at(BEGIN + 26 * HOUR):
            looked(w, shop, 10)
            assert PromiseLedger.read(w.store).through > BEGIN + 20 * HOUR
        assert sum(kept_multipliers.now(w.store).multipliers.allowance.grants.values()) > granted


@pytest.mark.slow
def test_another_declaration_begins_another_promise(home):
    w = declared(home, PROMISED)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=home) as shop:
        lived(w, shop, 16)
        assert kept_multipliers.now(w.store).multipliers.allowance.share > ALPHA
        first = PromiseLedger.read(w.store)
    w = declared(home, PROMISED + "confidence = 0.9\n")
    publish(w, apps.trained("lin_ts"))
    with clock.at(BEGIN + 16 * HOUR):
        conservative.look(w, now=clock.now())
    withdrawn = kept_multipliers.now(w.store).multipliers.allowance
    assert (withdrawn.share, dict(withdrawn.grants)) == (ALPHA, {}), "of the former promise's grants nothing is left"
    w = declared(home, PROMISED.replace("0.1", '0.2\nbaseline = "reel-03"'))
    number = publish(w, apps.trained("lin_ts"))
    safety = bundle_store.manifest(w.store, number)["safeguards"]["safety"]
    assert (safety["conservative"], safety["baseline"]) == (0.2, "reel-03")
    with Embedded("shop", var=home) as shop:
        found, _ = lived(w, shop, 2, begin=16)
        assert set(shares(found[0])) == {0.2}, "the allowance of another promise is not this one's"
        for d in found[0].values():
            alone, own = 0.98 + 0.02 / len(d.arms), orjson.loads(d.conservative)["baseline"]
            expected = (
                alone if d.arm == "reel-03" else 1 / len(d.arms) if "reel-03" not in d.arms else 0.02 / len(d.arms)
            )
            assert own == pytest.approx(expected)
        second = PromiseLedger.read(w.store)
        assert second.promise != first.promise
        assert second.value.rows == 0
        assert second.value.alpha == 0.2


@pytest.mark.slow
def test_beside_prices_both_move_both_are_kept_and_slates_are_held_to_it_too(home):
    w = declared(home, EXPOSURE + PROMISED)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=home) as shop:
        found, _ = lived(w, shop, 14)
        now = kept_multipliers.now(w.store).multipliers
        assert now.prices["sports seen floor"] > 0
        assert now.allowance.share > ALPHA
        release, spool = shop.host.selector.release, shop.host.spool
        kept = {"prices": lambda version: kept_multipliers.of_version(w.store, version)}
        for decision in [*found[-1].values()][::30]:
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), **kept)
            assert {"multipliers", "share", "baseline"} <= {s.step for s in steps}
            assert all(s.holds for s in steps), steps
        slate = shop.select_slate(
            unit_id="u", context={"device": "phone"}, arms=[f"reel-{i:02d}" for i in range(9)], k=3
        )
        slots = spool.find([slot.event_id for slot in slate.slots])
        assert len(slots) == 3
        assert (shares(slots) == now.allowance.share).all()
        for decision in slots.values():
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), **kept)
            assert all(s.holds for s in steps), steps


def test_it_is_told_before_and_after_it_is_live_and_no_evaluation_is_changed_by_it(home):
    publish(declared(home, ""), apps.trained("lin_ts"))
    w = declared(home, PROMISED)
    assert limits_of(w) is None, "the gate judges policies by themselves"
    for live in (False, True):
        done = CliRunner().invoke(app, ["constraints", "--json"])
        (told,) = json.loads(done.stdout)["constraints"]
        assert (told["name"], told["live"], told["share"], told["decisions"]) == ("conservative", live, ALPHA, 0)
        assert CliRunner().invoke(app, ["constraints", "release"]).exit_code == 0
    said = CliRunner().invoke(app, ["constraints"]).stdout
    assert said == (
        "safety conservative: running value ≥ 0.9 of that of uniform, at all times, with probability 0.95; "
        "nothing counted yet: an hour counts once it is over and its rewards are complete; share of the policy now 0.1\n"
    )


def test_what_the_store_holds_wrongly_is_said_and_moves_nothing(home):
    w = declared(home, PROMISED)
    publish(w, apps.trained("lin_ts"))
    assert conservative.look(w, now=clock.now()) == "share beside the baseline 0.1, of 0 decisions"
    body = json.loads(w.store.get(layout.CONSERVATIVE))
    w.store.put(layout.CONSERVATIVE, json.dumps(body | {"value": body["value"] | {"growth": [0.0]}}).encode())
    said = conservative.look(w, now=clock.now())
    assert said == "share beside the baseline not moved: ValueError: growth: found 1 bets, expected 11"
    w.store.put(layout.CONSERVATIVE, json.dumps(body | {"through": "soon"}).encode())
    assert "found through 'soon', expected the end of an hour" in conservative.look(w, now=clock.now())
    w.store.put(layout.CONSERVATIVE, b"[]")
    assert "expected what a look keeps there" in conservative.look(w, now=clock.now())
