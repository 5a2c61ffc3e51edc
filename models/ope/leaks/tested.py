"""Was every feature known before the draw? What was computed after it (the reward itself, a cart total, the price of
the arm that was shown) depends on the arm drawn, and then no estimate on this log means anything.

    telling    a context that all but says what the reward is, whatever the arm (degree.py)
    balance, others, learning, pairs   features that go with the arm drawn (draw.py)
    (a column that is the drawn arm's probability is refused as it stands: drawn_probability.py)
    outcome, never   a number that goes with the reward as one measured later would, a value without any
               reward: stated, not refused (outcome.py)

The drawn arm's propensity is enough for all; those of the draw use the whole pmf where it is known. They hold however
rare an arm is (models/ope/mean_zero.py); what a log is too small for is not tested, and is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from croupier.features.batch import Interactions
from croupier.models.ope.leaks.columns import blind, drawn_arm, likely_pmf, reward_by_arm, suspects_of
from croupier.models.ope.leaks.degree import tells
from croupier.models.ope.leaks.draw import PAIRS_SHARE, P, of_context, others, pairs
from croupier.models.ope.leaks.drawn_probability import of_the_draw
from croupier.models.ope.leaks.outcome import like_an_outcome, never_rewarded
from croupier.models.ope.mean_zero import needed
from croupier.models.ope.self_tests import knows_whole_pmf, rows_drawn_alone
from croupier.models.ope.unchecked import Unchecked

NAME = "features_before_decision"
LEAST_ROWS, MOST_ROWS = 100, 20_000
MOST_VALUES = 8_000_000  # rows × candidates that are looked at
TESTS = ("telling", "balance", "others", "learning", "pairs")


@dataclass(frozen=True, kw_only=True)
class Tested:
    """`p`: p-value that no feature was computed after the draw; `suspect`: the column most suspected, context columns
    first, then those of pairs, −1 where there is none; `unchecked`: the tests that could not be made; `outcome`: the
    column that looks like an outcome, and the share of the reward that it explains beyond all others; (−1, 0): none;
    `never`: the column, and the rows, of a value with which no reward came."""

    p: float
    suspect: int
    unchecked: tuple[Unchecked, ...] = ()
    outcome: tuple[int, float] = (-1, 0.0)
    never: tuple[int, int] = (-1, 0)

    def stated(self, names: Sequence[str]) -> tuple[Unchecked, ...]:
        """What a verdict says of columns that look like an outcome; `names` are those of the columns."""
        (one, share), (other, rows) = self.outcome, self.never
        said = []
        if one >= 0:
            found = f"explains {share:.0%} of what arm and other features leave of the reward"
            found = f"{found}, as a number measured after the decision would"
            said.append(_stated("outcome", _named(one, names), found))
        if other >= 0 and other != one:
            found = f"has a value with which no reward but the usual one came in {rows:,} rows"
            said.append(_stated("never", _named(other, names), f"{found}, as one written after the decision would"))
        return tuple(said)


def _named(column: int, names: Sequence[str]) -> str:
    return names[column] if column < len(names) else f"column {column} of the context"


def _stated(test: str, name: str, found: str) -> Unchecked:
    rest = "whether it is known before, this log cannot show: make sure, or leave it out"
    return Unchecked(name=f"{NAME}:{test}", reason=f"{name} {found}; {rest}", blocks=False)


def tested(log: Interactions) -> Tested:
    """All four tests on at most MOST_ROWS rows. Small p: leave the suspect out, or log it before deciding."""
    each = [_tested(log[rows]) for rows in rows_drawn_alone(log)]
    worst = min(each, key=lambda one: one.p)
    return replace(worst, p=min(1.0, len(each) * worst.p))


def _tested(log: Interactions) -> Tested:
    log = log[: min(MOST_ROWS, MOST_VALUES // log.batch.mask.shape[1])]
    if why := _nothing_to_test(log):
        return why
    if (copy := of_the_draw(log)) >= 0:
        return Tested(p=0.0, suspect=copy)
    found: dict[str, list[P]] = {"balance": [], "learning": [], "others": []}
    outcome, never = (-1, 0.0), (-1, 0)
    suspects = suspects_of(log.batch.context.astype(np.float64), log.reward)
    if suspects:
        unknowing = blind(log, suspects)
        likely = None if knows_whole_pmf(log) else likely_pmf(unknowing)
        reward = reward_by_arm(unknowing)
        if (told := tells(log, reward, likely)) >= 0:
            return Tested(p=0.0, suspect=told)
        found = of_context(log, suspects, reward, likely)
        found["others"] = others(log, suspects, None if likely is None else likely_pmf(_bare(log)))
        outcome = like_an_outcome(log, suspects, reward, likely)
        never = never_rewarded(log, reward, likely)
    return replace(_of_all(log, found, pairs(log)), outcome=outcome, never=never)


def _bare(log: Interactions) -> Interactions:
    """The log without any context."""
    return blind(log, list(range(log.batch.context.shape[1])))


def _of_all(log: Interactions, of_context: dict[str, list[P]], of_pairs: list[P]) -> Tested:
    """The smallest p-value by its share of the level, and what could not be tested."""
    each = of_context | {"pairs": of_pairs}
    reasons = {n: needed(len(log)) for n, all_ in each.items() if all_ and all(one.p is None for one in all_)}
    if "balance" in reasons:
        reasons.pop("others", None)  # the same question, of other columns
    if log.batch.context.shape[1] and len(np.unique(drawn_arm(log))) < 2:
        reasons["telling"] = "only one arm was drawn"
    both = bool(of_context["balance"]) and bool(of_pairs)
    scale = {"pairs": PAIRS_SHARE if both else 1.0}
    worst = [
        (one.p / (one.share * scale.get(name, 1.0 - PAIRS_SHARE if both else 1.0)), one.feature)
        for name, all_ in each.items()
        for one in all_
        if one.p is not None
    ]
    p, suspect = min(worst, default=(1.0, -1))
    return Tested(p=min(1.0, p), suspect=suspect, unchecked=_unchecked(reasons))


def _nothing_to_test(log: Interactions) -> Tested | None:
    """What is said of a log on which no test can be made at all."""
    if log.batch.context.shape[1] + log.batch.pair.shape[2] == 0:
        return Tested(p=1.0, suspect=-1)  # no feature is declared: none can have come too late
    if len(log) < LEAST_ROWS:
        why = Unchecked(name=NAME, reason=f"the log has {len(log)} draws, fewer than {LEAST_ROWS}", blocks=True)
    elif np.all(log.reward == log.reward[0]):
        why = Unchecked(name=NAME, reason=f"every reward is {log.reward[0]:g}", blocks=True)
    else:
        return None
    return Tested(p=1.0, suspect=-1, unchecked=(why,))


def _unchecked(reasons: dict[str, str]) -> tuple[Unchecked, ...]:
    """A test of context features blocks if none of the draw was made: then nothing says that they are older than it.
    The same of pairs."""
    blocks = {"balance": {"balance", "learning"} <= set(reasons), "pairs": True}
    return tuple(
        Unchecked(name=f"{NAME}:{test}", reason=reasons[test], blocks=blocks.get(test, False))
        for test in TESTS
        if test in reasons
    )
