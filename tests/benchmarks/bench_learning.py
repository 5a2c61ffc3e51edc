"""`make bench-learning`: regret of ours beside Vowpal Wabbit's own online exploration at the very same flags.

Data: .npz files with X and y in the folder CROUPIER_DATA, by default ../shared/data beside the repository; what is
absent is said, and scikit-learn's digits are always there. CROUPIER_BENCH_ROUNDS (10,000) and CROUPIER_BENCH_SEEDS (5)
set the size. `ours` and `other` are mean progressive losses; ratio = ours / other, min and max over seeds.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import vowpalwabbit

from croupier.features.batch import F64
from croupier.models.simulation.curves import draw
from croupier.models.simulation.simulate import Problem, contender, problem_of, run
from croupier.models.vw.policy import PRESETS, BilinearPolicy

FOLDER = Path(os.environ.get("CROUPIER_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
ROUNDS = int(os.environ.get("CROUPIER_BENCH_ROUNDS", "10000"))
SEEDS = int(os.environ.get("CROUPIER_BENCH_SEEDS", "5"))
SETS = ("statlog_shuttle", "mushroom", "magic", "letter", "pendigits")


def vw_online(problem: Problem, flags: str, seed: int) -> F64:
    """Loss of each round of VW itself: predict, draw, learn, round by round."""
    vw = vowpalwabbit.Workspace(f"{flags} --cb_type mtr -q UA --quiet")
    rng, losses, K = np.random.default_rng([seed, 3]), [], problem.means.shape[1]
    arms = [f"|A a{k}:1" for k in range(K)]
    for t, x in enumerate(problem.contexts):
        shared = "shared |U " + " ".join(f"c{i}:{v:.9g}" for i, v in enumerate(x.tolist()) if v)
        pmf = vw.predict([shared, *arms])
        arm = min(int((np.cumsum(pmf) < rng.random()).sum()), K - 1)
        cost = 1.0 - problem.means[t, arm]
        losses.append(cost)
        lines = [shared, *arms]
        lines[arm + 1] = f"0:{cost:g}:{pmf[arm]:.9g} {lines[arm + 1]}"
        vw.learn(lines)
    vw.finish()
    return np.array(losses)


def rows() -> list[dict[str, Any]]:
    files = [path if (path := FOLDER / f"{name}.npz").exists() else None for name in SETS]
    if None in files:
        print(f"bench-learning: {files.count(None)} of {len(SETS)} data sets are not in {FOLDER} (set CROUPIER_DATA)")
    measured, panels = [], {}
    for file in (None, *(file for file in files if file)):
        name, make_problem = problem_of(file, reward="class", wheel=None, rounds=ROUNDS)
        problems = [make_problem(np.random.default_rng([seed, 1])) for seed in range(SEEDS)]
        default = [vw_online(p, "--cb_explore_adf --epsilon 0.05", seed) for seed, p in enumerate(problems)]
        lines = panels[name] = {"VW, ε .05": _sums(default)}
        for preset in PRESETS:
            flags = BilinearPolicy(preset=preset).flags
            other = [vw_online(p, flags, seed) for seed, p in enumerate(problems)]
            ours = [run(contender(preset, p), p, seed=seed)[1] for seed, p in enumerate(problems)]
            lines[preset] = _sums(ours)
            measured += [
                _row(f"{preset} against VW online", name, ours, other, "<= 1.02"),
                _row(f"{preset} against VW's default", name, ours, default, "< 1"),
            ]
    picture = Path(__file__).resolve().parents[2] / "var" / "bench" / "learning.svg"
    draw(panels, ROUNDS, picture, label="loss so far, mean over seeds")
    print(f"bench-learning: curves in {picture}")
    return measured


def _sums(losses: list[F64]) -> list[float]:
    """Of loss so far, mean over seeds, at a hundred rounds."""
    found: list[float] = np.mean(losses, axis=0).cumsum()[:: max(1, ROUNDS // 100)].tolist()
    return found


def _row(name: str, workload: str, our: list[F64], their: list[F64], target: str) -> dict[str, Any]:
    ours, other = ([losses.mean() for losses in each] for each in (our, their))
    ratios = np.array(ours) / np.array(other)
    ratio = float(np.mean(ours) / np.mean(other))
    return {
        "name": name,
        "workload": f"{workload}, {ROUNDS:,} rounds",
        "ours": float(np.mean(ours)),
        "other": float(np.mean(other)),
        "unit": "loss",
        "ratio": ratio,
        "ratio_min": float(ratios.min()),
        "ratio_max": float(ratios.max()),
        "rounds": SEEDS,
        "target": target,
        "met": ratio <= 1.02 if target.startswith("<=") else ratio < 1,
    }
