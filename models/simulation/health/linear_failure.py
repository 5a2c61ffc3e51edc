"""How often a linear champion's failure is found where there is one, and claimed where there is none.

A linear policy learns round after round (a ridge on context ⊗ arm, anew every 500 rounds; greedy but for EXPLORES),
and its log is examined at LOOKS. Data sets become bandits as in models/simulation/simulate.py; the four made ones need
no file: `linear` and `rare` are linear in truth, the second with 2 % of rewards; `bent` and `crossed` are not.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from croupier.features.batch import F64, I64, Batch, Interactions, concatenate
from croupier.models.health.linear.failure import LinearFit, examine
from croupier.models.ope.reward_model import RewardModel
from croupier.models.simulation.simulate import Problem, problem_of

MARK = "linear"
LOOKS = (1000, 2000, 5000)
EXPLORES = 0.1
BLOCK = 500
FAILS = {"magic": True, "statlog_shuttle": True, "mushroom": False}  # data set → whether a linear champion does
Make = Callable[[np.random.Generator], Problem]


def problems(data: Path | None) -> dict[str, tuple[bool, Make]]:
    """Returns name → (a linear champion fails, the problem by generator): the made ones, and those of the .npz files in
    `data`. Raises ValueError where the folder has none of them."""
    made: dict[str, tuple[bool, Make]] = {
        "linear (made)": (False, lambda rng: logistic(rng, _straight)),
        "rare (made)": (False, lambda rng: logistic(rng, _straight, base=-4.5)),
        "bent (made)": (True, lambda rng: logistic(rng, _bent)),
        "crossed (made)": (True, lambda rng: logistic(rng, _crossed)),
    }
    if data is None:
        return made
    found = {name: data / f"{name}.npz" for name in FAILS if (data / f"{name}.npz").exists()}
    if not found:
        raise ValueError(f"{data}: found none of {', '.join(f'{n}.npz' for n in FAILS)}, expected one at least")
    for name, file in found.items():
        made[name] = FAILS[name], problem_of(file, reward="class", wheel=None, rounds=LOOKS[-1])[1]
    if "mushroom" in found:
        shown = problem_of(found["mushroom"], reward="mushroom", wheel=None, rounds=LOOKS[-1])[1]
        made["mushroom, the Showdown's rewards"] = False, shown
    return made


def logistic(rng: np.random.Generator, score: Callable[[F64, F64], F64], *, base: float = -1.0) -> Problem:
    """A world of six numbers and four arms; a click's log-odds are `base` + score(X (T, 6), w (6, 4))."""
    X, w = rng.standard_normal((LOOKS[-1], 6)), rng.standard_normal((6, 4))
    means = 1 / (1 + np.exp(-(base + score(X, w))))

    def draw(t: I64, arm: I64, rng: np.random.Generator) -> F64:
        return np.asarray(rng.random(len(t)) < means[t, arm], np.float64)

    return Problem(contexts=X.astype(np.float32), means=means, draw=draw, loss_from=1.0, range=(0.0, 1.0))


def _straight(X: F64, w: F64) -> F64:
    return np.asarray(0.5 * X @ w)


def _bent(X: F64, w: F64) -> F64:
    return np.asarray(1.5 * (np.abs(X[:, :2]) - 0.8) @ w[:2])


def _crossed(X: F64, w: F64) -> F64:
    return np.asarray(1.5 * (X[:, 0] * X[:, 1])[:, None] * w[0])


def played(problem: Problem, rounds: int, seed: int) -> Interactions:
    """The log of a linear policy that learns as it goes."""
    rng, parts, model = np.random.default_rng([seed, 3]), list[Interactions](), None
    for start in range(0, rounds, BLOCK):
        parts.append(_block(problem, start, min(start + BLOCK, rounds), model, rng))
        log = concatenate(parts)
        model = RewardModel.fit(log) if np.ptp(log.reward) else None
    return concatenate(parts)


def _block(
    problem: Problem, start: int, stop: int, model: RewardModel | None, rng: np.random.Generator
) -> Interactions:
    t, K = np.arange(start, stop), problem.means.shape[1]
    n, x = len(t), np.asarray(problem.contexts[start:stop], np.float32)
    batch = Batch(
        context=x,
        arm=np.tile(np.arange(K), (n, 1)),
        mask=np.ones((n, K), bool),
        pair=np.zeros((n, K, 0), np.float32),
        catalogue=problem.catalogue,
    )
    pmf = np.full((n, K), 1.0 / K)
    if model is not None:
        pmf = EXPLORES * pmf
        pmf[np.arange(n), model.predict(batch).argmax(axis=1)] += 1 - EXPLORES
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


def count(found: Mapping[str, tuple[bool, Make]], *, seeds: int, first: int, step: Callable[[int], None]) -> Any:
    """Returns {"problems": name → {"fails", "runs", "claimed": look → share of runs that claim it then or before,
    "flat": look → share of runs whose value stops growing with the rows then or before, "flat_first": share in which it
    does before they claim it, "lower", "gain": medians at the last look, "named": the feature or pair named first, most
    often}}."""
    out = {}
    for name, (fails, make) in found.items():
        runs = []
        for seed in range(first, first + seeds):
            log = played(make(np.random.default_rng([seed, 1])), LOOKS[-1], seed)
            runs.append([examine(log[:look], seed=seed) for look in LOOKS])
            step(1)
        out[name] = {"fails": fails, "runs": seeds, **_summed(runs)}
    return {"problems": out, "seeds": seeds, "first_seed": first, "looks": list(LOOKS)}


def _summed(runs: Sequence[Sequence[LinearFit | None]]) -> dict[str, Any]:
    claimed = [_first([fit is not None and fit.failed for fit in run]) for run in runs]
    flat = [_first([fit is not None and fit.flat for fit in run]) for run in runs]
    last = [run[-1] for run in runs if run[-1] is not None]
    names = [[*fit.features, *fit.pairs] for fit in last]
    named = [max(found, key=lambda m: m.share).name for found in names if found]
    return {
        "claimed": _by_look(claimed),
        "flat": _by_look(flat),
        "flat_first": float(np.mean([f < c for f, c in zip(flat, claimed, strict=True)])),
        "lower": median(fit.lower for fit in last) if last else None,
        "gain": median(fit.gain for fit in last) if last else None,
        "named": max(sorted(set(named)), key=named.count) if named else "",
    }


def _first(said: Sequence[bool]) -> int:
    """Returns the first look that says so; their number where none does."""
    return next((k for k, true in enumerate(said) if true), len(LOOKS))


def _by_look(first: Sequence[int]) -> dict[str, float]:
    return {str(look): float(np.mean([f <= k for f in first])) for k, look in enumerate(LOOKS)}


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the counts as a table."""
    looks = [f"{look:,} rows" for look in found["looks"]]
    head = f"{found['seeds']} run{'s' * (found['seeds'] > 1)} a problem; claimed: then, or at an earlier look."
    what = "Flat: twice the rows earn the linear policy surely less than 5 % more, at a look; and before it is claimed."
    lines = [
        f"{head} {what}\n",
        f"| | a linear champion | {' | '.join(looks)} | loss lower by | expected gain | flat | flat before |",
        f"|---|---|{'---|' * (len(looks) + 4)}",
    ]
    for name, row in found["problems"].items():
        shares = " | ".join(f"{share:.0%}" for share in row["claimed"].values())
        numbers = f"{row['lower']:.0%} | {row['gain']:+.3f}" if row["lower"] is not None else "– | –"
        flat = f"{max(row['flat'].values()):.0%} | {row['flat_first']:.0%}"
        lines.append(f"| {name} | {'fails' if row['fails'] else 'is right'} | {shares} | {numbers} | {flat} |")
    return "\n".join(lines) + "\n"
