"""Slates held to minimums: every one keeps them, with the propensities of the law that is stated, at every door."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from croupier import Embedded, Refused
from croupier.features.schema import InvalidEvent
from croupier.features.slates.logged import with_slots
from croupier.features.slates.minimums import minimums_of, offers
from croupier.features.spec import AppSpec
from croupier.models.slates.enumeration import conditionals, every_slate
from croupier.models.slates.policies import Minimums, PlackettLuce
from croupier.serving.contract.slates import SlateRequest, decided
from croupier.serving.decide.replay import replay
from tests.serving import apps
from tests.serving.embedded.shop import asked, opened, publish

TOML = "[reward]\nrange = [0, 1]\n[reward.kinds.click]\n[policies]\nfloor = 0.1\n"
ARMS = ["a", "b", "c", "news-1", "news-2"]
NEWS = {"arms": ["news-1", "news-2"], "slots": 1}


@pytest.fixture
def shop(tmp_path):
    with Embedded.declared("shop", toml=TOML, arms={arm: {} for arm in ARMS}, var=tmp_path) as found:
        yield found


def test_slates_have_the_law_of_a_uniform_policy_held_to_a_minimum(shop):
    """Each of 2,000 slates against the exact joint propensity of every slate, and as it says of itself."""
    law = Minimums(
        policy=PlackettLuce(log_weights=np.zeros((1, 5)), mask=np.ones((1, 5), bool)),
        category=np.array([[0, 0, 0, 1, 1]]),
        least={1: 1},
        k=3,
    )
    by_slot = conditionals(law, 3)[0]
    slates = {tuple(ARMS[i] for i in row): by_slot[n] for n, row in enumerate(every_slate(5, 3))}
    drawn = shop.select_slates(
        [SlateRequest(unit_id=f"u{i}", context={}, arms=ARMS, k=3, minimums=[NEWS]) for i in range(2000)]
    )
    assert all({"news-1", "news-2"} & set(slate.arms) for slate in drawn)
    for slate in drawn[:200]:
        assert [s.propensity for s in slate.slots] == pytest.approx(slates[slate.arms], abs=1e-12)
    possible = {arms: p.prod() for arms, p in slates.items() if p.prod() > 0}
    assert sum(possible.values()) == pytest.approx(1.0)
    seen = Counter(slate.arms for slate in drawn)
    assert set(seen) <= set(possible)
    counts = [seen[arms] for arms in possible]
    assert chisquare(counts, [2000 * p for p in possible.values()]).pvalue > 1e-3


@pytest.mark.parametrize(("wrong", "says"), [
    ([{"arms": ["news-1"], "slots": 2}], "minimums[0].arms: found '1 of them offered', expected at least 2"),
    ([{"arms": ["sport"], "slots": 1}], "minimums[0].arms: found '0 of them offered'"),
    ([NEWS, {"arms": ["news-2", "a"], "slots": 1}], "minimums[1].arms: found 'news-2', expected an arm that no other"),
    ([NEWS, {"arms": ["a", "b", "c"], "slots": 3}], "minimums: found '4 slots in all', expected at most the slate's 3"),
    ([{"arms": "news-1", "slots": 1}], "minimums[0].arms: found 'news-1', expected a list"),
    ([{"arms": ["a"], "slots": 0}], "minimums[0].slots: found 0"), ([{"arms": ["a"]}], "minimums[0]: found"),
    ([7], "minimums[0]: found 7"), ({"news": 1}, "minimums: found {'news': 1}"),
])  # fmt: skip
def test_what_cannot_be_held_is_refused_by_name(shop, wrong, says):
    with pytest.raises(Refused) as refused:
        shop.select_slate(unit_id="u", k=3, minimums=wrong)
    assert says in str(refused.value)
    assert shop.host.spool.counts()["decisions"] == 0


def test_slots_offer_all_until_those_that_remain_are_as_many_as_are_asked_for():
    known = minimums_of([{"arms": ["a", "b"], "slots": 2}, {"arms": ["c"], "slots": 1}], list("abcdef"), 4)
    assert offers(known, [], 4) is None
    assert offers(known, ["d"], 4) == {"a", "b", "c"}
    assert offers(known, ["d", "a"], 4) == {"a", "b", "c"}
    assert offers(known, ["d", "a", "c"], 4) == {"a", "b"}
    assert offers(known, ["a", "b", "c"], 4) is None
    with pytest.raises(InvalidEvent, match="at most the slate's 2"):
        minimums_of([{"arms": ["a", "b"], "slots": 2}, {"arms": ["c"], "slots": 1}], list("abc"), 2)


@pytest.mark.medium
def test_a_trained_policys_slates_keep_them_alike_at_every_door_and_replay(tmp_path):
    w = opened(tmp_path)
    publish(w, apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        known = asked(apps.sample().requests(1)[0])
        rare = list(known["arms"])[-2:]
        minimums = [{"arms": rare, "slots": 2}]
        request = SlateRequest(**known | {"event_id": "page"}, k=3, minimums=minimums)
        slate = shop.select_slate(**known | {"event_id": "page"}, k=3, minimums=minimums)
        assert set(rare) < set(slate.arms)
        release, logged = shop.host.selector.release, []
        (again,) = decided(shop.select_batch, [request])  # as a client asks, a call a slot
        assert again == slate
        for place, decision in enumerate(shop.host.spool.find([f"page/{i}" for i in range(3)]).values()):
            logged.append(decision)
            steps = replay(decision, load=lambda number: release, spool=shop.host.spool, spec=AppSpec().reward)
            assert (steps[-1].step, [s for s in steps if not s.holds]) == ("propensity", []), place
        import polars as pl

        rows = with_slots(pl.DataFrame([d.to_row() for d in logged]))
        assert sorted(rows["slot"].to_list()) == [0, 1, 2]
        assert set(rows["slots"]) == {3}
