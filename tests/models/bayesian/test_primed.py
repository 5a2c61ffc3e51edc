"""After a change of the users, a network begins with what the old rows taught it of features, and its head holds the new
rows alone."""

import tomllib

import numpy as np
import pytest

from croupier.features.batch import Interactions
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World
from croupier.models.bayesian.neural_linear import NeuralLinear

HOW = {"hidden": [64, 64]}


class Turned:
    """A log of old users, one of new ones, whose tastes are the reverse, and what each arm is worth to others of them."""

    def __init__(self, seed: int, old: int = 20_000, new: int = 2500) -> None:
        world = World(seed=seed)
        spec = AppSpec.model_validate(tomllib.loads(world.app_toml()))
        before = world.interactions(old, seed=1)
        encoder = Encoder.fit(spec, before, world.arms())
        catalogue = encoder.catalogue(world.arms())
        self.old = encode_interactions(before, encoder, catalogue)
        self.new = encode_interactions(world.flipped().interactions(new, seed=2), encoder, catalogue)
        shown = world.users(1000, np.random.default_rng(3))
        columns = [v.context for v in shown], [v.arms for v in shown], [v.arm_context for v in shown]
        self.batch = encoder.encode(*columns, catalogue)
        self.truth = world.flipped().truth(shown)

    def lift(self, policy: NeuralLinear) -> float:
        """The share of the best policy's lift over uniform."""
        mask = self.batch.mask
        uniform = (np.where(mask, self.truth, 0.0).sum(axis=1) / mask.sum(axis=1)).mean()
        best = np.where(mask, self.truth, 0.0).max(axis=1).mean()
        return float(((policy.pmf(self.batch) * self.truth).sum(axis=1).mean() - uniform) / (best - uniform))


@pytest.fixture(scope="module")
def turned() -> Turned:
    return Turned(seed=1)


@pytest.mark.medium
def test_a_primed_network_needs_fewer_rows_of_the_new_users(turned: Turned) -> None:
    begun = NeuralLinear(**HOW).primed([turned.old], seed=1)
    assert turned.lift(begun) < 0.0, "the old users' tastes"
    cold, primed = (turned.lift(start.learn([turned.new], seed=1)) for start in (NeuralLinear(**HOW), begun))
    print(f"cold {cold:.3f}, primed {primed:.3f}")
    assert primed > cold + 0.1


@pytest.mark.medium
def test_its_head_holds_the_new_rows_alone_and_the_same_rows_give_the_same_bytes(turned: Turned) -> None:
    def made(old: Interactions) -> NeuralLinear:
        return NeuralLinear(**HOW, epochs=2).primed([old], seed=1).learn([turned.new], seed=1)

    first, again, other = made(turned.old[:4000]), made(turned.old[:4000]), made(turned.old[:3000])
    np.testing.assert_array_equal(first.pmf(turned.batch), again.pmf(turned.batch))
    assert not np.array_equal(first.pmf(turned.batch), other.pmf(turned.batch)), "where it began is part of it"
    assert first.reward_mean == pytest.approx(turned.new.reward.mean())
    plain = NeuralLinear(**HOW, epochs=2).learn([turned.new], seed=1)
    assert first.head.moments.n == plain.head.moments.n
    assert first.parameters == plain.parameters, "how it is trained is not what the app asked for"
