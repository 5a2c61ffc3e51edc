"""What is asked of slates beside rules and prices of long-run constraints: each takes what it takes, and all are replayed."""

from dataclasses import replace

import numpy as np
import pytest

from croupier import Embedded
from croupier.features.spec import RewardSpec
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.ope.rounds import as_served
from croupier.serving.contract.slates import SlateRequest
from croupier.serving.decide.replay import replay
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
