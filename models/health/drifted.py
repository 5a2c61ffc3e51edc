"""What became of a feature that drifts: frozen, scaled, swapped with another, a category renamed, or moved."""

from dataclasses import dataclass

import numpy as np

from croupier.features.batch import F64
from croupier.features.health.sketch import RATIO, middle
from croupier.features.utc import HOUR
from croupier.models.health.history import FeatureHours
from croupier.models.health.season import DAY_HOURS, View
from croupier.models.health.symptom import Told

DRIFT = "feature_drift"
LATER = 3  # hours by which the estimate of the beginning may be early
SOME = 20  # values, without which no scale is named (of those that are not zero), nor what freezes anew each hour
ENOUGH = 50  # values, without which a later beginning names nothing
PSI = 0.1  # population-stability index, less what chance adds, beyond which a drift is acted on
ALIKE, APART = 0.3, 0.4  # total variation of two histograms that are, and are not, the same
FARTHEST = 60  # steps of the sketch a scale is looked for: a factor of 56,000


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares of a feature's bins since the change, and in the same hours of the baseline; `n`, `N`: values; `alone`:
    the share of each hour's most frequent value, since the change and in those hours of the baseline."""

    keys: tuple[str, ...]
    now: F64
    before: F64
    n: float
    N: float
    alone: tuple[float, float] = (0.0, 0.0)

    @property
    def psi(self) -> float:
        """Σ (p − q) log(p/q) over the bins, less (B − 1)(1/n + 1/N), which equal distributions have on average."""
        p, q = (x + 1e-4 for x in (self.now, self.before))
        chance = (np.count_nonzero(self.before) - 1) * self.noise
        return float(((p - q) * np.log(p / q)).sum() - chance)

    @property
    def noise(self) -> float:
        """1/n + 1/N: the index of equal distributions over it is χ², of B − 1 degrees of freedom."""
        return 1 / max(self.n, 1) + 1 / max(self.N, 1)

    @property
    def certain(self) -> float:
        """The index less three standard deviations of what chance gives."""
        return self.psi - 3 * float(np.sqrt(2 * max(np.count_nonzero(self.before) - 1, 1))) * self.noise


def shares(view: View, feature: FeatureHours, since: int) -> Shares:
    """Returns the shares since the `since`-th recent hour."""
    edge = view.m * view.P
    hours = set((view.history.start[edge + since :] // HOUR % DAY_HOURS).tolist())
    same = np.isin(view.history.start[:edge] // HOUR % DAY_HOURS, list(hours))
    recent, past = feature.counts[edge + since :], feature.counts[:edge][same]
    now, before = recent.sum(axis=0), past.sum(axis=0)
    n, N = float(now.sum()), float(before.sum())
    alone = _alone(recent), _alone(past)
    return Shares(feature.keys, now / max(n, 1.0), before / max(N, 1.0), n, N, alone)


def _alone(counts: F64) -> float:
    """The share of the values (T, B) that are the most frequent one of their hour."""
    return float(counts.max(axis=1, initial=0.0).sum() / max(float(counts.sum()), 1.0))


def drifted(view: View, name: str, since: int) -> Told:
    """Names what became of the feature, with its population-stability index. The beginning is an estimate, and a sound
    hour among the broken ones hides what they have in common: where nothing is named, later beginnings are tried."""
    first = _drifted(view, name, since)
    if first.cause != DRIFT:
        return first
    later = sorted({*range(since + 1, min(since + LATER, view.R - 1) + 1), view.R - 1} - {since})
    values = view.history.features[name].counts[view.m * view.P :].sum(axis=1)
    told = (_drifted(view, name, start) for start in later if start > since and values[start:].sum() >= ENOUGH)
    return next((t for t in told if t.cause != DRIFT), first)


def _drifted(view: View, name: str, since: int) -> Told:
    found = {other: shares(view, f, since) for other, f in view.history.features.items()}
    mine, feature = found[name], view.history.features[name]
    psi = mine.psi
    cause, says = _named(name, feature, found)
    remedy = _REMEDIES[cause]
    missing = view.recent(feature.rest)[since:]
    if cause == DRIFT and missing[:, 1].sum() > 0.2 * max(missing[:, 0].sum(), 1):
        says, psi = f"{name} is missing in {missing[:, 1].sum() / missing[:, 0].sum():.0%} of its values", np.inf
    serious = cause != DRIFT or min(psi, mine.certain) > PSI or not np.isfinite(psi)
    return Told(cause=cause, number=min(psi, 99.0), threshold=PSI, says=says, remedy=remedy, serious=serious)


def _named(name: str, feature: FeatureHours, found: dict[str, Shares]) -> tuple[str, str]:
    mine = found[name]
    if other := _swapped(name, found):
        return "feature_swapped", f"{name} and {other} are swapped: each has the other's values"
    if feature.type == "categorical" and (pair := _renamed(mine)):
        return "category_renamed", f"{name}: {pair[0]!r} is gone, and as often comes {pair[1]!r}"
    if mine.now.max(initial=0.0) > 0.95 and mine.before.max(initial=0.0) < 0.8:
        return "feature_frozen", f"{name} is frozen: nearly all values are {_value(feature, mine)}"
    if mine.n >= SOME and mine.alone[0] > 0.95 and mine.alone[1] < 0.8:
        return "feature_frozen", f"{name} is frozen: nearly all values of an hour are the same one"
    if feature.type == "numeric" and (ratio := _scaled(mine)):
        return "feature_scaled", f"{name} is ×{ratio:,.3g} of what it was"
    return DRIFT, f"{name} drifts (population-stability index {mine.psi:.2f})"


def _value(feature: FeatureHours, mine: Shares) -> str:
    key = mine.keys[int(mine.now.argmax())]
    if feature.type == "categorical":
        return repr(key)
    return f"about {middle(int(key)):.3g}"


def distance(p: F64, q: F64) -> float:
    """Total variation, ½ Σ |p − q|."""
    return 0.5 * float(np.abs(p - q).sum())


def _swapped(name: str, found: dict[str, Shares]) -> str:
    """The feature whose old values this one has now, and that has this one's; "" where there is none."""
    mine = found[name]
    for other, theirs in found.items():
        if other == name or other.partition(".")[0] != name.partition(".")[0] or not mine.n or not theirs.n:
            continue
        here = _from_other(mine.now, mine.keys, theirs.before, theirs.keys)
        there = _from_other(theirs.now, theirs.keys, mine.before, mine.keys)
        if max(here, there) < ALIKE and distance(mine.now, mine.before) > APART:
            return other
    return ""


def _from_other(p: F64, p_keys: tuple[str, ...], q: F64, q_keys: tuple[str, ...]) -> float:
    """Total variation of two features' histograms over all keys of both."""
    a: dict[str, float] = dict(zip(p_keys, p.tolist(), strict=True))
    b: dict[str, float] = dict(zip(q_keys, q.tolist(), strict=True))
    return 0.5 * float(sum(abs(a.get(key, 0.0) - b.get(key, 0.0)) for key in a.keys() | b.keys()))


def _renamed(mine: Shares) -> tuple[str, str] | None:
    """(old, new): a category that vanished, and one that appeared as often."""
    gone = (mine.before > 0.01) & (mine.now < 0.1 * mine.before)
    new = (mine.before < 0.1 * mine.now) & (mine.now > 0.01)
    if not gone.any() or not new.any():
        return None
    old = int(np.where(gone, mine.before, 0).argmax())
    came = np.where(new, -np.abs(mine.now - mine.before[old]), -np.inf)
    best = int(came.argmax())
    return (mine.keys[old], mine.keys[best]) if abs(mine.now[best] / mine.before[old] - 1) < 0.5 else None


def _scaled(mine: Shares) -> float | None:
    """By what all numbers were multiplied; None where no factor makes the histograms alike. Zeros stay what they are,
    hence say nothing of it."""
    before, now = (_not_zero(mine.keys, x) for x in (mine.before, mine.now))
    values = mine.n * sum(share for key, share in zip(mine.keys, mine.now.tolist(), strict=True) if int(key))
    apart = 0.5 * sum(abs(before.get(k, 0.0) - now.get(k, 0.0)) for k in before.keys() | now.keys())
    if values < SOME or apart < APART:
        return None
    best = min(range(-FARTHEST, FARTHEST + 1), key=lambda d: _moved(before, now, d))
    return float(RATIO**best) if abs(best) >= 3 and _moved(before, now, best) < ALIKE else None


def _not_zero(keys: tuple[str, ...], shares: F64) -> dict[int, float]:
    """Returns bin → its share of the numbers that are not zero."""
    found = {int(k): float(v) for k, v in zip(keys, shares.tolist(), strict=True) if v and int(k)}
    total = sum(found.values())
    return {k: v / total for k, v in found.items()}


def _moved(before: dict[int, float], now: dict[int, float], d: int) -> float:
    """Total variation once every number of the baseline is multiplied by RATIO^d."""
    moved = {k + d * (1 if k > 0 else -1): v for k, v in before.items()}
    return 0.5 * sum(abs(moved.get(k, 0.0) - now.get(k, 0.0)) for k in moved.keys() | now.keys())


_REMEDIES = {
    "feature_swapped": "look at the code that fills both in requests; until it is mended, `croupier rollout rollback` "
    "serves by an older model no better: correct the client",
    "category_renamed": "send the old name again, or declare the new one and retrain: the encoder knows it as <unk>",
    "feature_frozen": "look at its source: a cache that is not refreshed, a default that stands in for the value",
    "feature_scaled": "look at its unit in the client (seconds or milliseconds, cents or euros), and send the old one",
    DRIFT: "retrain on recent rows if users changed; correct the source if they did not",
}
