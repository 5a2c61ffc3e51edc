"""What every policy promises (models/policy.py), run on every entry of POLICIES, untrained and trained."""

import copy
import functools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from croupier.features.batch import Batch, Catalogue
from croupier.models import exploration, policy
from croupier.models.simulation.synthetic import LinearWorld

PARAMETERS = {
    "fixed_arm": {"arm": "arm-2"},
    "neural_linear": {"epochs": 3, "draws": 64},
    "mc_dropout": {"epochs": 3, "draws": 64},
    "bootstrap": {"members": 3},
}
WORLD = LinearWorld.make(0)
LOG = [WORLD.log(300, 1), WORLD.log(200, 2)]


PRICED = {  # the first feature of an arm is its price, of the request its cost
    "price": {"constant": 3.0, "arm": [[0, 1.0]]},
    "margin": {"constant": 3.0, "arm": [[0, 1.0]], "context": [[0, -0.5]]},
}
VARIANTS = {  # other forms of the same policies, held to the same promises
    "neural_linear_arms": ("neural_linear", {"epochs": 2, "heads": "per_arm", "half_life": 200.0}),
    "neural_linear_deep": ("neural_linear", {"epochs": 2, "hidden": (16, 8), "draws": 32, "window": 300}),
    "lin_ts_arms": ("lin_ts", {"heads": "per_arm"}),
    "lin_ucb_arms": ("lin_ucb", {"heads": "per_arm", "cross": "none"}),
    "lin_ts_hybrid": ("lin_ts", {"heads": "hybrid"}),
    "lin_ucb_hybrid": ("lin_ucb", {"heads": "hybrid", "cross": "none"}),
    "neural_linear_ucb": ("neural_linear", {"epochs": 2, "explore": "ucb", "precision": "bfloat16"}),
    "bootstrap_linear": ("bootstrap", {"base": "lin_ucb", "members": 4, "parameters": {"alpha": 0.0}}),
    "demand_ts_prices": ("demand_ts", PRICED),
    "demand_ts_arms": ("demand_ts", PRICED | {"heads": "per_arm", "draws": 64}),
    "demand_ts_shared": ("demand_ts", PRICED | {"heads": "shared"}),
    "vw_epsilon_greedy": ("vw_cb_adf", {"preset": "epsilon_greedy"}),
    "vw_regcb": ("vw_cb_adf", {"preset": "regcb", "mellowness": 0.1, "warm_start": True}),
    "vw_regcb_elim": ("vw_cb_adf", {"preset": "regcb_elim", "ignore_linear": "U"}),
    "vw_bag": ("vw_cb_adf", {"preset": "bag", "members": 3, "passes": 2}),
}


def make(name):
    name, parameters = VARIANTS.get(name, (name, PARAMETERS.get(name, {})))
    return policy.make(name, **parameters)


NAMES = sorted([*policy.POLICIES, *VARIANTS])


@functools.cache
def trained(name):
    """Learnt when the first test asks: what only collects tests trains nothing."""
    return make(name).learn(LOG, seed=3)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(params=["untrained", "trained"])
def learner(request, name):
    return trained(name) if request.param == "trained" else make(name)


@pytest.fixture
def batch():
    return WORLD.requests(97, np.random.default_rng(7))


def frozen(batch):
    """A copy whose arrays refuse to be written to."""
    arrays = {key: getattr(batch, key).copy() for key in ("context", "arm", "mask", "pair")}
    for array in arrays.values():
        array.flags.writeable = False
    return replace(batch, **arrays)


def test_pmf_is_a_distribution_over_candidates(learner, batch):
    pmf = learner.pmf(frozen(batch))
    assert pmf.shape == batch.mask.shape
    assert pmf.dtype == np.float64
    assert (pmf >= 0).all()
    assert (pmf[~batch.mask] == 0).all()
    np.testing.assert_allclose(pmf.sum(axis=1), 1, rtol=0, atol=1e-9)


def test_floor_is_kept(learner, batch):
    floored = exploration.with_floor(learner.pmf(batch), batch.mask, 0.1)
    K = batch.mask.sum(axis=1, keepdims=True)
    assert (floored >= np.where(batch.mask, 0.1 / K - 1e-12, 0)).all()
    np.testing.assert_allclose(floored.sum(axis=1), 1, rtol=0, atol=1e-9)


def test_order_of_arms_does_not_matter(learner, batch):
    pmf, rng = learner.pmf(batch), np.random.default_rng(1)
    order = rng.permuted(np.tile(np.arange(batch.mask.shape[1]), (len(batch), 1)), axis=1)
    shuffled = replace(
        batch,
        arm=np.take_along_axis(batch.arm, order, 1),
        mask=np.take_along_axis(batch.mask, order, 1),
        pair=np.take_along_axis(batch.pair, order[:, :, None], 1),
    )
    np.testing.assert_allclose(learner.pmf(shuffled), np.take_along_axis(pmf, order, 1), rtol=0, atol=1e-12)


def test_batch_mates_do_not_matter_bit_for_bit(learner, batch):
    pmf, rng = learner.pmf(batch), np.random.default_rng(2)
    for size in (1, 2, 3, 31, 64):
        rows = rng.choice(len(batch), size, replace=False)
        K = batch.mask[rows].sum(axis=1).max()  # the padding goes too: real batches pad to their own longest list
        part = batch[rows]
        part = replace(part, arm=part.arm[:, :K], mask=part.mask[:, :K], pair=part.pair[:, :K])
        assert (learner.pmf(part) == pmf[rows, :K]).all()


def test_saved_and_loaded_is_the_same_bit_for_bit(learner, batch, tmp_path):
    learner.save(tmp_path)
    loaded = policy.load(tmp_path)
    assert type(loaded) is type(learner)
    assert (loaded.pmf(batch) == learner.pmf(batch)).all()
    again = tmp_path / "again"
    again.mkdir()
    loaded.save(again)
    assert {f.name: f.read_bytes() for f in again.iterdir()} == contents(tmp_path)


def contents(folder):
    return {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()}


def test_same_log_and_seed_give_the_same_bytes(name, tmp_path):
    for i in (0, 1):
        (tmp_path / str(i)).mkdir()
        make(name).learn(LOG, seed=3).save(tmp_path / str(i))
    assert contents(tmp_path / "0") == contents(tmp_path / "1")


@pytest.mark.medium
def test_learning_mutates_nothing(name, batch):
    untrained, log = make(name), [copy.deepcopy(LOG[0])]
    before = untrained.pmf(batch)
    untrained.learn(log, seed=1)
    assert (untrained.pmf(batch) == before).all()
    for key in ("chosen", "reward", "propensity", "pmf", "at", "unit", "weight"):
        assert (getattr(log[0], key) == getattr(LOG[0], key)).all()
    for key in ("context", "arm", "mask", "pair"):
        assert (getattr(log[0].batch, key) == getattr(LOG[0].batch, key)).all()


def test_learning_from_an_empty_chunk_or_a_single_row(name, batch):
    for rows in (0, 1):
        pmf = make(name).learn([LOG[0][:rows]], seed=1).pmf(batch)
        np.testing.assert_allclose(pmf.sum(axis=1), 1, rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [1e3, 1e12, 3e38])
def test_extreme_inputs_stay_finite(learner, batch, size):
    extreme = replace(
        batch,
        context=np.where(batch.context > 0, size, -size).astype(np.float32),
        pair=np.where(batch.pair > 0, size, -size).astype(np.float32),
    )
    pmf = learner.pmf(extreme)
    assert np.isfinite(pmf).all()
    np.testing.assert_allclose(pmf.sum(axis=1), 1, rtol=0, atol=1e-9)


def test_one_arm_is_certain(learner, batch):
    one = replace(batch, mask=batch.mask & (np.arange(batch.mask.shape[1]) == 0))
    assert (learner.pmf(one)[:, 0] == 1).all()


def test_a_new_arm_serves_from_its_features_alone(learner, batch):
    features = np.concatenate([WORLD.catalogue.features, np.full((1, 4), 0.5, np.float32)])
    grown = Catalogue(ids=(*WORLD.catalogue.ids, "new"), features=features, digest="grown")
    new = Batch(
        context=batch.context,
        arm=np.where(batch.arm == 3, 6, batch.arm) * batch.mask,
        mask=batch.mask,
        pair=batch.pair,
        catalogue=grown,
    )
    pmf = exploration.with_floor(learner.pmf(new), new.mask, 0.02)
    shown = new.mask & (new.arm == 6)
    assert shown.any()
    assert np.isfinite(pmf).all()
    assert (pmf[shown] > 0).all()


def test_draws_follow_the_pmf(learner, batch):
    """Over 200,000 draws by inversion, as the selector does, χ² sees no difference (p > 0.001 each)."""
    rng, pmf = np.random.default_rng(11), learner.pmf(batch)
    for row in range(3):
        p = pmf[row]
        drawn = np.searchsorted(p.cumsum(), rng.random(200_000), side="right")
        counts = np.bincount(drawn, minlength=len(p))
        assert (counts[p == 0] == 0).all()
        if (p > 0).sum() > 1:
            expected = p[p > 0] / p.sum() * 200_000
            assert stats.chisquare(counts[p > 0], expected).pvalue > 0.001


def test_a_price_comes_off_the_scores_before_the_policy_explores(name):
    """Of 0, or of all arms alike, it changes nothing; of one arm beyond any reward, that arm is left to exploration."""
    if name in ("uniform", "fixed_arm"):
        pytest.skip("it has no scores")
    batch = WORLD.log(64, 9).batch
    free = trained(name).pmf(batch)
    for alike in (0.0, 0.25):
        priced = trained(name).pmf(replace(batch, price=np.full(batch.mask.shape, alike)))
        np.testing.assert_allclose(priced, free, atol=0.05 if alike else 0)
    best = free.argmax(axis=1)
    price = np.zeros(batch.mask.shape)
    price[np.arange(len(batch)), best] = 100.0
    priced = trained(name).pmf(replace(batch, price=price))
    exploration.guard(priced, batch.mask)
    several = batch.mask.sum(axis=1) > 1
    dear = priced[np.arange(len(batch)), best]
    assert (dear[several] < free[np.arange(len(batch)), best][several]).all()
    assert dear[several].max() <= 0.05
