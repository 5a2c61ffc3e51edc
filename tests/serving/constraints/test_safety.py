"""[safety] never_dominated, live: no arm is drawn that is surely worse than another one for this context."""

import tomllib
from dataclasses import replace

import numpy as np
import pytest

from croupier import Embedded
from croupier.features.spec import AppSpec, RewardSpec
from croupier.models.constraints.held import DecisionLimits, limits_of
from croupier.models.ope.rounds import as_served
from croupier.models.policy import make
from croupier.serving.decide.replay import replay
from croupier.serving.release import bundle_store
from tests.serving import apps
from tests.serving.constrained import GENRE, declared
from tests.serving.embedded.shop import opened, publish

SAFE = "\n[safety]\nnever_dominated = true\nconfidence = 0.9\n"
POLICIES = '[policies]\ncandidates = ["lin_ts"]\n'
FLOOR = '\n[[constraints]]\nname = "news"\narm.genre = ["news"]\nfloor = 0.1\n'


def safe(var, text=""):
    """The app "shop", whose world's candidates are those that bound what an arm is worth."""
    w = declared(var, "")
    path = w.home / "app.toml"
    old = path.read_text()
    begin = old.index("candidates = [")
    path.write_text(old.replace(old[begin : old.index("]", begin) + 1], 'candidates = ["lin_ts"]') + SAFE + text)
    return w


def dominated(policy, batch):
    """By hand: the candidates (B, K) whose upper bound lies below some other's lower one."""
    low, high = policy.within(batch, 0.9)
    found = np.zeros(batch.mask.shape, bool)
    for row, col in np.argwhere(batch.mask):
        others = [low[row, k] for k in np.flatnonzero(batch.mask[row]) if k != col]
        found[row, col] = bool(others) and high[row, col] < max(others)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lin_ts", "neural_linear"])
def test_no_dominated_arm_is_drawn_and_each_decision_is_derived_again(tmp_path, name):
    policy = apps.trained(name)
    publish(safe(tmp_path), policy)
    requests = apps.sample().requests(1500)
    with Embedded("shop", var=tmp_path) as shop:
        answers = [a for at in range(0, 1500, 50) for a in shop.select_batch(requests[at : at + 50])]
        batch = shop.host.selector.encoded(requests)
        release, spool = shop.host.selector.release, shop.host.spool
        found = spool.find([a.event_id for a in answers])
        out = dominated(policy, batch)
        p = np.array([[*a.pmf, *[0.0] * (out.shape[1] - len(a.pmf))] for a in answers])
        assert out.any(axis=1).mean() > 0.05, "there is something to leave out"
        assert (p[out] == 0).all()
        assert (p[batch.mask & ~out] > 0).all(), "exploration reaches every other candidate"
        chosen = np.array([request.arms.index(a.arm) for request, a in zip(requests, answers, strict=True)])
        assert out[np.arange(1500), chosen].sum() == 0
        free = as_served(policy, batch, 0.02)
        assert (free[out] > 0).all(), "without it the floor reaches them, too"
        for decision in [*found.values()][::75]:
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
            assert all(s.holds for s in steps), steps
    np.testing.assert_allclose(as_served(policy, batch, 0.02, release.limits), p, atol=1e-9)


def test_bounds_hold_as_often_as_they_say():
    """True linear rewards: all of a request's bounds hold in at least nine of ten logs, and then the best arm is never
    left out."""
    app, held, best_kept = apps.sample(), [], []
    rng = np.random.default_rng(1)
    log = app.log[:600]
    d_u, d_a = log.batch.context.shape[1], log.batch.catalogue.features.shape[1]
    ask = log.batch[:40]
    for _ in range(30):
        policy = make("lin_ts", cross="none")
        theta_u, theta_a = rng.normal(size=d_u) * 0.2, rng.normal(size=d_a) * 0.5

        def worth(batch, theta_u=theta_u, theta_a=theta_a):
            return (batch.context @ theta_u)[:, None] + batch.catalogue.features[batch.arm] @ theta_a

        true = worth(log.batch)[np.arange(600), log.chosen]
        learnt = policy.learn([replace(log, reward=true + rng.normal(size=600))])
        low, high = learnt.within(ask, 0.9)
        value = learnt.standardise(worth(ask))
        inside = np.where(ask.mask, (low <= value) & (value <= high), True).all(axis=1)
        held.append(inside.mean())
        left = DecisionLimits(confidence=0.9).safe(learnt, ask)
        best = np.where(ask.mask, value, -np.inf).argmax(axis=1)
        best_kept.append(left.mask[np.arange(40), best][inside].all())
    assert np.mean(held) > 0.9
    assert all(best_kept)


def test_what_knows_nothing_leaves_nothing_out_and_what_has_a_floor_stays(tmp_path):
    log = apps.sample().log[:200]
    safety = DecisionLimits(confidence=0.9)
    for policy in (make("uniform"), make("lin_ts")):
        assert safety.safe(policy, log.batch) is log.batch
    w = safe(tmp_path, FLOOR)
    limits = limits_of(w)
    assert limits.confidence == 0.9
    policy = apps.trained("lin_ts")
    news = np.array([GENRE[arm] == "news" for arm in log.batch.catalogue.ids])[log.batch.arm] & log.batch.mask
    out = dominated(policy, log.batch)
    assert (out & news).any()
    p = as_served(policy, log.batch, 0.02, limits)
    assert (p[out & ~news] == 0).all()
    assert (p * news).sum(axis=1)[news.any(axis=1)].min() >= 0.1 - 1e-9


def test_where_caps_need_them_all_candidates_stay():
    log = apps.sample().log[:200]
    policy, ids = apps.trained("lin_ts"), log.batch.catalogue.ids
    capped = DecisionLimits(confidence=0.9, arms=dict.fromkeys(ids, (0.0, 0.11)))
    enough = log.batch.mask.sum(axis=1) >= 10
    left = capped.safe(policy, log.batch[enough])
    p = as_served(policy, log.batch[enough], 0.02, capped)
    assert p.max() <= 0.11 + 1e-9
    assert (left.mask.sum(axis=1) >= 10).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-9)


def test_it_goes_live_by_a_release_and_is_refused_of_policies_without_bounds(tmp_path):
    w = opened(tmp_path)
    assert "safeguards" not in bundle_store.manifest(w.store, publish(w, apps.trained("lin_ts")))
    w = safe(tmp_path)
    number = publish(w, apps.trained("lin_ts"))
    assert bundle_store.manifest(w.store, number)["safeguards"]["safety"] == {
        "never_dominated": True,
        "confidence": 0.9,
    }
    with pytest.raises(
        ValueError, match="found candidates vw_cb_adf, expected policies that bound what an arm is worth"
    ):
        AppSpec.model_validate(tomllib.loads('[policies]\ncandidates = ["lin_ts", "vw_cb_adf"]\n' + SAFE))
    with pytest.raises(ValueError, match=r"found it beside \[allocation\]"):
        AppSpec.model_validate(tomllib.loads(POLICIES + SAFE + "[allocation]\ntotal = 3\n"))
