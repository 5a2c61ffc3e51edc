"""What app.toml asks of slates, by itself: maximal marginal relevance by another way, and what a slot knows of its slate."""

import numpy as np
import orjson
import pytest

from croupier.features.schema import InvalidEvent
from croupier.features.slates.held import SlateRules
from croupier.features.slates.so_far import SlateSoFar
from croupier.features.spec_values import SlatesSpec
from croupier.models.slates.policies import Diversified

GENRE, MOOD = ("news", "music", "sport"), ("sad", "glad")
TRAITS = {f"arm-{i}": {"genre": GENRE[i % 3], "mood": MOOD[i % 2]} for i in range(8)} | {"bare": {"genre": "news"}}


def rules(diversity, width=1.0):
    return SlateRules(SlatesSpec(diversity=diversity), TRAITS, ("genre", "mood"), width)


@pytest.mark.parametrize(("diversity", "width"), [(0.2, 1.0), (1.0, 1.0), (0.4, 5.0)])
def test_arms_are_ordered_as_by_maximal_marginal_relevance(diversity, width):
    """Against models/slates' own Diversified, which follows the paper's weights, where it is all but greedy."""
    rng, arms, own = np.random.default_rng(4), list(TRAITS), list(TRAITS.values())
    both = [[(a["genre"] == b["genre"]) + (a.get("mood", a) == b.get("mood", b)) for b in own] for a in own]
    alike = np.array(both) / 2
    weight = diversity * width / (1 + diversity * width)
    for _ in range(40):
        scores, shown = rng.normal(0, width / 4, 9), rng.choice(9, rng.integers(1, 5), replace=False)
        law = Diversified(
            scores=scores[None], likeness=alike[None], mask=np.ones((1, 9), bool), weight=weight, temperature=1e-9
        )
        left = [i for i in range(9) if i not in shown]
        so_far = SlateSoFar(k=9, above=tuple(arms[i] for i in shown))
        (price,) = rules(diversity, width).prices([(so_far, [arms[i] for i in left], ())], len(left))
        best = int(law.rest(shown[None]).argmax())
        assert left[int((scores[left] - price).argmax())] == best


def test_likeness_counts_what_both_have_also_of_arms_that_requests_bring_along():
    above = SlateSoFar.of(3, ["arm-0", {"id": "own", "features": {"genre": "jazz", "mood": "glad", "seconds": 7.0}}])
    arms = ["arm-6", "arm-1", "arm-4", "bare", "new", "odd"]
    given = [None, None, None, None, {"genre": "jazz", "mood": "glad"}, {"genre": None}]
    slots = [(above, arms, given), (SlateSoFar(k=3), arms, given), (None, arms, given)]
    found = rules(0.5, width=2.0).prices(slots, 7)
    assert found.tolist() == [[1.0, 0.5, 0.5, 0.5, 1.0, 0.0, 0.0], [0.0] * 7, [0.0] * 7]


def test_a_slate_so_far_survives_as_json_with_what_tells_categories_alone():
    shown = {"id": "own", "features": {"kind": {"of": "news", "new": True}, "price": 3.0, "words": ["a"], "none": None}}
    slim = SlateSoFar.of(3, ["a", shown], [{"arms": {"c", "b"}, "slots": 1}])
    assert slim.above == ("a", {"id": "own", "features": {"kind.of": "news", "kind.new": True}})
    assert (slim.shown, slim.minimums) == (["a", "own"], [{"arms": ["b", "c"], "slots": 1}])
    assert SlateSoFar.read(orjson.loads(slim.to_json())) == slim


@pytest.mark.parametrize(("body", "field"), [
    ([], "slate"), ({"k": 2}, "slate"), ({"k": 2, "above": [], "more": 1}, "slate"), ({"k": True, "above": []}, "slate.k"),
    ({"k": 101, "above": []}, "slate.k"), ({"k": 0, "above": []}, "slate.k"), ({"k": 1, "above": ["a"]}, "slate.above"),
    ({"k": 3, "above": ["a", "a"]}, "slate.above"), ({"k": 3, "above": [1]}, "slate.above"), ({"k": 3, "above": "a"}, "slate.above"),
    ({"k": 3, "above": [{"id": "a"}]}, "slate.above"), ({"k": 3, "above": [{"id": 1, "features": {}}]}, "slate.above"),
])  # fmt: skip
def test_a_slate_so_far_that_is_none_is_refused_by_name(body, field):
    with pytest.raises(InvalidEvent) as refused:
        SlateSoFar.read(body)
    assert refused.value.field == field
