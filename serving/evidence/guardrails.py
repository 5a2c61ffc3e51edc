"""What a candidate must not make worse, however much it earns: decisions that fell back, slow ones, other rewards.

Each is a bet on harm (betting.py), and all share one error: with k of them each must win k/α (Bonferroni).
A guardrail may allow a little: "p99 within the limit" allows 1 % of decisions to be slower.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.features.batch import F64, Bool
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.serving.evidence import betting

SLOW_SHARE = 0.01  # of decisions: what lies beyond a p99


@dataclass(frozen=True, kw_only=True, eq=False)
class Guardrail:
    """`value` (n,) of each decision in time order, more is better, nan where it was not measured; `width` of its range.
    Decisions of one `cluster` (n,) share their luck; the candidate may be worse by `allowed`. `says`: what it is. Where
    there is a `margin`, it must be shown before the last step that the candidate loses less than that a decision."""

    value: F64
    width: float
    cluster: NDArray[np.uint64]
    allowed: float = 0.0
    says: str = ""
    margin: float | None = None


def slowness(took_us: NDArray[np.int64], at: NDArray[np.int64], assigned: Bool, limit_ms: float) -> Guardrail:
    """Bets that more than 1 % is slower than `limit_ms`, beyond what the champion has of that too. A busy machine slows
    both.

    `took_us` (n,), 0: not measured; decisions of one batch have one time `at`, and were waited for together."""
    known = took_us > 0
    value = np.where(known, -(took_us > 1000 * limit_ms).astype(np.float64), np.nan)
    p99 = [_p99_ms(took_us[known & who]) for who in (assigned, ~assigned)]
    says = f"p99 {p99[0]:.1f} against {p99[1]:.1f} ms, limit {limit_ms:g} ms"
    return Guardrail(value=value, width=1.0, cluster=at.astype(np.uint64), allowed=SLOW_SHARE, says=says)


def judged(
    guardrails: Mapping[str, Guardrail], assigned: Bool, share: F64, *, alpha: float, alpha_safe: float = 0.02
) -> dict[str, Any]:
    """Returns by name the means of either side, the log-wealth of the bet on harm and what it must reach, and whether
    it is `within` its margin, where it has one. All of them must be: that each is shown at `alpha_safe` is enough."""
    levels = float(np.log(len(guardrails) / alpha)), float(np.log(1 / alpha_safe))
    return {name: _judged(guard, assigned, share, *levels) for name, guard in guardrails.items()}


def unproven(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The guardrails that are not shown to be within their margin, of those that have one."""
    return [name for name, guard in found.items() if not guard.get("within", True)]


def harm_bets(guard: Guardrail, assigned: Bool, share: F64) -> betting.Bets:
    """Over the decisions in which it was measured."""
    known = np.isfinite(guard.value)
    return betting.bets(assigned[known], share[known], guard.value[known], guard.cluster[known], width=guard.width)


def _judged(guard: Guardrail, assigned: Bool, share: F64, level: float, safe: float) -> dict[str, Any]:
    bets = harm_bets(guard, assigned, share)
    wealth = float(bets.log_wealth(-guard.allowed, harm=True)[-1])
    proven: dict[str, Any] = {}
    if guard.margin is not None:
        shown = float(bets.log_wealth(-guard.margin, harm=False)[-1])
        proven = {"margin": guard.margin, "log_wealth_safe": shown, "within": bool(shown >= safe)}
    return proven | {
        CANDIDATE: _mean(guard.value[assigned]),
        CHAMPION: _mean(guard.value[~assigned]),
        "says": guard.says,
        "log_wealth_harm": wealth,
        "level": level,
        "harm": wealth >= level,
    }


def _mean(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0


def _p99_ms(took_us: NDArray[np.int64]) -> float:
    return float(np.quantile(took_us, 0.99)) / 1000 if len(took_us) else 0.0
