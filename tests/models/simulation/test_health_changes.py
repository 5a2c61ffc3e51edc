"""`croupier simulate changes`: a flip is located, and what is learnt after it alone recovers what all rows do not."""

import numpy as np
import pytest

from croupier.features.utc import HOUR
from croupier.models.simulation.health import changes
from croupier.models.simulation.health.changes import HOURS, NEAR, START, ChangedShop, Shop


def test_a_flip_turns_one_segments_likings_upside_down():
    shop = Shop.of(3)
    before, after = shop.at(shop.flip - 1), shop.at(shop.flip)
    others = np.arange(len(before)) != shop.segment
    assert (before[others] == after[others]).all()
    mine, now = before[shop.segment], after[shop.segment]
    assert now[mine.argmax()] == mine.min()
    assert sorted(mine) == sorted(now)


@pytest.mark.medium
def test_it_is_located_and_only_who_forgets_recovers():
    never, reset = (ChangedShop(shop=Shop.of(1), strategy=name).play() for name in ("never", "reset_head"))
    located = (reset.noted.since - START) // HOUR
    assert abs(located - reset.shop.flip) <= NEAR * HOURS
    assert reset.noted.noted > START + reset.shop.flip * HOUR
    found = changes._summed({name: [reset] for name in ("always", "discount", "reset_head")} | {"never": [never]})
    assert (found["located"], found["named"], found["noted"], found["false"]) == (1.0, 1.0, 1.0, 0.0)
    assert found["before"]["never"] == found["before"]["reset_head"]
    assert found["after"]["reset_head"] > found["before"]["reset_head"] - 0.04
    assert found["after"]["never"] < found["after"]["reset_head"] - 0.15
    text = changes.markdown(found | {"seeds": 1, "horizon_hours": HOURS})
    assert "located within ±5% of the horizon in 100%" in text
    assert "the segment named in 100%" in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {4}
