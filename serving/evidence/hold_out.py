"""What matured decisions say of a promoted release, against the units that were kept back from it.

As of a candidate (gather.py), with the two sides turned: on trial is the champion, at share 1 − s. Two things differ,
since a watch sees all traffic for weeks:

    rows    the promoted side is thinned, by unit, to nine times the hold-out: the small side decides how much is known,
            so 9 % of the evidence is given up for a tenth of the work (at a hold-out of 1 %)
    wealth  half of it is bet from the beginning, the rest in equal parts from the beginning of each later day. What
            was bet from the beginning has lost much while the release was good, and could not answer for long when it
            turns bad. An average of bets is a bet: expected wealth stays 1 (e-detectors, Shin, Ramdas & Rinaldo 2024,
            are sums of the same).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from croupier.features.batch import F64, I64
from croupier.features.interactions.join import matured
from croupier.features.spec import AppSpec, RewardSpec
from croupier.features.store.storage import Store
from croupier.features.utc import DAY, from_us
from croupier.serving.evidence import betting
from croupier.serving.evidence.comparison import Compared, places
from croupier.serving.release.rollout_state import RolloutState

PROMOTED = 9  # rows of the promoted side, for one that was kept back
GUARDRAILS = 0.1  # their part of `watch_alpha`


def slice_of(share: float | F64) -> F64:
    """Units below it, by the hash that assigns them, are compared."""
    return np.minimum(1.0, (1 + PROMOTED) * np.asarray(share))


def decisions(store: Store, reward: RewardSpec, state: RolloutState, *, now: int) -> pl.DataFrame:
    """The watch's matured interactions of the units compared, in order of time; read a day at a time."""
    began, frames, share = state.history[0]["at"], [], state.stages[0]
    for start in range(began - began % DAY, now + 1, DAY):
        day = matured(store, reward, start=from_us(start), end=from_us(start + DAY), now=from_us(now), late=True)
        day = day.filter(pl.col("release").is_in(state.releases) & (pl.col("at") >= began))
        frames.append(day.filter(pl.Series(places(day["unit_id"], state.salt) < slice_of(share))) if len(day) else day)
    return pl.concat(frames).sort("at")


def turned(rows: Compared) -> Compared:
    """The promoted release on trial, in the place where a candidate stands else, with the share that it has of the
    units compared."""
    return replace(rows, assigned=~rows.assigned, share=1.0 - rows.share / slice_of(rows.share), turned=True)


def levels(spec: AppSpec) -> AppSpec:
    """The errors of a watch, in the place of a rollout's."""
    alpha = spec.rollout.watch_alpha
    own = {"alpha_harm": (1 - GUARDRAILS) * alpha, "alpha_guardrails": GUARDRAILS * alpha, "alpha": alpha}
    return spec.model_copy(update={"rollout": spec.rollout.model_copy(update=own)})


def numbers_of(bets: betting.Bets, rows: Compared, state: RolloutState, spec: AppSpec) -> dict[str, Any]:
    """What a watch says beside, or instead of, what a rollout says; "candidate" is the side on trial."""
    began, days = state.history[0]["at"], spec.rollout.watch_days
    wealth = harm_wealth(bets, rows.log.at, began, days)
    return {"kept": state.kept, "until": began + int(days * DAY), "log_wealth_harm": wealth}


def harm_wealth(bets: betting.Bets, at: I64, began: int, days: float) -> float:
    """Log-wealth against "the promoted release is no worse", of bets from the beginning and from each later day.

    `at` (n,) is the time of each row (UTC µs), `days` the length of the watch."""
    path = np.concatenate([np.zeros((len(betting.HARM_EFFECTS), 1)), _steps(bets).cumsum(axis=1)], axis=1)
    path /= bets.dispersion
    starts = np.unique(np.searchsorted((at - began) // DAY, np.arange(1, int(np.ceil(days)))))
    return float(mixed(path[:, -1], [path[:, i] for i in starts if i < len(at)], days))


def mixed(now: F64, later: Sequence[F64], days: float) -> F64:
    """Log of the whole wealth: `now` (k, …) is the log-wealth of each bet from the beginning, `later` what it was at
    the beginning of each later day. Wealth that is meant for days to come is still whole."""
    most = max(int(np.ceil(days)) - 1, 1)
    weight, rest = 0.5 / most, 0.5 * (1 - min(len(later) / most, 1.0))
    parts = [np.log(0.5) + betting.mix(now), *(np.log(weight) + betting.mix(now - past) for past in later)]
    if rest > 0:
        parts.append(np.full_like(parts[0], np.log(rest)))
    return np.asarray(np.logaddexp.reduce(parts, axis=0))


def _steps(bets: betting.Bets) -> F64:
    steps = [betting.increments(bets.xi, bets.v, bets.scale, e, 0.0, harm=True) for e in betting.HARM_EFFECTS]
    return np.stack(steps)
