"""A policy that is asked slot after slot: of what is left, with the slot's place as a feature."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue
from croupier.models.exploration import with_floor
from croupier.models.policy import make
from croupier.models.slates.enumeration import conditionals, every_slate
from croupier.models.slates.policies import AskedAgain

B, K = 2, 4


class ByPlace:
    """A policy whose weights are w_a to the power 1 + place, the place being the last column of the context."""

    inline_arms = "scored"
    name = "by_place"

    def pmf(self, batch):
        weight = np.where(batch.mask, np.arange(1.0, K + 1) ** (1.0 + batch.context[:, -1:]), 0.0)
        return weight / weight.sum(axis=1, keepdims=True)


def batch():
    return Batch(
        context=np.zeros((B, 1), np.float32),
        arm=np.tile(np.arange(K), (B, 1)),
        mask=np.array([[True] * K, [True, True, True, False]]),
        pair=np.zeros((B, K, 0), np.float32),
        catalogue=Catalogue(ids=tuple("abcd"), features=np.eye(K, dtype=np.float32), digest=""),
    )


def at(batch, place):
    return replace(batch, context=np.full_like(batch.context, place))


def test_each_slot_is_the_policy_on_what_is_left():
    asked, floor = AskedAgain(policy=ByPlace(), batch=batch(), floor=0.1, at=at), 0.1
    found = conditionals(asked, 2)
    assert found.prod(axis=2).sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    for number, (first, second) in enumerate(every_slate(K, 2).tolist()):
        left = [a for a in range(K) if a != first]
        weight = np.array([(a + 1.0) ** 2 for a in left])
        pmf = with_floor((weight / weight.sum())[None], np.ones((1, 3), bool), floor)[0]
        assert found[0, number, 1] == pytest.approx(pmf[left.index(second)], abs=1e-12)
        assert (found[1, number, 1] == 0) == (3 in (first, second))


def test_a_policy_of_this_house_can_be_asked_so():
    joint = conditionals(AskedAgain(policy=make("uniform"), batch=batch()), 3).prod(axis=2)
    assert joint[0] == pytest.approx(np.full(24, 1 / 24), abs=1e-12)
    assert np.unique(joint[1]) == pytest.approx([0.0, 1 / 6])
