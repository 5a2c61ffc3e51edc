"""An online simulator of learning: context → pmf → draw → reward → learn on a schedule, on problems of known truth.

    classification   one arm a class, reward 1 for the right one (the bake-off of Bietti et al. 2021)
    mushroom         eat: +5 if edible, else +5 or −35 at odds; pass: 0 (Riquelme et al. 2018, the Showdown)
    wheel            two-dimensional, five arms, a rare large reward beyond radius δ (the Showdown's hardest)

How each learns: online/learner.py; `auto`, which narrows a portfolio down as it learns: online/auto.py.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F32, F64, I64, Batch, Catalogue, Interactions
from croupier.models.bayesian.threads import one_thread
from croupier.models.policy import Policy, make
from croupier.models.simulation.online.auto import Auto, narrowed
from croupier.models.simulation.online.learner import Learner, Schedule, schedule_of
from croupier.models.simulation.online.portfolio import ARMS, AUTO, NETWORK, auto
from croupier.models.simulation.populations import load
from croupier.models.vw.policy import PRESETS

# What to call a policy here: its name in POLICIES and the parameters that suit learning online, arm by arm.
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "uniform": ("uniform", {}),
    "beta_bernoulli": ("beta_bernoulli", {}),
    **{preset: ("vw_cb_adf", {"preset": preset}) for preset in PRESETS},
    "vw_cb_adf": ("vw_cb_adf", {}),
    "lin_ts": ("lin_ts", ARMS),
    "lin_ucb": ("lin_ucb", ARMS),
    "neural_linear": ("neural_linear", NETWORK),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """`contexts` (T, d) in the order they come, `means` (T, K) true expected rewards, `draw(t, arm, rng)` rewards of
    rounds t; `loss_from` is the reward that counts as no loss, `range` that of all rewards."""

    contexts: F32
    means: F64
    draw: Callable[[I64, I64, np.random.Generator], F64]
    loss_from: float
    range: tuple[float, float]

    @cached_property
    def catalogue(self) -> Catalogue:
        """The arms, one indicator each."""
        features = np.eye(self.means.shape[1], dtype=np.float32)
        return Catalogue(ids=tuple(f"arm-{k}" for k in range(len(features))), features=features, digest="simulated")

    @classmethod
    def classification(cls, X: F32, y: I64, rounds: int, rng: np.random.Generator) -> Self:
        """Makes a bandit of a classification: reward 1 for the arm that is the row's class."""
        order = _order(len(y), rounds, rng)
        means = (y[order, None] == np.unique(y)).astype(np.float64)
        return cls(
            contexts=X[order], means=means, draw=lambda t, arm, _: means[t, arm], loss_from=1.0, range=(0.0, 1.0)
        )

    @classmethod
    def mushroom(cls, X: F32, y: I64, rounds: int, rng: np.random.Generator) -> Self:
        """y = 0 is edible. Arm 0 eats, arm 1 passes."""
        order = _order(len(y), rounds, rng)
        edible = y[order] == 0

        def draw(t: I64, arm: I64, rng: np.random.Generator) -> F64:
            poisoned = ~edible[t] & (rng.random(len(t)) < 0.5)
            reward: F64 = np.where(arm == 0, np.where(poisoned, -35.0, 5.0), 0.0)
            return reward

        means = np.stack([np.where(edible, 5.0, -15.0), np.zeros(rounds)], axis=1)
        return cls(contexts=X[order], means=means, draw=draw, loss_from=0.0, range=(-35.0, 5.0))

    @classmethod
    def wheel(cls, delta: float, rounds: int, rng: np.random.Generator) -> Self:
        """Arm 0 pays 1.2 everywhere; the others 1.0, but 50 for the one of the quadrant, beyond radius δ."""
        angle, radius = rng.uniform(0, 2 * np.pi, rounds), np.sqrt(rng.random(rounds))
        X = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
        means = np.tile([1.2, 1.0, 1.0, 1.0, 1.0], (rounds, 1))
        outside = np.flatnonzero(radius > delta)
        means[outside, 1 + (2 * (X[outside, 0] < 0) + (X[outside, 1] < 0))] = 50.0
        return cls(
            contexts=X,
            means=means,
            loss_from=0.0,
            range=(0.0, 50.0),
            draw=lambda t, arm, rng: means[t, arm] + 0.01 * rng.standard_normal(len(t)),
        )


def _order(rows: int, rounds: int, rng: np.random.Generator) -> I64:
    """A permutation, and further ones where the rounds outlast the rows."""
    order: I64 = np.concatenate([rng.permutation(rows) for _ in range(-(-rounds // rows))])
    return order[:rounds]


def play(problem: Problem, learner: Learner | Auto, start: int, stop: int, rng: np.random.Generator) -> Interactions:
    """The rounds from `start` to before `stop`, their arms drawn from the learner's pmf."""
    t, (_, K), catalogue = np.arange(start, stop), problem.means.shape, problem.catalogue
    n = len(t)
    batch = Batch(
        context=problem.contexts[start:stop],
        arm=np.tile(np.arange(K), (n, 1)),
        mask=np.ones((n, K), dtype=bool),
        pair=np.zeros((n, K, 0), dtype=np.float32),
        catalogue=catalogue,
    )
    pmf = learner.pmf(batch)
    arm = np.minimum((pmf.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), K - 1)
    return Interactions(
        batch=batch,
        chosen=arm,
        reward=problem.draw(t, arm, rng),
        propensity=pmf[np.arange(n), arm],
        pmf=pmf,
        at=t,
        unit=t.astype(np.uint64),
        weight=np.ones(n),
    )


def run(policy: Policy, problem: Problem, *, seed: int, schedule: Schedule | None = None) -> tuple[F64, F64]:
    """Regret (T,) and loss (T,) of every round, in expectation given the arms drawn."""
    schedule = schedule or schedule_of(policy, len(problem.means))
    return learned(Learner(policy, problem.range, seed, schedule), problem, seed=seed)


def learned(learner: Learner | Auto, problem: Problem, *, seed: int) -> tuple[F64, F64]:
    """Regret (T,) and loss (T,) of every round of a learner that has not begun."""
    rng, T = np.random.default_rng([seed, 3]), len(problem.means)
    arms, t = np.zeros(T, dtype=np.int64), 0
    while t < T:
        stop = min(T, t + learner.rounds(t))
        played = play(problem, learner, t, stop, rng)
        arms[t:stop] = played.chosen
        learner.learn(played, stop)
        t = stop
    mean = problem.means[np.arange(T), arms]
    return problem.means.max(axis=1) - mean, problem.loss_from - mean


def contender(name: str, problem: Problem, **parameters: Any) -> Policy:
    """Returns the policy of a contender's name, with its preset parameters. Raises ValueError."""
    if name not in CONTENDERS:
        raise ValueError(f"policy: found {name!r}, expected one of {', '.join([*CONTENDERS, AUTO])}")
    key, preset = CONTENDERS[name]
    known = {"reward_range": problem.range} if key == "vw_cb_adf" else {}
    try:
        return make(key, **(known | preset | parameters))
    except TypeError as error:
        raise ValueError(f"policy {name}: its parameters do not fit: {error}") from None


def simulate(
    name: str,
    problem: Callable[[np.random.Generator], Problem],
    *,
    seeds: int,
    schedule: Schedule | None = None,
    parameters: dict[str, Any] | None = None,
    first_seed: int = 0,
) -> dict[str, Any]:
    """Mean and standard error over seeds of the progressive loss and of regret as a percentage of uniform's; of `auto`
    also what became of each policy of its portfolio."""
    from tqdm import tqdm

    losses, percents, curves, players, began = [], [], [], [], time.process_time()
    for seed in tqdm(range(first_seed, first_seed + seeds), desc=f"{name}: seeds", disable=None, leave=False):
        world = problem(np.random.default_rng([seed, 1]))
        players.append(_begun(name, world, seed, schedule, parameters or {}))
        with one_thread():
            regret, loss = learned(players[-1], world, seed=seed)
        uniform = (world.means.max(axis=1) - world.means.mean(axis=1)).sum()
        losses.append(loss.mean())
        percents.append(100 * regret.sum() / uniform)
        curves.append(regret.cumsum()[:: max(1, len(regret) // 100)].tolist())
    return {
        "policy": name,
        "parameters": parameters or {},
        "rounds": len(regret),
        "seeds": seeds,
        "progressive_loss": float(np.mean(losses)),
        "progressive_loss_se": _se(losses),
        "percent_of_uniform_regret": float(np.mean(percents)),
        "percent_of_uniform_regret_se": _se(percents),
        "each_seed": percents,
        "regret_curve": np.mean(curves, axis=0).tolist(),
        "cpu_seconds": (time.process_time() - began) / seeds,
        **narrowed([player for player in players if isinstance(player, Auto)]),
    }


def _begun(
    name: str, problem: Problem, seed: int, schedule: Schedule | None, parameters: dict[str, Any]
) -> Learner | Auto:
    """Who learns, before the first round."""
    rounds = len(problem.means)
    if name != AUTO:
        policy = contender(name, problem, **parameters)
        return Learner(policy, problem.range, seed, schedule or schedule_of(policy, rounds))
    if parameters:
        raise ValueError(f"--parameters: found {parameters} with auto, expected none: auto tries its own portfolio")
    return auto(problem.range, seed=seed, rounds=rounds)


def _se(values: list[float]) -> float | None:
    """Standard error of the mean; none from one seed."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def problem_of(
    data: Path | None, *, reward: str, wheel: float | None, rounds: int
) -> tuple[str, Callable[[np.random.Generator], Problem]]:
    """Returns (name, problem by generator) of an .npz with X and y, of scikit-learn's digits, or of the wheel."""
    if wheel is not None:
        if not 0 <= wheel < 1:
            raise ValueError(f"wheel: found δ = {wheel:g}, expected a radius from 0 to below 1")
        return f"wheel δ={wheel:g}", lambda rng: Problem.wheel(wheel, rounds, rng)
    if reward not in REWARDS:
        raise ValueError(f"reward: found {reward!r}, expected one of {', '.join(REWARDS)}")
    raw, y, name = load(data)
    kind, X = REWARDS[reward], scaled(raw)
    return name, lambda rng: kind(X, y, rounds, rng)


REWARDS = {"class": Problem.classification, "mushroom": Problem.mushroom}


def scaled(X: NDArray[np.floating[Any]]) -> F32:
    """Columns far from unit scale are standardised, as the encoder would; the others are left alone."""
    mean, sd = X.mean(axis=0), X.std(axis=0)
    far = (np.abs(mean) > 3) | (sd > 3)
    return np.where(far, (X - mean) / np.where(sd > 0, sd, 1.0), X).astype(np.float32)
