"""Estimators are unbiased, exactly, where they say so: expectations are sums over all slates, with no draw in them."""

import numpy as np
import pytest

from croupier.models.ope.estimators import Moments
from croupier.models.slates import estimators as of_slates
from croupier.models.slates.estimators import SLATE_ESTIMATORS, SlateRounds
from tests.models.slates.small_world import PI, SLATES, P, additive, cascade, every_slate_once, expected, whole

UNBIASED = {
    "additive": (additive, {"sips", "rips", "cascade_dr", "iips", "pi"}),
    "cascade": (cascade, {"sips", "rips", "cascade_dr"}),
    "whole": (whole, {"sips"}),
}


@pytest.mark.parametrize("world", UNBIASED)
def test_each_estimator_is_unbiased_in_its_worlds_and_in_no_other(world):
    rewards, unbiased = UNBIASED[world]
    slates, truth = every_slate_once(rewards()), float(PI @ rewards().sum(axis=1))
    for name in ("sips", "rips", "cascade_dr", "iips", "pi"):
        error = abs(expected(SLATE_ESTIMATORS[name](slates)) - truth)
        assert error < 1e-12 if name in unbiased else error > 1e-4, name


@pytest.mark.parametrize("name", ["snsips", "sniips", "snrips", "wpi", "pi_cv", "pi_cvs"])
def test_self_normalised_and_controlled_forms_have_the_same_expectation_and_know_a_constant(name):
    """With whole expectations for means the ratio is the unnormalised estimate over E[w] = 1; and a constant reward is
    estimated without any error from any log, since nothing but weights varies."""
    plain = {"snsips": "sips", "sniips": "iips", "snrips": "rips"}.get(name, "pi")
    slates = every_slate_once(cascade())
    assert expected(SLATE_ESTIMATORS[name](slates)) == pytest.approx(
        expected(SLATE_ESTIMATORS[plain](slates)), abs=1e-12
    )
    some = every_slate_once(np.ones(SLATES.shape))[np.arange(0, len(P), 3)]
    assert SLATE_ESTIMATORS[name](some) == pytest.approx(3.0, abs=1e-9)


def test_a_good_reward_model_takes_the_noise_out_of_cascade_dr():
    """With the true expected rewards from each slot on, cascade-DR varies only by what follows arms above."""
    slates = every_slate_once(additive())
    far = Moments.of(of_slates.rips(slates)).variance
    rest = np.array(
        [
            [
                additive()[:, slot:].sum(axis=1)[(SLATES[:, slot] == a)]
                @ PI[SLATES[:, slot] == a]
                / PI[SLATES[:, slot] == a].sum()
                for a in range(5)
            ]
            for slot in range(3)
        ]
    )
    assert Moments.of(of_slates.cascade_dr(every_slate_once(additive(), guess=rest))).variance < far / 4


def test_control_variates_lower_the_variance_of_the_pseudoinverse():
    slates = every_slate_once(cascade() + 1.0)
    spread = {name: float(P @ (v - P @ v) ** 2) for name, v in ((n, f(slates)) for n, f in SLATE_ESTIMATORS.items())}
    assert spread["pi_cv"] < spread["pi"]
    assert spread["pi_cv"] <= spread["wpi"] + 1e-12  # β is the best of one variate; wPI's is one of them
    assert spread["pi_cvs"] < spread["pi_cv"]


def test_a_planted_error_is_seen():
    """Marginals of the target in the wrong slot: item-wise IPS is wrong; joint forms do not look at them."""
    good = every_slate_once(additive())
    bad = SlateRounds(**{**vars(good), "target_at": good.target_at[:, ::-1]})
    truth = float(PI @ additive().sum(axis=1))
    assert abs(expected(of_slates.iips(bad)) - truth) > 1e-2
    assert expected(of_slates.rips(bad)) == pytest.approx(truth, abs=1e-12)


def test_what_cannot_be_slates_is_refused():
    good = every_slate_once(additive())
    for change, text in (
        ({"pseudo": good.pseudo[:-1]}, "expected \\(n, k\\)"),
        ({"logged": np.where(good.logged == good.logged[4, 1], 0.0, good.logged)}, "logged: found 0.0 in slot"),
        ({"logged_at": good.logged_at + 1.0}, "logged_at: found"),
    ):
        with pytest.raises(ValueError, match=text):
            SlateRounds(**{**vars(good), **change})
