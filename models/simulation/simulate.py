"""An online simulator of learning: context → pmf → draw → reward → learn on a schedule, on problems of known truth.

    classification   one arm a class, reward 1 for the right one (the bake-off of Bietti et al. 2021)
    mushroom         eat: +5 if edible, else +5 or −35 at odds; pass: 0 (Riquelme et al. 2018, the Showdown)
    wheel            two-dimensional, five arms, a rare large reward beyond radius δ (the Showdown's hardest)

A policy that can `update` (a Bayesian head) does so after every block of rounds, and learns anew from the whole log now
and then; VW stays in memory and learns every row; anything else learns anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F32, F64, I64, Batch, Catalogue, Interactions, concatenate
from croupier.models.bayesian.network import one_thread
from croupier.models.policy import Policy, make
from croupier.models.simulation.populations import load
from croupier.models.vw.policy import PRESETS, BilinearPolicy

# What to call a policy here: its name in POLICIES and the parameters that suit learning online, arm by arm.
_ARMS: dict[str, Any] = {"heads": "per_arm"}
CONTENDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "uniform": ("uniform", {}),
    "beta_bernoulli": ("beta_bernoulli", {}),
    **{preset: ("vw_cb_adf", {"preset": preset}) for preset in PRESETS},
    "vw_cb_adf": ("vw_cb_adf", {}),
    "lin_ts": ("lin_ts", _ARMS),
    "lin_ucb": ("lin_ucb", _ARMS),
    "neural_linear": ("neural_linear", _ARMS | {"warm_start": True, "holdout": 0.0, "epochs": 8}),
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

    @property
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


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Blocks of t / `share` rounds, at most `block`, share one policy; a whole relearning comes after the first
    `first` rounds, then after a quarter more, but at most `relearn` or t / `share` more."""

    block: int = 100
    share: int = 20
    first: int = 20
    relearn: int = 400


FINE = Schedule(block=5, share=200)  # of VW, whose single gradient step a row suffers most from waiting
# Of runs in which relearning at each 5 % more would be most of the work. A rare reward not met in the uniform rounds at
# the start is beyond what the scale of rewards lets a posterior expect: 20 rounds miss the wheel's at δ .9 in 46 %.
LONG = Schedule(block=1000, relearn=10**9, first=200)


def schedule_of(policy: Policy, rounds: int) -> Schedule:
    """Returns how often a policy learns in a simulation of so many rounds."""
    if policy.name == "vw_cb_adf":
        return FINE
    return LONG if rounds > 20_000 else Schedule()


@dataclass
class _Run:
    """One policy in one problem, learning."""

    policy: Policy
    problem: Problem
    seed: int
    log: list[Interactions] = field(default_factory=list)
    due: int = 0
    vw: Any = None

    def play(self, start: int, stop: int, rng: np.random.Generator) -> Interactions:
        t, (_, K) = np.arange(start, stop), self.problem.means.shape
        n = len(t)
        batch = Batch(
            context=self.problem.contexts[start:stop],
            arm=np.tile(np.arange(K), (n, 1)),
            mask=np.ones((n, K), dtype=bool),
            pair=np.zeros((n, K, 0), dtype=np.float32),
            catalogue=self.catalogue,
        )
        pmf = self.policy.pmf(batch)
        arm = np.minimum((pmf.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), K - 1)
        return Interactions(
            batch=batch,
            chosen=arm,
            reward=self.problem.draw(t, arm, rng),
            propensity=pmf[np.arange(n), arm],
            pmf=pmf,
            at=t,
            unit=t.astype(np.uint64),
            weight=np.ones(n),
        )

    def __post_init__(self) -> None:
        self.catalogue = self.problem.catalogue

    def learn(self, new: Interactions, t: int, schedule: Schedule) -> None:
        self.log.append(new)
        update = getattr(self.policy, "update", None)
        if isinstance(self.policy, BilinearPolicy):
            self.policy = self._by_vw(self.policy, new)
        elif t >= self.due and t >= schedule.first:
            self.log = [concatenate(self.log)]
            self.policy = self.policy.learn(self.log, seed=self.seed)
            self.due = t + min(max(t // 4, schedule.first), max(schedule.relearn, t // schedule.share))
        elif update is not None and t > schedule.first:
            self.policy = update([new])

    def _by_vw(self, policy: BilinearPolicy, new: Interactions) -> BilinearPolicy:
        from croupier.models.vw.train import Online

        if self.vw is None:
            self.vw = Online(policy.flags, low=self.problem.range[0], high=self.problem.range[1])
        return policy.with_form(self.vw.learn(new))


def run(policy: Policy, problem: Problem, *, seed: int, schedule: Schedule | None = None) -> tuple[F64, F64]:
    """Regret (T,) and loss (T,) of every round, in expectation given the arms drawn."""
    player, rng, T = _Run(policy, problem, seed), np.random.default_rng([seed, 3]), len(problem.means)
    schedule = schedule or schedule_of(policy, T)
    arms, t = np.zeros(T, dtype=np.int64), 0
    while t < T:
        stop = min(T, t + min(max(t // schedule.share, 1), schedule.block))
        played = player.play(t, stop, rng)
        arms[t:stop] = played.chosen
        player.learn(played, stop, schedule)
        t = stop
    mean = problem.means[np.arange(T), arms]
    return problem.means.max(axis=1) - mean, problem.loss_from - mean


def contender(name: str, problem: Problem, **parameters: Any) -> Policy:
    """Returns the policy of a contender's name, with its preset parameters. Raises ValueError."""
    if name not in CONTENDERS:
        raise ValueError(f"policy: found {name!r}, expected one of {', '.join(CONTENDERS)}")
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
    """Mean and standard error over seeds of the progressive loss and of regret as a percentage of uniform's."""
    from tqdm import tqdm

    losses, percents, curves = [], [], []
    for seed in tqdm(range(first_seed, first_seed + seeds), desc=f"{name}: seeds", disable=None, leave=False):
        world = problem(np.random.default_rng([seed, 1]))
        policy = contender(name, world, **(parameters or {}))
        with one_thread():
            regret, loss = run(policy, world, seed=seed, schedule=schedule)
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
    }


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
