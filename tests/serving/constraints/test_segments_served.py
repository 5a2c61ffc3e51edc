"""Floors and explorations of segments, live: in the answer, on record, derived again, judged, and told."""

import tomllib
from dataclasses import replace

import numpy as np
import orjson
import pytest

from croupier import Embedded, Refused
from croupier.features.batch import concatenate
from croupier.features.encoding import dataset, inline
from croupier.features.spec import AppSpec, RewardSpec
from croupier.features.utc import HOUR, from_us
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.held import DecisionLimits
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.ope.rounds import as_served
from croupier.serving.constraints import standing
from croupier.serving.decide.replay import replay
from tests.serving import apps
from tests.serving.constrained import GENRE, declared
from tests.serving.constraints.test_controller import BEGIN, lived
from tests.serving.embedded.shop import publish

SEGMENTS = """
[[constraints]]
name = "sports in Austria"
when.country = ["AT"]
arm.genre = ["sports"]
floor = 0.3

[[constraints]]
name = "sports anywhere"
arm.genre = ["sports"]
floor = 0.05

[[constraints]]
name = "tablets explore"
kind = "exploration"
when.device = ["tablet"]
floor = 0.4
"""
SEEN = """
[[constraints]]
name = "news in Brazil"
kind = "exposure"
when.country = ["BR"]
arm.genre = ["news"]
floor = 0.3
"""


def mass(decision, genre):
    return sum(p for arm, p in zip(decision.arms, decision.pmf, strict=True) if GENRE[arm] == genre)


def kept(decision):
    """By hand: whether a decision keeps the constraints above."""
    least = 0.3 if decision.context.get("country") == "AT" else 0.05
    sports = not any(GENRE[arm] == "sports" for arm in decision.arms) or mass(decision, "sports") >= least - 1e-9
    ratio = 0.4 if decision.context.get("device") == "tablet" else 0.02
    K = len(decision.arms)
    # where sports must have more than its share of arms, the others' exploration gives way to 1/K of what is left
    alike = min(1 / K, (1 - least) / max(sum(GENRE[arm] != "sports" for arm in decision.arms), 1))
    return sports and min(decision.pmf) >= ratio * alike - 1e-9


@pytest.mark.slow
def test_every_decision_keeps_its_segments_floors_and_is_derived_again(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = declared(tmp_path, SEGMENTS)
    publish(w, apps.trained("lin_ts"))
    requests = apps.sample().requests(3000, strange=True)
    with Embedded("shop", var=tmp_path) as shop:
        answers = [a for at in range(0, 3000, 60) for a in shop.select_batch(requests[at : at + 60])]
        found = shop.host.spool.find([a.event_id for a in answers if not a.error])
        assert len(found) > 2900
        assert [d for d in found.values() if not kept(d)] == []
        austria = [d for d in found.values() if d.context.get("country") == "AT"]
        assert min(mass(d, "sports") for d in austria if "sports" in map(GENRE.get, d.arms)) == pytest.approx(0.3)
        tablets = [min(d.pmf) * len(d.pmf) for d in found.values() if d.context.get("device") == "tablet"]
        assert len(tablets) > 100
        assert np.median(tablets) == pytest.approx(0.4, abs=0.05)
        release, spool = shop.host.selector.release, shop.host.spool
        for decision in [*found.values()][::20]:
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
            assert all(s.holds for s in steps), steps
        told = austria[0]
        told.context["country"] = "BR"
        steps = replay(told, load=lambda _: release, spool=spool, spec=RewardSpec())
        assert not steps[-1].holds, "of another segment it would have been decided otherwise"


def test_a_log_keeps_which_rows_are_of_which_segment_and_is_judged_so(tmp_path):
    app = apps.sample()
    spec = AppSpec.model_validate(tomllib.loads(app.world.app_toml() + SEGMENTS + SEEN))
    rows, rules = app.world.interactions(600), inline.ruled_out(spec, app.arms)
    dataset.write_log(tmp_path / "a", rows, app.encoder, app.arms, rules)
    log = concatenate(list(dataset.read(tmp_path / "a", app.encoder.catalogue(app.arms))))
    country = np.array([orjson.loads(text).get("country") for text in rows["context"]])
    (austria, tablet, brazil) = rules.segments
    np.testing.assert_array_equal(log.batch.of_segment(austria), country == "AT")
    np.testing.assert_array_equal(log.batch.of_segment(brazil), country == "BR")
    assert 0 < log.batch.of_segment(tablet).sum() < 600
    limits = DecisionLimits.declared(spec, app.arms)
    p = as_served(apps.trained("lin_ts"), log.batch, 0.02, limits)
    live = dataset.encode_interactions(rows, app.encoder, app.encoder.catalogue(app.arms))
    np.testing.assert_array_equal(as_served(apps.trained("lin_ts"), live.batch, 0.02, limits), p)
    sports = np.array([GENRE[arm] == "sports" for arm in log.batch.catalogue.ids])[log.batch.arm] & log.batch.mask
    share = (p * sports).sum(axis=1)
    assert share[(country == "AT") & sports.any(axis=1)].min() >= 0.3 - 1e-9
    assert share[(country != "AT") & sports.any(axis=1)].min() < 0.1
    with pytest.raises(ValueError, match="encoded before the segment was declared"):
        as_served(apps.trained("lin_ts"), replace(log.batch, segmented=None), 0.02, limits)


@pytest.mark.slow
@pytest.mark.full
def test_an_exposure_of_a_segment_is_met_there_by_a_price_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = declared(tmp_path, SEEN)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        found = lived(w, shop, 96)
        spool, release = shop.host.spool, shop.host.selector.release
        last = [d for each in found[-30:] for d in each.values()]
        first = [d for each in found[:2] for d in each.values()]
        here = [mass(d, "news") for d in last if d.context.get("country") == "BR"]
        elsewhere = [mass(d, "news") for d in last if d.context.get("country") != "BR"]
        before = [mass(d, "news") for d in first if d.context.get("country") != "BR"]
        assert np.mean(here) == pytest.approx(0.3, abs=0.04)
        assert np.mean(elsewhere) == pytest.approx(np.mean(before), abs=0.04), "nobody else pays for it"
        prices = {"prices": lambda version: kept_multipliers.of_version(w.store, version)}
        for decision in last[::150]:
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec(), **prices)
            assert all(s.holds for s in steps), steps
    (told,) = standing.standing(w, end=from_us(BEGIN + 96 * HOUR), days=1.0)
    assert told.target == "≥ 0.3 of decisions where country is BR"
    assert told.so_far == pytest.approx(0.3, abs=0.05)
    assert told.price > 0


@pytest.mark.medium
def test_slates_and_refusals_know_the_segment(tmp_path):
    w = declared(tmp_path, '[[constraints]]\nname = "c"\nwhen.country = ["AT"]\narm.genre = ["sports"]\ncap = 0.5\n')
    publish(w, apps.trained("lin_ts"))
    sports = [arm for arm in GENRE if GENRE[arm] == "sports"]
    other = next(arm for arm in GENRE if GENRE[arm] != "sports")
    with Embedded("shop", var=tmp_path) as shop:
        shop.select(unit_id="u", context={"country": "BR"}, arms=sports)
        with pytest.raises(Refused, match=r"found caps that sum to 0.5, expected at least 1"):
            shop.select(unit_id="u", context={"country": "AT"}, arms=sports)
        slate = shop.select_slate(unit_id="u", context={"country": "AT"}, arms=[*sports, other], k=1)
        (decision,) = shop.host.spool.find([slate.slots[0].event_id]).values()
        assert mass(decision, "sports") <= 0.5 + 1e-9


def test_prices_that_are_kept_mean_the_segment_they_were_made_for(tmp_path):
    w = declared(tmp_path, SEEN)
    publish(w, apps.trained("lin_ts"))
    new = Multipliers(version=1, prices={"news in Brazil floor": 0.3})
    assert kept_multipliers.keep(w.store, kept_multipliers.now(w.store), new, [])
    requests = [replace(r, event_id="") for r in apps.sample().requests(400)]
    free = apps.trained("lin_ts")
    with Embedded("shop", var=tmp_path) as shop:
        shop.host.look()
        shop.host.selector._prices._looked = -np.inf
        answers = shop.select_batch(requests)
        batch = shop.host.selector.encoded(requests)
    brazilian = np.array([r.context.get("country") == "BR" for r in requests])
    plain = as_served(free, batch, 0.02)
    same = [np.allclose(a.pmf, p[: len(a.pmf)], atol=1e-9) for a, p in zip(answers, plain, strict=True)]
    assert all(np.array(same)[~brazilian])
    assert np.mean(np.array(same)[brazilian]) < 0.5
