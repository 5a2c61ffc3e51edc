"""A candidate that did harm: the rollout has taken it back already, and somebody must know what it had learnt."""

from dataclasses import dataclass

from croupier.features.utc import DAY
from croupier.models.health.history import EXPLORE, History
from croupier.models.health.symptom import ACT, TO_WATCH, Symptom

ACTED_ON = DAY  # after it, it is watched; after a week, or with the next release, it is past
REMEDY = (
    "look at what it was trained on (`croupier gate report`, the data's checks of those hours), and train anew before "
    "another release; nobody is served by it now"
)
SHOWN = 7 * DAY


@dataclass(frozen=True, kw_only=True)
class Harm:
    """Release `release` was taken back at `at` (UTC µs), as `reason` says; what its candidate, and the champion beside
    it, earned a decision (None: not known)."""

    release: int
    at: int
    reason: str
    candidate: float | None = None
    champion: float | None = None


def symptoms(harm: Harm | None, history: History, *, now: int) -> list[Symptom]:
    """Returns what is said of it; nothing a week later."""
    if harm is None or now - harm.at > SHOWN:
        return []
    says = f"the candidate of release {harm.release} did harm and was taken back ({harm.reason})"
    return [
        Symptom(
            watch="rollout",
            about=f"release {harm.release}",
            level=ACT if now - harm.at <= ACTED_ON else TO_WATCH,
            cause="harmful_candidate",
            number=harm.candidate if harm.candidate is not None else 0.0,
            threshold=harm.champion if harm.champion is not None else 0.0,
            since=harm.at,
            says=says + _why(harm, uniform(history)),
            remedy=REMEDY,
        )
    ]


def uniform(history: History) -> float | None:
    """Returns what choosing at random would have earned a decision, by the logged propensities (self-normalised);
    None where that is not known."""
    u, ur, r = history.lift.sum(axis=0)
    n = history.explore[:, EXPLORE.index("n")].sum()
    return float((r - ur) / (n - u)) if n - u > 0 else None


def _why(harm: Harm, chance: float | None) -> str:
    if harm.candidate is None or harm.champion is None:
        return ""
    earned = f": it earned {harm.candidate:.3g} a decision, the champion {harm.champion:.3g}"
    if chance is None or harm.candidate >= chance:
        return earned
    return (
        f"{earned}, choosing at random {chance:.3g}: what it learnt is upside down, as by a feature that was flipped "
        "or swapped before its training, or a reward of the wrong sign"
    )
