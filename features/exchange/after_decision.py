"""Context columns of a sample that no decision can have known: outcomes, and features of the arm that was shown.

An outcome among the features makes every off-policy estimate wrong: `init` leaves such columns out and says why. The
gate tests for them again, on the whole log (models/ope/leaks).
"""

from collections.abc import Sequence
from math import log
from typing import Any

import numpy as np

from croupier.features.exchange.record import Record

FEW = 20  # rows that a value must have before it can be said to tell anything
LEAST = 300  # rows of a sample: of fewer nothing is said
SURE = 0.98  # share of rows in which a column goes with the reward, or with the arm, to be taken for it
CHANCE = log(1e-9)  # of all draws together: a policy without chance may well follow a feature
EVEN = 0.05  # p K this near to 1: an even draw, whose p is the number of candidates
ALIKE = 0.999  # rank correlation from which two columns order rows alike, but for rounding
CORRELATED = 0.9  # |r| of a number and the reward


def known_too_late(name: str, records: Sequence[Record]) -> str:
    """Why the context column `name` cannot have been known before the decision; "" if nothing says so."""
    if len(records) < LEAST:
        return ""
    values = [record.decision.context.get(name) for record in records]
    rewards = np.array([sum(r.value for r in record.rewards) for record in records])
    filled = np.array([_filled(value) for value in values])
    if why := _of_the_reward(values, filled, rewards):
        return f"left out: {why}, so it is an outcome and cannot have been known before the decision"
    if _of_the_draw(values, records):
        return "left out: it goes with the probability of the arm that was shown, which nobody knows before the draw"
    drawn = sum(log(record.decision.propensity) for record in records)
    if drawn < CHANCE and _of_the_arm(values, [record.decision.arm for record in records]):
        return (
            "left out: its value follows from the arm that was shown, so it is a feature of that arm: put it into the "
            "catalogue, or log it for every candidate as arm_context"
        )
    return ""


def _filled(value: object) -> bool:
    return value is not None and value not in ("", [])


def _of_the_reward(values: Sequence[Any], filled: Any, rewards: Any) -> str:
    came = rewards != _usual(rewards)
    if FEW <= int(filled.sum()) < len(values) and came[filled].mean() >= SURE and came.mean() < 0.9:
        return f"it is filled in {int(filled.sum())} rows, and {came[filled].mean():.0%} of these had a reward"
    if word := _tells(values, filled, came):
        return f"its value {word!r} comes with a reward alone"
    numbers = np.array([_number(value) for value in values])
    there = np.isfinite(numbers)
    if there.sum() >= 3 * FEW and numbers[there].std() > 0 and rewards[there].std() > 0:
        r = float(np.corrcoef(numbers[there], rewards[there])[0, 1])
        if abs(r) >= CORRELATED:
            return f"it goes with the reward (r = {r:.2f})"
    return ""


def _tells(values: Sequence[Any], filled: Any, came: Any) -> str:
    """A word that comes with rewards alone, more often than chance has it; "" if there is none."""
    told = zip(values, filled, strict=True)
    words = np.array([str(value) if isinstance(value, str | bool) and there else "" for value, there in told])
    share = float(came.mean())
    if not 0 < share < 0.9:
        return ""
    for word, n in zip(*np.unique(words[came], return_counts=True), strict=True):
        if word and n >= FEW and n * log(share) < CHANCE and came[words == word].mean() >= SURE:
            return str(word)
    return ""


def _of_the_draw(values: Sequence[Any], records: Sequence[Record]) -> bool:
    """True if a number orders rows as the drawn arm's probability does, on rows where the draw was uneven (the gate
    asks the same of every log: models/ope/leaks/drawn_probability.py)."""
    p = np.array([record.decision.propensity for record in records])
    chance = p * np.array([len(record.decision.arms) for record in records])
    numbers = np.array([_number(value.rstrip(" %") if isinstance(value, str) else value) for value in values])
    rows = np.isfinite(numbers) & (np.abs(chance - 1.0) > EVEN)
    if min(int((chance[rows] > 1.0).sum()), int((chance[rows] < 1.0).sum())) < FEW or np.ptp(numbers[rows]) == 0:
        return False
    return bool(abs(float(np.corrcoef(_ranks(numbers[rows]), _ranks(p[rows]))[0, 1])) >= ALIKE)


def _ranks(numbers: Any) -> Any:
    """Ranks, equal numbers sharing their mean one."""
    _, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def _of_the_arm(values: Sequence[Any], arms: Sequence[str]) -> bool:
    """True if every arm has a value of its own: the column says of the arm, not of the request."""
    by_arm: dict[str, dict[str, int]] = {}
    for value, arm in zip(values, arms, strict=True):
        if _filled(value):
            seen = by_arm.setdefault(arm, {})
            seen[str(value)] = seen.get(str(value), 0) + 1
    often = {arm: seen for arm, seen in by_arm.items() if sum(seen.values()) >= FEW}
    if len(often) < 2:
        return False
    usual = {arm: max(seen, key=seen.__getitem__) for arm, seen in often.items()}
    rows = sum(sum(seen.values()) for seen in often.values())
    same = sum(often[arm][value] for arm, value in usual.items())
    return len(set(usual.values())) > 1 and same >= SURE * rows


def _usual(rewards: Any) -> float:
    found, counts = np.unique(rewards, return_counts=True)
    return float(found[counts.argmax()])


def _number(value: object) -> float:
    """The value as a number; NaN where it is none."""
    if isinstance(value, bool | int | float):
        return float(value)
    try:
        return float(value) if isinstance(value, str) else float("nan")
    except ValueError:
        return float("nan")
