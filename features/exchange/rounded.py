"""Probabilities as people write them, with few digits, made whole: a pmf that sums to 1, and the propensity in it.

    [0.33, 0.33, 0.33]                  →  a third each: three roundings to two digits can lose .01
    [0.5, 0.3, 0.1]                     →  as it is, for the check to refuse: no rounding loses .1
    [0.3333, 0.3333, 0.3334], p = 0.33  →  p = 0.3333, which has more digits
    p = 0.33 alone, of three arms       →  a third each, if all rows say so: the arms not drawn would else be a little
                                           likelier. Of a log with .34, .33 and .33 they are what they are

A rounding to d digits is off by at most 0.5·10^-d, and the sum of n of them by n times that. One digit counts as two,
since people write 0.50 as 0.5.
"""

from collections.abc import Iterable, Sequence

LEAST_DIGITS, MOST_DIGITS = 2, 6  # a number of more digits than six has all that it ever had
FLOAT32 = 6e-8  # a number of few digits that was kept as float32 is off by this share of it
UNSEEN = 1e-6  # an entry's error that six digits and float32 bring with them, of which nothing is said
EXACT = 1e-7  # a sum this near to 1 is 1
SLACK = 1e-9  # of sums and differences of floats
SURE = 0.98  # of the rows: beyond, what is otherwise are slips
EVEN = 0.05  # by which share an entry may differ from 1/K and still be taken for it: .01 of 80 arms may be meant so


class Rounding:
    """Makes the probabilities of one pass over a log whole, and counts the rows in which they were not. `evenly`: a
    propensity that rounding explains may be 1/K, since all of the log are."""

    def __init__(self, *, evenly: bool = True) -> None:
        self.evenly = evenly
        self.clear()

    def clear(self) -> None:
        """Begins a pass."""
        self.sums = self.propensities = self.even = self.certain = 0
        self.worst = 0.0  # by which share of itself a shown arm's probability may be off

    def whole(
        self, pmf: Sequence[float], arms: Sequence[str], arm: str, propensity: float
    ) -> tuple[tuple[float, ...], float]:
        """Returns the pmf, summing to 1, and the shown arm's entry, where rounding explains that they did not or that
        the two differed. What it does not explain stays as it is, for `record.checked` to refuse."""
        total, unseen, step, own_step = sum(pmf), UNSEEN * len(pmf), half_step(pmf), half_step([propensity])
        if arm not in arms or len(pmf) != len(arms):
            return tuple(pmf), propensity
        place = arms.index(arm)
        off, gap = abs(total - 1.0), abs(pmf[place] - propensity)
        if not (off <= max(len(pmf) * step, unseen) + SLACK and gap <= max(step + own_step, 2 * unseen) + SLACK):
            return tuple(pmf), propensity
        self.certain += 1.0 <= propensity <= 1.0 + UNSEEN and len(arms) > 1
        if off <= EXACT and gap <= 2 * unseen:
            return tuple(pmf), pmf[place]
        entry = propensity if own_step < step and gap > 2 * unseen else pmf[place] / total
        self.sums += off > unseen
        self.propensities += gap > 2 * unseen
        if max(off, gap / 2) > unseen and entry > 0:
            self.worst = max(self.worst, min(step, own_step) / entry)
        return _with_entry(pmf, place, entry), entry

    def spread(self, arms: Sequence[str], arm: str, propensity: float) -> tuple[tuple[float, ...], float]:
        """Returns a pmf of which only the shown arm's entry is known, and that entry: the rest is spread evenly over
        the others. Where rounding explains that the entry is not 1/K of K arms, and it is near it, all are 1/K."""
        self.certain += 1.0 <= propensity <= 1.0 + UNSEEN and len(arms) > 1
        if not self.evenly or not is_even(propensity, len(arms)):
            return spread(arms, arm, propensity), propensity
        self.even += abs(propensity * len(arms) - 1.0) > UNSEEN
        return (1.0 / len(arms),) * len(arms), 1.0 / len(arms)

    def said(self) -> list[str]:
        """Sentences for the account of an import; none where nothing was rounded, or certain."""
        why = ", as rounding explains"
        sums = f"rows whose probabilities do not sum to 1{why}: {self.sums:,}; each was divided by their sum"
        entries = "rows whose propensity differs from the shown arm's entry among all probabilities"
        entries += f"{why}: {self.propensities:,}; the one of more digits was taken"
        worst = f"a propensity of theirs is off by up to {self.worst:.1%} of itself: write more digits, if you can"
        even = f"rows whose propensity is 1/K of their K candidates{why}: {self.even:,}; 1/K was taken"
        said = [sums] * bool(self.sums) + [entries] * bool(self.propensities)
        sure = "rows whose shown arm had probability 1, though there were other candidates: "
        sure += f"{self.certain:,}; they say nothing of what the others would have earned"
        return [*said, *[worst] * bool(said), *[even] * bool(self.even), *[sure] * bool(self.certain)]


def is_even(propensity: float, arms: int) -> bool:
    """True if rounding explains that a propensity is not 1/K of K arms, and it is near it."""
    off = abs(propensity - 1.0 / arms)
    return bool(propensity) and off <= min(half_step([propensity]), EVEN / arms) + SLACK


def all_even(rows: Iterable[tuple[float, int]]) -> bool:
    """True if as good as all propensities of a log, each with its number of arms, are 1/K of K arms, rounded."""
    told = [is_even(p, arms) for p, arms in rows]
    return sum(told) >= SURE * len(told)


def explains(pmf: Sequence[float]) -> bool:
    """True if the sum differs from 1 by no more than the rounding of the entries can come to."""
    return abs(sum(pmf) - 1.0) <= len(pmf) * half_step(pmf) + SLACK


def half_step(numbers: Sequence[float]) -> float:
    """The most by which each was rounded: 0.5·10^-d, d the digits behind the point that all of them have at most."""
    for digits in range(LEAST_DIGITS, MOST_DIGITS):
        if all(abs(round(x, digits) - x) <= FLOAT32 * abs(x) for x in numbers):
            return float(0.5 * 10.0**-digits)
    return float(0.5 * 10.0**-MOST_DIGITS)


def spread(arms: Sequence[str], arm: str, propensity: float) -> tuple[float, ...]:
    """A pmf of which only the chosen arm's entry is known: the rest evenly over the others."""
    if len(arms) == 1:
        return (1.0,)
    rest = (1.0 - propensity) / (len(arms) - 1)
    return tuple(propensity if a == arm else rest for a in arms)


def _with_entry(pmf: Sequence[float], place: int, entry: float) -> tuple[float, ...]:
    """The pmf with this entry, the others in their proportions."""
    rest = sum(pmf) - pmf[place]
    by = (1.0 - entry) / rest if rest > 0 else 0.0
    return tuple(entry if i == place else q * by for i, q in enumerate(pmf))
