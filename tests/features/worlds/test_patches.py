"""The world of patches: its truth by hand, concave in tokens, and no other for who asks twice."""

import numpy as np
import pytest

from croupier.features.worlds.patches import KINDS, TOKENS, Patches


def test_truth_by_hand():
    world = Patches(patches=4, dilution=0.08)
    asked = world.ask(50, np.random.default_rng(1))
    i = int(np.flatnonzero(asked.type == 2)[0])  # about text
    text = int(np.flatnonzero(asked.kind[i] == KINDS.index("text"))[0])
    plain = int(np.flatnonzero(asked.kind[i] == KINDS.index("plain"))[0])
    worth = world.worth(asked)[i]
    assert worth[text, 3] == pytest.approx(0.7 * 0.9 * (1 - np.exp(-400 / 220)) - 0.02)
    assert worth[plain] == pytest.approx([-0.02 * t / 400 for t in TOKENS])
    here = 0.25 + 0.7 * (0.9 + 0.1) * (1 - np.exp(-128 / 220)) - 0.08 * 128 / 400
    assert world.fixed(asked, 128)[i] == pytest.approx(here)


def test_every_patch_is_concave_in_tokens_and_answers_are_probabilities():
    world = Patches(seed=3)
    asked = world.ask(200, np.random.default_rng(2))
    slopes = np.diff(world.worth(asked), axis=2) / np.diff(TOKENS)
    assert (np.diff(slopes, axis=2) <= 1e-15).all()
    best, worst = (getattr(world.worth(asked), how)(axis=2).sum(axis=1) + 0.25 for how in ("max", "min"))
    assert worst.min() > 0
    assert best.max() < 1


def test_questions_prefer_different_patches():
    world = Patches(seed=3, dilution=0.0)
    asked = world.ask(300, np.random.default_rng(2))
    gained = world.worth(asked)[:, :, 3] - world.worth(asked)[:, :, 0]
    liked = [[gained[asked.type == q][asked.kind[asked.type == q] == k].mean() for k in range(4)] for q in range(3)]
    assert np.argmax(liked, axis=1).tolist() == [1, 2, 3]


def test_the_same_seed_asks_the_same_and_images_have_as_many_patches_of_each_kind():
    first, again = (Patches(seed=5).ask(20, np.random.default_rng(9)) for _ in range(2))
    assert first.patch.tobytes() == again.patch.tobytes()
    assert (np.sort(first.kind, axis=1) == np.repeat(np.arange(4), 4)).all()
    assert Patches().region.tolist() == np.repeat(np.arange(4), 4).tolist()


def test_what_is_no_image_or_no_option_is_refused():
    with pytest.raises(ValueError, match="patches: found 6, expected a multiple of 4"):
        Patches(patches=6)
    world = Patches()
    with pytest.raises(ValueError, match="tokens: found 100, expected one of 64, 128, 256, 400"):
        world.fixed(world.ask(1, np.random.default_rng(0)), 100)
