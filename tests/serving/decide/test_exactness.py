"""The served pmf of Thompson sampling against 20,000 exact samples of the posterior, by other algebra than ours.

Not one draw is shared: ours come from the policy's seed by a Cholesky factor, the reference from an eigendecomposition.
A sampler that draws each arm's score by itself, as several libraries do, is seen to fail.
"""

from functools import cache

import numpy as np
import pytest

from croupier.models import policy
from croupier.serving.decide.selector import Selector
from tests.serving import apps

SAMPLES = 20_000
CASES = ["lin_ts", "neural_linear"]


@cache
def learner(name):
    more = {"epochs": 5} if name == "neural_linear" else {}
    return policy.make(name, draws=SAMPLES, **more).learn([apps.sample().log], seed=3)


def posterior(head):
    """Murphy 2007: mean, covariance over σ², and σ² ~ InverseGamma(a, b)."""
    precision = head.moments.A + head.prior.precision * np.eye(len(head.moments.b))
    covariance = np.linalg.inv(precision)
    mean = covariance @ head.moments.b
    a = head.prior.a0 + head.moments.n / 2
    b = head.prior.b0 + (head.moments.rr - mean @ precision @ mean) / 2
    return mean, covariance, a, b


def requests(name):
    """(φ (K, d) of the candidates, the selector's request) of 16 ragged requests."""
    made = apps.sample().requests(16, seed=6, strange=True)
    encoder, mine = apps.sample().encoder, learner(name)
    catalogue = encoder.catalogue(apps.sample().arms)
    for r in made:
        batch = encoder.encode([r.context], [r.arms], [r.arm_context], catalogue)
        yield np.stack([mine.features(batch, np.array([k]))[0] for k in range(len(r.arms))]), r


def distance(p, q):
    return 0.5 * np.abs(np.asarray(p) - q).sum()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.medium
def test_the_served_pmf_is_the_posteriors_within_two_hundredths(tmp_path, name):
    mine, rng = learner(name), np.random.default_rng(8)
    s = Selector(apps.write(tmp_path, mine, floor=0.0), recorder=None, rollout=None, unit_key="k")
    mean, covariance, a, b = posterior(mine.head)
    values, vectors = np.linalg.eigh(covariance)
    sigma = np.sqrt(b / rng.gamma(a, size=SAMPLES))
    w = mean[:, None] + vectors * np.sqrt(values) @ rng.standard_normal((len(mean), SAMPLES)) * sigma
    worst = alone = 0.0
    for phi, request in requests(name):
        (answer,) = s.select([request])
        exact = np.bincount((phi @ w).argmax(axis=0), minlength=len(phi)) / SAMPLES
        worst = max(worst, distance(answer.pmf, exact))
        sd = np.sqrt(np.einsum("kd,de,ke->k", phi, covariance, phi))
        by_itself = (phi @ mean)[:, None] + sd[:, None] * rng.standard_normal((len(phi), SAMPLES)) * sigma
        wrong = np.bincount(by_itself.argmax(axis=0), minlength=len(phi)) / SAMPLES
        alone = max(alone, distance(wrong, exact))
    assert worst <= 0.02
    assert alone > 0.05


@pytest.mark.parametrize("name", CASES)
def test_arms_scores_are_correlated_as_the_posterior_has_them(name):
    mine = learner(name)
    _, covariance, _, _ = posterior(mine.head)
    drawn = mine.heads.drawn(seed=mine.seed, draws=SAMPLES, device="cpu").astype(np.float64)
    most = 0.0
    for phi, _ in requests(name):
        if len(phi) == 1:
            continue
        exact = phi @ covariance @ phi.T
        scale = np.sqrt(np.diag(exact))
        error = np.corrcoef(phi @ drawn) - exact / scale / scale[:, None]
        assert np.abs(error).max() <= 0.05
        most = max(most, np.abs(exact / scale / scale[:, None] - np.eye(len(phi))).max())
    assert most > 0.5  # arms that are independent would make this a weak test
