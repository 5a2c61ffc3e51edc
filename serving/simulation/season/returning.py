"""Units that return: how often their counts look as if the split were wrong, when only the candidate is liked."""

import numpy as np

from croupier.features.batch import F64
from croupier.features.spec import RolloutSpec
from croupier.serving.evidence import sample_ratio

UNITS = 40_000
COMES, RETURNS = 0.4, 0.5  # a unit comes in a stage; it returns in the next, if it came in the one before


def alarms(spec: RolloutSpec, *, runs: int, more: float, seed: int = 0) -> dict[str, float]:
    """Returns the share of rollouts held by their counts, if each stage counts who comes, and if only newcomers count.
    Units that saw the candidate return `more` often, relative."""
    rng, stages = np.random.default_rng([seed, runs, 4]), spec.stages[:-1]
    edges = np.diff([0.0, *stages, 1.0])
    units = rng.multinomial(UNITS, edges, size=runs).T  # (groups of places, runs)
    new, came = units.copy(), np.zeros_like(units)
    held = {"each_stage_anew": np.zeros(runs, bool), "newcomers": np.zeros(runs, bool)}
    level, before = np.log(len(spec.stages) / sample_ratio.ALPHA), 0
    for stage, share in enumerate(stages):
        seen = np.arange(len(units)) < before  # who saw the candidate in the stage before
        again = rng.binomial(came, np.minimum(RETURNS * np.where(seen, 1 + more, 1.0), 1.0)[:, None])
        first = rng.binomial(new, COMES)
        new, came, before = new - first, again + first, stage + 1
        for name, counted in (("each_stage_anew", came), ("newcomers", first)):
            held[name] |= _off(counted.astype(np.float64), before, share) >= level
    return {name: float(which.mean()) for name, which in held.items()}


def _off(counted: F64, groups: int, share: float) -> F64:
    return sample_ratio.log_bayes_factor(counted[:groups].sum(axis=0), counted[groups:].sum(axis=0), share)
