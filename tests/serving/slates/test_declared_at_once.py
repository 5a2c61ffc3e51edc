"""Slates of which something is asked, decided at once: what they are as decisions one after another, to the bit."""

from dataclasses import replace

import numpy as np
import pytest

from croupier import Embedded
from croupier.features.batch import Left
from croupier.features.schema import InvalidEvent
from croupier.features.slates.held import SlateRules
from croupier.features.slates.likeness_above import LikenessAbove, codes_of
from croupier.features.slates.minimums import Minimum, offers
from croupier.features.slates.minimums_at_once import MinimumsAtOnce
from croupier.features.spec_values import SlatesSpec
from croupier.models import policy
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.multipliers import Multipliers
from croupier.serving.contract.slates import decided
from croupier.serving.slates.plain import plain
from tests.contracts.test_policies import NAMES, PARAMETERS, WORLD, make, trained
from tests.serving import apps
from tests.serving.constrained import EXPOSURE
from tests.serving.embedded.shop import publish
from tests.serving.slates.declared import DECLARED, GENRE, UNLIKE, can_be_kept, declared
from tests.serving.slates.test_at_once import Memory, of_each, slates

RULE = '[[rules]]\nname = "no comedy below 30"\nwhen.age = { below = 30 }\narm.genre = ["comedy"]\n'
ASKED = {
    "minimums": DECLARED,
    "unlike arms": UNLIKE,
    "minimums, unlike arms, a rule": UNLIKE + DECLARED + RULE,
    "a price beside them": UNLIKE + DECLARED + EXPOSURE,
}


def pages(n):
    """Ragged slates of two or three slots, of which every third asks for sport, too, and some cannot be kept."""
    found = [replace(each, k=2 + i % 2) for i, each in enumerate(slates(n))]
    sport = [{"arms": [arm for arm, genre in GENRE.items() if genre == "sports"], "slots": 1}]
    return [replace(each, minimums=sport if i % 3 == 2 else ()) for i, each in enumerate(found)]


def both_ways(shop, asked):
    """The slates at once, and slot after slot; what is on record of each."""
    at_once, one_by_one, selector = Memory(), Memory(), shop.host.selector
    at_once.append_rejects = one_by_one.append_rejects = lambda rejects: None
    assert sum(map(bool, plain(asked, at_once))) > len(asked) / 2
    found = selector.recording_in(at_once).select_slates(asked, at_once)
    return found, decided(selector.recording_in(one_by_one).select, asked), at_once, one_by_one


@pytest.mark.medium
@pytest.mark.parametrize("name", sorted(policy.POLICIES))
@pytest.mark.parametrize("asks", list(ASKED))
def test_the_same_decisions_as_slot_after_slot_to_the_bit(tmp_path, name, asks):
    learnt = policy.make(name, **PARAMETERS.get(name, {}) | ({"arm": "reel-03"} if name == "fixed_arm" else {}))
    w = declared(tmp_path, ASKED[asks])
    publish(w, learnt.learn([apps.sample().log[:400]], seed=3))
    new = Multipliers(version=1, prices={"sports seen floor": 0.2})
    assert kept_multipliers.keep(w.store, kept_multipliers.now(w.store), new, [])
    with Embedded("shop", var=tmp_path) as shop:
        shop.host.look()
        shop.host.selector._prices._looked = -np.inf
        found, expected, at_once, one_by_one = both_ways(shop, pages(36))
    assert [s.error for s in found] == [s.error for s in expected]
    assert found == expected
    answered = {slot.event_id for slate in expected for slot in slate.slots}
    recorded = of_each([d for call in one_by_one.calls for d in call if d.event_id in answered])
    assert of_each([d for call in at_once.calls for d in call]) == recorded
    assert len(answered) > 20


@pytest.mark.medium
def test_a_slate_asks_for_minimums_of_its_own_where_the_app_asks_for_none(tmp_path):
    publish(declared(tmp_path, ""), apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        found, expected, at_once, _ = both_ways(shop, pages(36))
    assert found == expected
    assert {d.slate_so_far for call in at_once.calls for d in call} == {""}
    sport = {slate.slate_id for slate in found if any(GENRE[arm] == "sports" for arm in slate.arms)}
    asked = {each.event_id for each in pages(36) if each.minimums}
    assert {slate.slate_id for slate in found if not slate.error} & asked <= sport


@pytest.mark.medium
def test_one_scoring_serves_all_slots_of_a_batch(tmp_path):
    """The encoder is asked once, whatever is declared of slates."""
    publish(declared(tmp_path, UNLIKE + DECLARED), apps.trained("lin_ts"))
    with Embedded("shop", var=tmp_path) as shop:
        selector, calls = shop.host.selector, []
        encoded = selector.encoded
        selector.encoded = lambda requests: calls.append(len(requests)) or encoded(requests)
        asked = [each for each in pages(30) if not each.minimums and can_be_kept(each.arms, each.k)]
        assert all(not slate.error for slate in shop.select_slates(asked))
    assert calls == [len(asked)]


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("when", ["untrained", "trained"])
def test_what_is_left_less_its_prices_has_the_pmf_of_a_batch_with_them_to_the_bit(name, when):
    learner = trained(name) if when == "trained" else make(name)
    batch, rng = WORLD.requests(60, np.random.default_rng(7)), np.random.default_rng(5)
    price = np.where(rng.random(batch.mask.shape) < 0.5, rng.random(batch.mask.shape), 0.0)
    keep = batch.mask.copy()
    rows = np.flatnonzero(keep.sum(axis=1) > 1)
    for row in rows:
        keep[row, rng.choice(np.flatnonzero(keep[row]))] = False
    among = policy.among(learner, batch)
    for left in (Left.kept(rows, keep[rows], price[rows]), Left.all(batch.mask, np.where(batch.mask, price, 0.0))):
        assert (among(left) == learner.pmf(left.batch(batch))).all()
    moved = np.abs(among(left) - among(Left.all(batch.mask))).max()
    if when == "trained" and name not in {"uniform", "fixed_arm"}:  # these two score nothing
        assert moved > 0


def test_minimums_of_many_slates_narrow_as_those_of_each():
    rng, arms = np.random.default_rng(3), list("abcdefgh")
    asked = [
        [Minimum(frozenset("ab"), 2), Minimum(frozenset("cde"), 1)], [Minimum(frozenset("h"), 1)], [],
        [Minimum(frozenset("abcd"), 3)],
    ]  # fmt: skip
    k, rows, above = np.array([4, 2, 3, 3]), np.arange(4), [list[str]() for _ in asked]
    held, narrowed = MinimumsAtOnce(asked, [arms] * 4, len(arms)), 0
    for slot in range(4):
        going = rows[k > slot]
        may, places = held.may(going, k[going] - slot), []
        for i, row in enumerate(going):
            expected = offers(asked[row], above[row], k[row])
            mine = set(arms) if may is None else {arms[j] for j in np.flatnonzero(may[i])}
            assert mine == (set(arms) if expected is None else set(expected)), (slot, row)
            narrowed += expected is not None
            arm = rng.choice(sorted(mine - set(above[row])))
            above[row].append(arm)
            places.append(arms.index(arm))
        held.show(going, np.array(places))
    assert narrowed > 3
    assert {"a", "b"} < set(above[0])
    assert "h" in above[1]


def test_likeness_is_counted_by_numbers_of_traits_as_by_the_traits_themselves():
    """Texts, truths and numbers that are equal, and what is missing: like nothing."""
    traits = [("news", True), ("news", 1), ("song", True), (None, True), ("song", float("nan")), (1, 1.0), (None, "x")]
    codes = codes_of(traits)
    above = LikenessAbove(codes[None], 0.6)
    assert above.prices(np.array([0])).tolist() == [[0.0] * 7]
    above.show(np.array([0]), np.array([0]))
    assert above.prices(np.array([0])).tolist() == [[0.6, 0.3, 0.3, 0.3, 0.0, 0.0, 0.0]], "true is not 1"
    above.show(np.array([0]), np.array([5]))
    assert above.prices(np.array([0])).tolist() == [[0.6, 0.3, 0.3, 0.3, 0.0, 0.6, 0.0]]
    above.show(np.array([0]), np.array([3]))
    assert above.prices(np.array([0])).tolist() == [[0.6, 0.3, 0.3, 0.3, 0.0, 0.6, 0.0]], (
        "what is missing is like nothing"
    )
    assert codes_of([("news", ["a"])]) is None, "a list is no trait that a number tells"


def test_lists_of_arms_share_their_minimums_and_one_that_cannot_keep_them_is_refused():
    of = SlatesSpec.model_validate({"minimums": [{"feature": "kind", "value": "news"}]})
    rules = SlateRules(of, {"a": {"kind": "film"}, "b": {"kind": "news"}})
    known = rules.known(2, ("a", "b"), ())
    assert known == [Minimum(frozenset("b"), 1, "kind = 'news'")]
    assert rules.known(2, ("a", "b"), ()) is known
    own = rules.known(2, ("a", "b"), (), [{"arms": ["a"], "slots": 1}])
    assert own == [*known, Minimum(frozenset("a"), 1)]
    brought = rules.known(2, ("a", "c"), (None, {"kind": "news"}))
    assert brought == [Minimum(frozenset("c"), 1, "kind = 'news'")]
    with pytest.raises(InvalidEvent, match="0 with kind = 'news' that can be shown"):
        rules.known(1, ("a",), ())
