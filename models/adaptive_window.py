"""How far back a training should look: to the last change, where there was one.

An adaptive window in the sense of ADWIN (Bifet & Gavaldà 2007, "Learning from Time-Changing Data with Adaptive
Windowing"), with the error of a cheap model in place of a mean, since tastes can turn while the mean reward stays. The
latest rows are held out; the reward model of the gate (a ridge, models/ope/reward_model.py) learns from ever longer
stretches of what came before them; and the whole window is shortened only if some shorter stretch predicts the latest
rows better by more than CERTAIN standard errors of the paired difference of squared errors, and then to the longest
stretch that the best one does not better by as much, nor by more than a third of what it betters the whole by. Rows are
dear, and what was shown under an earlier release, which a straight model reads with another error, is no change of the
users. The choice is made anew at each training, so that a window that was cut grows again with every day.
"""

from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64, Interactions
from croupier.models.ope.reward_model import RewardModel

LATEST = (2000, 8000)  # held-out rows: few see a change soon, many still see it when half of the window is new
LEAST = 500  # fewer held-out rows say too little; no more than a fifth of the log is
FIT_ROWS = 10_000  # a stretch longer than this is fitted on evenly spaced rows of it
GROWTH = 1.2  # each stretch is longer than the one before by this factor
CERTAIN = 4.0  # standard errors; about 40 stretches are tried at each training
CLOSE = 1 / 3  # of what the best stretch betters the whole by, where that is hardly certain


@dataclass(frozen=True, kw_only=True)
class Choice:
    """`since` is UTC µs: rows from then on are learnt from (0: all). `better` is by how many standard errors the chosen
    stretch predicts the latest rows better than the whole window does; 0 where all rows are kept. Rows before `changed`
    (UTC µs; 0: none), where health saw the users change, count `weight` times what they do else."""

    since: int
    better: float
    changed: int = 0
    weight: float = 1.0


def choose(log: Interactions) -> Choice:
    """Where training on `log` (rows in the order of time) should begin."""
    sizes = sorted({min(rows, len(log) // 5) for rows in LATEST})
    return max((_choose(log, held_out) for held_out in sizes), key=lambda choice: choice.better)


def _choose(log: Interactions, held_out: int) -> Choice:
    """The choice by the latest `held_out` rows."""
    past, latest = log[: len(log) - held_out], log[len(log) - held_out :]
    lengths = _lengths(len(past))
    if held_out < LEAST or not lengths or np.ptp(latest.reward) == 0:
        return Choice(since=0, better=0.0)
    whole = _errors(past, latest)
    found = [_errors(past[len(past) - length :], latest) for length in lengths]
    best = found[int(np.argmin([errors.mean() for errors in found]))]
    better = float(_standard_errors(whole - best))
    if better <= CERTAIN:
        return Choice(since=0, better=0.0)
    close = min(CERTAIN, better * CLOSE)
    longest = max(i for i, errors in enumerate(found) if _standard_errors(errors - best) <= close)
    return Choice(since=int(past.at[len(past) - lengths[longest]]), better=better)


def _lengths(rows: int) -> list[int]:
    """Rows of each stretch to try, the shortest first; the longest is somewhat shorter than all."""
    most = rows / GROWTH
    steps = int(np.log(most / LEAST) / np.log(GROWTH)) + 1 if most >= LEAST else 0
    return [round(LEAST * GROWTH**step) for step in range(steps)]


def _errors(past: Interactions, latest: Interactions) -> F64:
    """Returns (n,) squared errors of what a model of `past` says of the latest rows' shown arms."""
    every = -(-len(past) // FIT_ROWS)
    seen = past[::every]
    if np.ptp(seen.reward) == 0:
        return np.asarray(np.square(latest.reward - seen.reward[0]), dtype=np.float64)
    predicted = RewardModel.fit(seen).predict(latest.batch)
    errors = latest.reward - predicted[np.arange(len(latest)), latest.chosen]
    return np.asarray(np.square(errors), dtype=np.float64)


def _standard_errors(difference: F64) -> float:
    spread = float(difference.std(ddof=1)) / np.sqrt(len(difference))
    return float(difference.mean()) / spread if spread > 0 else 0.0
