"""What a policy with a head per arm believes of a new arm: by the formula, and that it is what like arms are worth."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import Catalogue
from croupier.models.baselines import Uniform
from croupier.models.bayesian.informed import ROWS, informed, weights
from croupier.models.bayesian.linear import LinTS
from croupier.models.simulation.synthetic import LinearWorld

WORLD = LinearWorld.make(2)
LOG = [WORLD.log(600, 1)]
OLD = WORLD.catalogue


def grown(*features):
    """The world's catalogue with one more arm, "new", of these features."""
    rows = np.concatenate([OLD.features, np.array([features], np.float32)])
    return Catalogue(ids=(*OLD.ids, "new"), features=rows, digest="grown")


def test_the_head_is_that_of_like_arms_scaled_to_a_few_rows():
    policy, known = LinTS(heads="per_arm").learn(LOG), grown(*OLD.features[3])
    made = informed(policy, known, ["new"])
    arms = sorted(policy.heads.arms)
    x = {a: OLD.features[OLD.ids.index(a)].astype(float) for a in arms}
    middle = sum(x.values()) / len(x)
    spread = sum(((v - middle) ** 2).sum() for v in x.values()) / len(x)
    w = {a: np.exp(-0.5 * ((x[a] - OLD.features[3]) ** 2).sum() / spread) for a in arms}
    n = sum(w[a] * policy.heads.arms[a].moments.n for a in arms)
    head = made.heads.arms["new"]
    for part in ("A", "b", "rr", "n"):
        total = sum(w[a] * getattr(policy.heads.arms[a].moments, part) for a in arms)
        np.testing.assert_allclose(getattr(head.moments, part), ROWS * total / n, rtol=1e-9)
    assert head.moments.n == pytest.approx(20.0)
    assert max(w, key=w.get) == OLD.ids[3]
    assert {a: id(h) for a, h in made.heads.arms.items() if a != "new"} == {
        a: id(h) for a, h in policy.heads.arms.items()
    }
    assert made.heads.step == policy.heads.step


def test_arms_without_features_are_all_alike():
    bare = Catalogue(ids=(*OLD.ids, "new"), features=np.zeros((len(OLD.ids) + 1, 0), np.float32), digest="bare")
    assert weights(bare, "new", OLD.ids).tolist() == [1.0] * len(OLD.ids)
    far = grown(*(OLD.features[0] + 1e6))
    assert weights(far, "new", OLD.ids).max() == 1.0, "far from all is no division by nothing"


def test_a_twin_of_the_best_arm_is_shown_more_than_a_twin_of_the_worst():
    """Two kinds of arms, one pays: before it is shown once, a new arm of the good kind has the larger probability."""
    rng, n = np.random.default_rng(0), 1500
    base = WORLD.log(n, 5)
    kinds = Catalogue(
        ids=("g0", "g1", "b0", "b1"),
        features=np.array([[1, 0], [1, 0.1], [0, 1], [0, 0.9]], np.float32) * 5,
        digest="two",
    )
    arm = np.tile(np.arange(4), (n, 1))
    batch = replace(
        base.batch, arm=arm, mask=np.ones((n, 4), bool), pair=np.zeros((n, 4, 0), np.float32), catalogue=kinds
    )
    chosen = rng.integers(4, size=n)
    log = replace(
        base,
        batch=batch,
        chosen=chosen,
        pmf=np.full((n, 4), 0.25),
        propensity=np.full(n, 0.25),
        reward=(rng.random(n) < np.where(chosen < 2, 0.5, 0.1)).astype(float),
    )
    policy = LinTS(heads="per_arm").learn([log])
    more = Catalogue(
        ids=(*kinds.ids, "good", "bad"),
        digest="more",
        features=np.concatenate([kinds.features, [[5, 0.2], [0.2, 5]]]).astype(np.float32),
    )
    asked = replace(
        batch[:200],
        arm=np.tile([4, 5], (200, 1)),
        mask=np.ones((200, 2), bool),
        pair=np.zeros((200, 2, 0), np.float32),
        catalogue=more,
    )
    assert policy.pmf(asked)[:, 0].mean() == pytest.approx(0.5, abs=0.01), "without: they are alike"
    pmf = informed(policy, more, ["good", "bad"]).pmf(asked)
    assert pmf[:, 0].mean() > 0.7
    assert (pmf > 0).all(), "and neither is given up"


def test_policies_that_need_none_are_returned_as_they_are():
    shared, untrained = LinTS().learn(LOG), LinTS(heads="per_arm")
    known = grown(*OLD.features[3])
    for policy in (shared, untrained, Uniform()):
        assert informed(policy, known, ["new"]) is policy
    trained = LinTS(heads="per_arm").learn(LOG)
    assert informed(trained, known, [OLD.ids[0]]) is trained
    assert informed(trained, known, []) is trained


def test_it_is_kept_with_the_policy(tmp_path):
    made = informed(LinTS(heads="per_arm").learn(LOG), grown(*OLD.features[3]), ["new"])
    made.save(tmp_path)
    again = LinTS.load(tmp_path)
    assert np.array_equal(again.heads.arms["new"].moments.A, made.heads.arms["new"].moments.A)
