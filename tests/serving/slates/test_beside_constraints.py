"""What is asked of slates beside rules and prices of long-run constraints: each takes what it takes, and all are replayed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from croupier import Embedded
from croupier.features.log.ship import ship
from croupier.features.spec import RewardSpec
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.ope.rounds import as_served
from croupier.serving.constraints.recent_requests import recent_requests
from croupier.serving.contract.slates import SlateRequest
from croupier.serving.decide.replay import replay
from croupier.serving.evidence.shadow import shadowed
from tests.serving import apps
from tests.serving.constrained import EXPOSURE
from tests.serving.embedded.shop import publish
from tests.serving.slates.declared import DECLARED, GENRE, UNLIKE, K, declared, prices

RULE = '[[rules]]\nname = "no news below 30"\nwhen.age = { below = 30 }\narm.genre = ["news"]\n'
ARMS = sorted(GENRE)
PRICE = 0.2


@pytest.mark.medium
def test_likeness_and_a_price_come_off_together_and_a_rule_goes_before_a_minimum(tmp_path):
    w = declared(tmp_path, UNLIKE + DECLARED + RULE + EXPOSURE)
    publish(w, apps.trained("lin_ts"))
    new = Multipliers(version=1, prices={"sports seen floor": PRICE})
    assert kept_multipliers.keep(w.store, kept_multipliers.now(w.store), new, [])
    contexts = [dict(r.context) for r in apps.sample().requests(40)]
    asks = [
        SlateRequest(unit_id=f"u{i}", context=context | {"age": 20 + 20 * (i % 2)}, arms=ARMS, k=K, event_id=f"p{i}")
        for i, context in enumerate(contexts)
    ]
    with Embedded("shop", var=tmp_path) as shop:
        shop.host.look()
        shop.host.selector._prices._looked = -np.inf
        slates = shop.select_slates(asks)
        release, spool = shop.host.selector.release, shop.host.spool
        for i, slate in enumerate(slates):
            if not i % 2:  # the rule leaves no news, of which the minimum asks for one
                assert slate.error.startswith(
                    "arms: found \"0 with genre = 'news' that can be shown\", expected at least 1"
                )
                continue
            assert {"news", "music"} <= {GENRE[arm] for arm in slate.arms}
            above = list[str]()
            for slot, decision in zip(slate.slots, spool.find([s.event_id for s in slate.slots]).values(), strict=True):
                assert (decision.event_id, decision.multipliers) == (slot.event_id, 1)
                off = np.array(prices(decision.arms, above)) - PRICE * np.array(
                    [GENRE[a] == "sports" for a in decision.arms]
                )
                batch = release.encoder.encode([decision.context], [decision.arms], [()], release.catalogue)
                offline = as_served(release.champion, replace(batch, price=off[None]), release.floor)
                np.testing.assert_allclose(decision.pmf, offline[0], atol=1e-6)
                steps = replay(
                    decision,
                    load=lambda _: release,
                    spool=spool,
                    spec=RewardSpec(),
                    prices=lambda version: kept_multipliers.of_version(w.store, version),
                )
                assert all(step.holds for step in steps), steps
                assert {"rules", "slate", "multipliers"} <= {step.step for step in steps}
                above.append(decision.arm)


@pytest.mark.medium
def test_a_days_price_is_solved_for_slots_as_they_are_scored(tmp_path):
    """The latest requests of the log are decided anew at other prices, less their likeness to the arms above."""
    w = declared(tmp_path, UNLIKE + DECLARED)
    publish(w, apps.trained("lin_ts"))
    asks = [SlateRequest(unit_id=f"u{i}", context={}, arms=ARMS, k=K, event_id=f"p{i}") for i in range(20)]
    with Embedded("shop", var=tmp_path) as shop:
        slates = shop.select_slates(asks)
        found = shop.host.spool.find([slot.event_id for slate in slates for slot in slate.slots])
        ship(shop.host.spool, w.store, host="h")
    recent = recent_requests(w, {}, datetime.now(UTC) + timedelta(seconds=5))
    above = {f"{s.slate_id}/{n}": s.arms[:n] for s in slates for n in range(K)}
    ids, rows = np.array(recent.batch.catalogue.ids), []
    for arm, mask, price in zip(recent.batch.arm, recent.batch.mask, recent.batch.price, strict=True):
        rows.append((tuple(ids[arm[mask]].tolist()), tuple(price[mask].tolist())))
    expected = [(tuple(d.arms), tuple(prices(d.arms, above[d.event_id]))) for d in found.values()]
    assert sorted(rows) == sorted(expected)
    assert any(any(price) for _, price in rows)


@pytest.mark.medium
def test_a_candidate_in_shadow_is_scored_as_slots_are(tmp_path):
    """What it would have earned, by weights of pmfs less likeness."""
    publish(declared(tmp_path, UNLIKE + DECLARED), apps.trained("uniform"), apps.trained("lin_ts"))
    asks = [SlateRequest(unit_id=f"u{i}", context={}, arms=ARMS, k=K, event_id=f"p{i}") for i in range(60)]
    with Embedded("shop", var=tmp_path) as shop:
        slates, release = shop.select_slates(asks), shop.host.selector.release
        found = shop.host.spool.find([slot.event_id for slate in slates for slot in slate.slots])
    above = {f"{s.slate_id}/{n}": s.arms[:n] for s in slates for n in range(K)}
    frame = pl.DataFrame([d.to_row() | {"reward": float(GENRE[d.arm] == "music")} for d in found.values()])
    weights = []
    for d in found.values():
        batch = release.encoder.encode([d.context], [d.arms], [()], release.catalogue)
        batch = replace(batch, price=np.array([prices(d.arms, above[d.event_id])]))
        weights.append(as_served(release.candidate, batch, release.floor)[0, d.arms.index(d.arm)] / d.propensity)
    earned = np.mean(np.array(weights) * frame["reward"].to_numpy())
    assert shadowed(frame, release, []).numbers["candidate_ips"] == pytest.approx(earned, abs=1e-6)
