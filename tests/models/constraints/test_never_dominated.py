"""Dominated arms: none is kept where the bounds hold, and the best one always is."""

import numpy as np
import pytest

from croupier.models.constraints.never_dominated import undominated


def test_by_hand():
    lower, upper = np.array([[0.1, 0.4, 0.0, 0.3]]), np.array([[0.2, 0.6, 0.4, np.inf]])
    every = np.ones((1, 4), dtype=bool)
    assert undominated(lower, upper, every).tolist() == [[False, True, True, True]]
    assert undominated(lower, upper, np.array([[True, False, True, False]])).tolist() == [[True, False, True, False]]


def draws(n=20_000, k=6, seed=1, *, holding=True):
    """True values and bounds around them; not `holding`: bounds that miss most of them."""
    rng = np.random.default_rng(seed)
    values, mask = rng.normal(size=(n, k)), rng.random((n, k)) < 0.7
    mask[np.arange(n), rng.integers(k, size=n)] = True
    width = rng.gamma(1, 0.5, (n, k))
    offset = rng.uniform(-1, 1, (n, k)) * width * (1 if holding else 10)
    return values, values + offset - width, values + offset + width, mask


def worse_than_another(values, lower, upper, mask, kept):
    """Rows in which an arm is kept that lies wholly below another, and rows in which the best arm is not kept."""
    below = (upper[:, :, None] < lower[:, None, :]) & mask[:, :, None] & mask[:, None, :]
    best = np.where(mask, values, -np.inf).argmax(axis=1)
    return int((kept & below.any(axis=2)).any(axis=1).sum()), int((~kept[np.arange(len(kept)), best]).sum())


def test_no_dominated_arm_is_ever_drawn_and_the_best_is_never_left_out():
    values, lower, upper, mask = draws()
    kept = undominated(lower, upper, mask)
    assert worse_than_another(values, lower, upper, mask, kept) == (0, 0)
    assert kept.sum() < 0.8 * mask.sum()  # there were dominated ones
    assert not kept[~mask].any()


def test_the_count_sees_dominated_arms_and_bounds_that_do_not_hold():
    values, lower, upper, mask = draws()
    assert worse_than_another(values, lower, upper, mask, mask)[0] > 1000
    values, lower, upper, mask = draws(holding=False)
    assert worse_than_another(values, lower, upper, mask, undominated(lower, upper, mask))[1] > 1000


@pytest.mark.parametrize(("lower", "upper", "mask", "says"), [
    ([[0.5, 0.1]], [[0.4, 0.2]], [[True, True]], "bounds: found [0.5, 0.4] of arm 0 in row 0"),
    ([[0.0, np.nan]], [[0.4, 0.2]], [[True, True]], "bounds: found [nan, 0.2] of arm 1 in row 0"),
    ([[0.0, 0.1]], [[0.4, 0.2]], [[False, False]], "mask: found no candidate in row 0"),
    ([[0.0]], [[0.4, 0.2]], [[True, True]], "bounds: found shapes (1, 1) and (1, 2)"),
])  # fmt: skip
def test_bounds_that_are_none_are_refused(lower, upper, mask, says):
    with pytest.raises(ValueError) as refused:
        undominated(np.array(lower), np.array(upper), np.array(mask))
    assert str(refused.value).startswith(says)
    undominated(
        np.array([[0.5, 0.1]]), np.array([[0.4, 0.2]]), np.array([[False, True]])
    )  # not a candidate: nobody asks
