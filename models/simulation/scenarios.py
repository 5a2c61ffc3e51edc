"""Three trials that live arms put a policy through: tastes that turn over, arms that join, and news that nobody lists.

`python -m croupier.models.simulation.scenarios FOLDER [TRIAL …]` writes each as a picture and prints the numbers.
"""

import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from croupier.features.batch import F64, Batch, Catalogue, Interactions
from croupier.models.baselines import Uniform
from croupier.models.bayesian.base import Bayesian
from croupier.models.bayesian.linear import LinTS
from croupier.models.exploration import with_floor
from croupier.models.simulation.synthetic import LinearWorld

BLOCK = 50
FRONT_PAGE = 8  # articles that a reader may be shown; each lives for as many blocks


def play(policy: Any, world: LinearWorld, batch: Batch, rng: np.random.Generator, floor: float = 0.02) -> Interactions:
    """One block of requests decided, drawn and rewarded."""
    n, K = batch.mask.shape
    pmf = with_floor(policy.pmf(batch), batch.mask, floor)
    chosen = np.minimum((pmf.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1), K - 1)
    rows = np.arange(n)
    return Interactions(
        batch=batch,
        chosen=chosen,
        reward=(rng.random(n) < world.expected(batch)[rows, chosen]).astype(np.float64),
        propensity=pmf[rows, chosen],
        pmf=pmf,
        at=rows,
        unit=rows.astype(np.uint64),
        weight=np.ones(n),
    )


def flip(policy: Bayesian, *, rounds: int, seed: int) -> F64:
    """Value of the policy as a share of the best policy's, block by block; half-way all tastes turn into their
    opposite. 0 is uniform, 1 is the best there is."""
    world, rng = LinearWorld.make(seed, arms=8, candidates=8, d_p=0), np.random.default_rng([seed, 5])
    other = replace(world, weights=-world.weights)
    learner, shares = policy.learn([world.log(200, seed, ragged=False)], seed=seed), []
    for start in range(0, rounds, BLOCK):
        now = world if start < rounds // 2 else other
        batch = now.requests(BLOCK, rng, ragged=False)
        truth, pmf = now.expected(batch), learner.pmf(batch)
        base, best = truth.mean(axis=1).mean(), truth.max(axis=1).mean()
        shares.append(((pmf * truth).sum(axis=1).mean() - base) / (best - base))
        learner = learner.update([play(learner, now, batch, rng)])
    return np.array(shares)


def newcomers(policy: Bayesian, *, rounds: int, seed: int) -> F64:
    """Returns, block by block, the share that an arm which has just joined gets of the requests for which it is
    best."""
    old = LinearWorld.make(seed, arms=12, candidates=12, d_p=0)
    old = replace(old, weights=0.4 * old.weights)  # small enough that few true rates are clipped at 0 or 1
    rng = np.random.default_rng([seed, 6])
    features = np.concatenate([old.catalogue.features, rng.normal(size=(4, 4)).astype(np.float32)])
    ids = (*old.catalogue.ids, *(f"new-{i}" for i in range(4)))
    world = replace(old, catalogue=Catalogue(ids=ids, features=features, digest="grown"), candidates=16)
    learner, shares = policy.learn([old.log(4000, seed, ragged=False)], seed=seed), []
    for _ in range(0, rounds, BLOCK):
        batch = world.requests(BLOCK, rng, ragged=False)
        rows, best = np.arange(BLOCK), world.expected(batch).argmax(axis=1)
        fair = batch.arm[rows, best] >= 12
        shares.append(learner.pmf(batch)[rows, best][fair].mean() if fair.any() else np.nan)
        learner = learner.update([play(learner, world, batch, rng)])
    return np.array(shares)


def news(policy: Bayesian, *, rounds: int, seed: int) -> F64:
    """Value of the policy as a share of the best policy's, block by block, where arms live for minutes: a front page of
    eight articles, of which the oldest leaves after each block and never comes back. Who learns from features is
    brought the articles by the request; who has a head per arm is given a catalogue of them, anew for each block, so
    that it knows an article by its id for as long as that lives."""
    world, rng = LinearWorld.make(seed, arms=1, candidates=FRONT_PAGE, d_p=0), np.random.default_rng([seed, 7])
    blocks, by_id = rounds // BLOCK, policy.parameters["heads"] == "per_arm"
    written = rng.normal(size=(blocks + FRONT_PAGE, 4)).astype(np.float32)
    learner, shares = policy, []
    for now in range(blocks):
        ids = tuple(f"article-{now + i}" for i in range(FRONT_PAGE))
        page = Catalogue(ids=ids, features=written[now : now + FRONT_PAGE], digest=f"page-{now}")
        brought = Catalogue(ids=(), features=page.features[:0], digest="none").with_inline(ids, page.features)
        world = replace(world, catalogue=page)
        batch = replace(world.requests(BLOCK, rng, ragged=False), catalogue=page if by_id else brought)
        truth = world.expected(batch)
        pmf = learner.pmf(batch) if now else np.full(truth.shape, 1 / FRONT_PAGE)
        base, best = truth.mean(axis=1).mean(), truth.max(axis=1).mean()
        shares.append(((pmf * truth).sum(axis=1).mean() - base) / (best - base))
        block = [play(learner if now else Uniform(), world, batch, rng)]
        learner = learner.update(block) if now else policy.learn(block, seed=seed)
    return np.array(shares)


TRIALS: dict[str, Any] = {
    "flip": (flip, 8000, {"never forgets": LinTS(), "half-life 1,000 rows": LinTS(half_life=1000.0),
                          "half-life 300 rows": LinTS(half_life=300.0)}),
    "newcomers": (newcomers, 3000, {"shared, by features": LinTS(), "a head per arm": LinTS(heads="per_arm")}),
    "news": (news, 4000, {"by features": LinTS(), "by ids": LinTS(heads="per_arm")}),
}  # fmt: skip


def curves(trial: str, *, seeds: int) -> dict[str, F64]:
    """Mean over seeds, a value a block."""
    run, rounds, policies = TRIALS[trial]
    return {
        name: np.nanmean([run(policy, rounds=rounds, seed=seed) for seed in range(seeds)], axis=0)
        for name, policy in policies.items()
    }


def main(folder: Path, trials: Collection[str] = (), seeds: int = 10) -> None:
    """Draws the pictures of these trials, or of all, into `folder`. Raises ValueError for one that there is none of."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "croupier", "font.size": 9})
    labels = {"flip": "share of the best value", "newcomers": "share of rightful impressions",
              "news": "share of the best value"}  # fmt: skip
    if odd := sorted(set(trials) - labels.keys()):
        raise ValueError(f"trial: found {odd[0]!r}, expected {', '.join(labels)}")
    for trial in trials or labels:
        figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
        for name, curve in curves(trial, seeds=seeds).items():
            smooth = np.convolve(curve, np.ones(5) / 5, mode="valid")
            axes.plot(np.arange(len(smooth)) * BLOCK, smooth, label=name)
            print(f"{trial:10s} {name:22s} " + " ".join(f"{x:.2f}" for x in smooth[:: max(1, len(smooth) // 12)]))
        axes.set(xlabel="decisions", ylabel=labels[trial])
        axes.axhline(1, color="#999", lw=0.8, ls=":")
        axes.legend(frameon=False)
        figure.savefig(folder / f"{trial}.svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
