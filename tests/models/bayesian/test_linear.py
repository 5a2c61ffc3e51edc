"""LinTS and LinUCB: φ by hand, the hybrid against the block formulas of its paper, and what a window forgets."""

import numpy as np
import pytest

from croupier.models.bayesian.linear import LinTS, LinUCB
from croupier.models.simulation.synthetic import LinearWorld

WORLD = LinearWorld.make(2)
LOG = [WORLD.log(400, 1), WORLD.log(300, 2)]
BATCH = WORLD.requests(60, np.random.default_rng(5), ragged=False)
FIRST = np.zeros(60, dtype=np.int64)


def test_features_by_hand():
    u, x = BATCH.context, np.concatenate([BATCH.catalogue.features[BATCH.arm[:, 0]], BATCH.pair[:, 0]], axis=1)
    outer, one = np.einsum("nu,nx->nux", u, x).reshape(60, -1), np.ones((60, 1))
    own = np.zeros((60, 7, 4))
    own[np.arange(60), BATCH.arm[:, 0]] = np.concatenate([u, one], axis=1)
    wanted = {
        ("shared", "outer"): [u, x, outer, one], ("shared", "none"): [u, x, one],
        ("per_arm", "outer"): [u, BATCH.pair[:, 0], one], ("hybrid", "none"): [own.reshape(60, 28), u, x, one],
        ("hybrid", "outer"): [own.reshape(60, 28), u, x, outer, one],
    }  # fmt: skip
    for (heads, cross), parts in wanted.items():
        learner = LinTS(heads=heads, cross=cross).learn(LOG)
        np.testing.assert_allclose(learner.features(BATCH, FIRST), np.concatenate(parts, axis=1), rtol=1e-6)


def test_hybrid_is_algorithm_two_of_its_paper():
    """Li et al. 2010, alg. 2, with λI for its identities: A₀, B_a, A_a, their β̂ and θ̂_a, and its s_{t,a}."""
    learner = LinUCB(heads="hybrid", alpha=1.3).learn(LOG)
    ids, lam = WORLD.catalogue.ids, learner.head.prior.precision
    phi = np.concatenate([learner.features(log.batch, log.chosen) for log in LOG])
    arm = np.concatenate([log.batch.arm[np.arange(len(log)), log.chosen] for log in LOG])
    r = learner.standardise(np.concatenate([log.reward for log in LOG]))
    z, x = phi[:, 28:], np.concatenate([*[log.batch.context for log in LOG]])
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    A0, b0, A, B, b = lam * np.eye(z.shape[1]), np.zeros(z.shape[1]), {}, {}, {}
    for a in range(len(ids)):
        Z, X, y = z[arm == a], x[arm == a], r[arm == a]
        A[a], B[a], b[a] = X.T @ X + lam * np.eye(4), X.T @ Z, X.T @ y
        A0 += Z.T @ Z - B[a].T @ np.linalg.solve(A[a], B[a])
        b0 += Z.T @ y - B[a].T @ np.linalg.solve(A[a], b[a])
    beta = np.linalg.solve(A0, b0)
    for row in range(0, 60, 7):
        scores = []
        for k in range(4):
            a = int(BATCH.arm[row, k])
            zk = learner.features(BATCH[[row]], np.array([k]))[0, 28:]
            xk = np.append(BATCH.context[row], 1.0)
            theta = np.linalg.solve(A[a], b[a] - B[a] @ beta)
            Ax, Az, both = np.linalg.solve(A[a], xk), np.linalg.solve(A0, zk), B[a].T @ np.linalg.solve(A[a], xk)
            s = zk @ Az - 2 * zk @ np.linalg.solve(A0, both) + xk @ Ax + both @ np.linalg.solve(A0, both)
            scores.append(zk @ beta + xk @ theta + 1.3 * np.sqrt(s))
        phi_row = np.stack([learner.features(BATCH[[row]], np.array([k]))[0] for k in range(4)])
        inverse = np.linalg.inv(learner.head.moments.A + lam * np.eye(phi.shape[1]))
        joint = phi_row @ learner.head.mean + 1.3 * np.sqrt(np.einsum("kd,de,ke->k", phi_row, inverse, phi_row))
        np.testing.assert_allclose(joint, scores, rtol=1e-6)
        assert learner.pmf(BATCH[[row]])[0].argmax() == np.argmax(scores)


def test_arms_unknown_in_training_have_the_last_block():
    """Of their own among the hybrid's: nobody else's θ."""
    known = LinTS(heads="hybrid", cross="none").learn([LOG[0][LOG[0].batch.arm[np.arange(400), LOG[0].chosen] < 5]])
    blocks = (known.features(BATCH, FIRST) != 0)[:, : 6 * 4].reshape(60, 6, 4).any(axis=2)
    assert len(known.known) == 5
    assert (blocks.argmax(axis=1) == np.minimum(BATCH.arm[:, 0], 5)).all()
    assert (blocks.sum(axis=1) == 1).all()


def test_forgetting_halves_every_arm_whether_it_was_shown_or_not():
    learner = LinTS(heads="per_arm", half_life=100.0).learn(LOG)
    arm = np.concatenate([log.batch.arm[np.arange(len(log)), log.chosen] for log in LOG])
    weight = 0.5 ** (np.arange(699, -1, -1) / 100)
    for a, name in enumerate(WORLD.catalogue.ids):
        assert learner.heads.of(name).moments.n == pytest.approx(weight[arm == a].sum(), rel=1e-9)


def test_hybrid_learns_what_features_cannot_say():
    """Arms alike in all features, whose tastes differ: the shared head is blind to them, the hybrid is not."""
    from dataclasses import replace

    def alike(chunk):
        same = replace(WORLD.catalogue, features=np.zeros_like(WORLD.catalogue.features))
        return replace(chunk, batch=replace(chunk.batch, catalogue=same))

    def best_share(heads):
        batch = WORLD.requests(2000, np.random.default_rng(9), ragged=False)
        pmf = LinTS(heads=heads).learn([alike(WORLD.log(6000, 1))]).pmf(alike_batch(batch))
        return (pmf * WORLD.expected(batch)).sum(axis=1).mean()

    def alike_batch(batch):
        return replace(batch, catalogue=replace(WORLD.catalogue, features=np.zeros_like(WORLD.catalogue.features)))

    assert best_share("hybrid") > best_share("shared") + 0.05


@pytest.mark.parametrize("heads", ["shared", "per_arm", "hybrid"])
def test_a_window_learns_from_the_latest_rows_alone(heads):
    """Across a chunk's border: 500 of 700 rows; discounted rows count half after `half_life` more."""
    windowed = LinTS(heads=heads, window=500).learn(LOG)
    latest = LinTS(heads=heads).learn([LOG[0][200:], LOG[1]])
    assert windowed.heads.step == latest.heads.step == 500
    assert (windowed.pmf(BATCH) == latest.pmf(BATCH)).all()
    assert (windowed.pmf(BATCH) != LinTS(heads=heads).learn(LOG).pmf(BATCH)).any()


def test_half_life_halves_by_rows():
    learner = LinTS(half_life=100.0).learn(LOG)
    phi = np.concatenate([learner.features(log.batch, log.chosen) for log in LOG])
    weight = 0.5 ** (np.arange(699, -1, -1) / 100)
    np.testing.assert_allclose(learner.head.moments.A, (phi * weight[:, None]).T @ phi, rtol=1e-6, atol=1e-6)
    assert learner.head.moments.n == pytest.approx(weight.sum(), rel=1e-12)


def test_far_features_are_clipped():
    far = WORLD.requests(3, np.random.default_rng(0))
    far.context[0, 0] = 3e38
    phi = LinTS(cross="none").learn(LOG).features(far, np.zeros(3, dtype=np.int64))
    assert phi[0, 0] == 1e4
    assert np.isfinite(phi).all()
