"""Populations of known truth, on which the gate's error rates are counted.

A population is N contexts with the true mean reward of every arm. A champion and a candidate are mixtures of a better
and a worse policy, mixed so that their values on the population are exact: a null lift is zero to rounding.
"""

import tomllib
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from croupier.features.batch import F64, I64, Batch, Catalogue, Interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World
from croupier.models.exploration import greedy, with_floor
from croupier.models.ope.reward_model import RewardModel

TRAINED_ROWS = 1500  # of the scorers behind the policies
LARGEST = 1e100  # of a feature: its square, summed over rows, is still a number
HEADROOM = 1.4  # best value over the champion's, so that lifts up to 40 % exist


@dataclass(frozen=True, kw_only=True, eq=False)
class Population:
    """truth (N, K) mean rewards in [0, 1]; log, champion, candidate (N, K) pmfs; predicted: some q̂ (N, K), each
    fitted on a log of its own, as a cross-fitted one is on other folds."""

    name: str
    batch: Batch
    truth: F64
    log: F64
    champion: F64
    candidate: F64
    predicted: tuple[F64, ...]
    order: F64 | None = None  # (N,): rows of a log come in this order, half signal and half noise; None: any order

    def value(self, pmf: F64) -> float:
        """Returns the true value of a policy by its pmf, (n, K)."""
        return float((pmf * self.truth).sum(axis=1).mean())

    @property
    def lift(self) -> float:
        """Relative, exact."""
        return self.value(self.candidate) / self.value(self.champion) - 1.0


def from_classes(
    x: F64,
    y: I64,
    *,
    name: str,
    lift: float,
    rewards: tuple[float, float] = (0.0, 1.0),
    explored: float = 1.0,
    models: int = 4,
    model_rows: int = 5000,
    seed: int = 0,
    cap: int = 20_000,
) -> Population:
    """Multiclass rows as a bandit: an arm a class, mean reward `rewards[1]` on the right one, `rewards[0]` elsewhere.

    explored: 1 logs uniformly; less, the champion with a floor of this ε. The candidate's scorer sees every feature,
    the champion's the even ones: different policies, whose values are set by mixing."""
    if not 0 < explored <= 1:
        raise ValueError(f"explored: found {explored:g}, expected 0 < ε ≤ 1, the share of uniform draws in the log")
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(x))[:cap]
    x, (_, y) = StandardScaler().fit_transform(x[rows].astype(np.float64)), np.unique(y[rows], return_inverse=True)
    arms = int(y.max()) + 1
    batch = Batch(
        context=x.astype(np.float32),
        arm=np.tile(np.arange(arms), (len(x), 1)),
        mask=np.ones((len(x), arms), bool),
        pair=np.zeros((len(x), arms, 0), np.float32),
        catalogue=Catalogue(ids=tuple(map(str, range(arms))), features=np.eye(arms, dtype=np.float32), digest=name),
    )
    truth = np.where(np.arange(arms) == y[:, None], rewards[1], rewards[0])
    scores = [_scores(x[:, columns], y, arms, rng) for columns in (slice(None), slice(None, None, 2))]
    return mixed(
        name=name,
        batch=batch,
        truth=truth,
        scores=(scores[0], scores[1]),
        lift=lift,
        explored=explored,
        models=models,
        model_rows=model_rows,
        rng=rng,
    )


def from_reels(*, lift: float, explored: float = 1.0, seed: int = 0, visits: int = 8000) -> Population:
    """features/worlds/reels.py: ragged candidates, features of pairs, clicks no linear model can have."""
    rng, world = np.random.default_rng(seed), World(seed=seed)
    shown = world.users(visits, rng)
    spec = AppSpec.model_validate(tomllib.loads(world.app_toml()))
    encoder = Encoder.fit(spec, world.interactions(2000), world.arms())
    batch = encoder.encode(
        [v.context for v in shown],
        [v.arms for v in shown],
        [v.arm_context for v in shown],
        encoder.catalogue(world.arms()),
    )
    truth = world.truth(shown)
    odds = np.where(batch.mask, np.log(np.maximum(truth, 1e-9)), 0.0)
    scores = (odds + rng.normal(0, 0.3, odds.shape), odds + rng.normal(0, 0.6, odds.shape))
    return mixed(
        name="reels",
        batch=batch,
        truth=truth,
        scores=scores,
        lift=lift,
        explored=explored,
        models=4,
        model_rows=5000,
        rng=rng,
    )


def drifting(population: Population) -> Population:
    """Returns the population's rows in an order of time: what comes early in a log differs from what comes late. Lifts
    over all rows stay."""
    x = population.batch.context.astype(np.float64)
    weight = (population.candidate * population.truth - population.champion * population.truth).sum(axis=1)
    direction = (x - x.mean(axis=0)).T @ (weight - weight.mean())
    return replace(population, name=f"{population.name}, drift", order=x @ direction)


def mixed(
    *,
    name: str,
    batch: Batch,
    truth: F64,
    scores: tuple[F64, F64],
    lift: float,
    explored: float,
    models: int,
    model_rows: int,
    rng: np.random.Generator,
) -> Population:
    """A population from two scorers (N, K): the candidate's and the champion's."""
    better = [with_floor(greedy(s, batch.mask), batch.mask, 0.02) for s in scores]
    worse = [with_floor(greedy(-s, batch.mask), batch.mask, 0.02) for s in scores]
    value = min(float((b * truth).sum(axis=1).mean()) for b in better) / HEADROOM
    champion = mix(better[1], worse[1], truth, value)
    candidate = mix(better[0], worse[0], truth, value * (1.0 + lift))
    even = batch.mask / batch.mask.sum(axis=1, keepdims=True)
    log = explored * even + (1.0 - explored) * champion
    blank = Population(
        name=name, batch=batch, truth=truth, log=log, champion=champion, candidate=candidate, predicted=()
    )
    logs = (interactions(blank, model_rows, rng) for _ in range(models))
    return replace(blank, predicted=tuple(RewardModel.fit(one).predict(batch) for one in logs))


def mix(better: F64, worse: F64, truth: F64, value: float) -> F64:
    """λ·better + (1 − λ)·worse with exactly this value; values are linear in pmfs."""
    high, low = (float((pmf * truth).sum(axis=1).mean()) for pmf in (better, worse))
    if not low <= value <= high:
        raise ValueError(
            f"lift: the champion's value would be {value:.4g}, outside what policies here reach, "
            f"{low:.4g} to {high:.4g}; ask for a smaller lift"
        )
    share = (value - low) / (high - low)
    return share * better + (1.0 - share) * worse


def draw(population: Population, n: int, rng: np.random.Generator) -> tuple[I64, I64, F64]:
    """n logged rounds: rows of the population (n,), arms drawn from its logging pmf (n,), rewards 0/1 (n,)."""
    row = rng.integers(len(population.truth), size=n)
    if population.order is not None:
        key = population.order[row]
        row = row[np.argsort(key + rng.normal(0, key.std() + 1e-12, n))]
    cumulative = np.cumsum(population.log[row], axis=1)
    chosen = (rng.random(n)[:, None] * cumulative[:, -1:] > cumulative).sum(axis=1)
    return row, chosen, (rng.random(n) < population.truth[row, chosen]).astype(np.float64)


def interactions(population: Population, n: int, rng: np.random.Generator) -> Interactions:
    """Returns the draws as a log, for everything that reads logs."""
    row, chosen, reward = draw(population, n, rng)
    pmf = population.log[row]
    return Interactions(
        batch=population.batch[row],
        chosen=chosen,
        reward=reward,
        propensity=pmf[np.arange(n), chosen],
        pmf=pmf,
        at=np.arange(n) * 1_000_000,
        unit=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
    )


def load(path: Path | None) -> tuple[F64, I64, str]:
    """Returns (X, y, name) of an .npz with arrays X and y; scikit-learn's digits where none is given."""
    if path is None:
        x, y = load_digits(return_X_y=True)
        return x, y, "digits"
    if not path.exists():
        raise ValueError(f"data: found no file {path}, expected an .npz with X (rows, features) and y (classes)")
    try:
        with path.open("rb") as file:
            data = np.load(file, allow_pickle=False)
            arrays = {name: data[name] for name in data.files}
    except (ValueError, OSError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error):
        raise ValueError(f"data: found no arrays in {path}, expected what numpy.savez(path, X=…, y=…) writes") from None
    if not {"X", "y"} <= set(arrays):
        raise ValueError(f"data: found arrays {sorted(arrays)} in {path}, expected X and y")
    return _features(arrays["X"], arrays["y"]), np.unique(arrays["y"], return_inverse=True)[1], path.stem


def _features(x: NDArray[Any], y: NDArray[Any]) -> F64:
    """x as numbers. Raises ValueError where x and y are no data set of classes."""
    if x.ndim != 2 or y.shape != (len(x),) or len(x) < 20:
        raise ValueError(f"data: found X {x.shape} and y {y.shape}, expected (rows, features) and (rows,), rows ≥ 20")
    if x.dtype.kind not in "fiub" or not (np.abs(np.asarray(x, np.float64)) < LARGEST).all():
        raise ValueError(
            f"data: found values in X that are missing, infinite or no numbers, expected numbers below {LARGEST:g}"
        )
    if len(np.unique(y)) < 2:
        raise ValueError(f"data: found the one class {y[0]} in y, expected two or more: they become the arms")
    return np.asarray(x, np.float64)


def _scores(x: F64, y: I64, arms: int, rng: np.random.Generator) -> F64:
    """Returns (N, K) class log-odds of a logistic regression on a few rows; unseen classes score lowest."""
    rows = rng.choice(len(x), min(TRAINED_ROWS, len(x) // 2), replace=False)
    model = LogisticRegression(C=0.1, max_iter=300, tol=1e-3).fit(x[rows], y[rows])
    scores = np.full((len(x), arms), -1e3)
    scores[:, model.classes_] = model.predict_log_proba(x)
    return np.maximum(scores, -1e3)
