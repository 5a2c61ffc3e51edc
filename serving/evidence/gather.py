"""What matured decisions say of a candidate, against the champion that served beside it.

who             was assigned to whom (comparison.py); in shadow, nobody to the candidate (shadow.py)
benefit, harm   bets (betting.py) on the difference of doubly robust rewards (dr_rewards.py), over whole seasons
                (difference.py, seasons.py)
guardrails      the same for fallbacks, latency and other kinds of reward (serving/evidence/guardrails.py)
hold-out        after 100 % the promoted release is on trial (serving/evidence/hold_out.py)
integrity       unit counts, the propensities of either role, roles as assigned, freshness (integrity.py), rewards
                that are late for one role (lateness.py)
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from croupier.features.batch import F64, Bool
from croupier.features.declared.within import within
from croupier.features.interactions.guardrail_totals import of_kind
from croupier.features.interactions.join import matured
from croupier.features.schema import APPRENTICE, CANDIDATE, CHAMPION, SHADOW
from croupier.features.spec import AppSpec
from croupier.features.store.storage import Store
from croupier.features.utc import from_us
from croupier.serving.decide.scoring import TOO_LATE
from croupier.serving.evidence import difference, hold_out, lateness
from croupier.serving.evidence.comparison import Compared, compared, decisions, failed, unit_counts
from croupier.serving.evidence.dr_rewards import earlier, late_counted, scores
from croupier.serving.evidence.guardrails import Guardrail, judged, slowness, unproven
from croupier.serving.evidence.integrity import late_by_role, stale, untrusted
from croupier.serving.evidence.shadow import shadowed
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.rollout_state import RolloutState
from croupier.serving.release.stage_rule import RolloutEvidence, is_last


def gather(store: Store, spec: AppSpec, state: RolloutState, release: LoadedRelease, *, now: int) -> RolloutEvidence:
    """Gathers everything matured by `now` (UTC µs) since the rollout began. Reads only; equal inputs give equal
    evidence."""
    frame = decisions_of(store, spec, state, now=now)
    problems = stale(frame, spec, state, now)
    if state.stage == SHADOW:
        return shadowed(by_policies(frame).filter(pl.col("stage") == SHADOW), release, problems)
    rows = rows_of(frame, state, release)
    if rows is None:
        return RolloutEvidence(problems=tuple(problems), numbers={"decisions": 0})
    spec = hold_out.levels(spec) if state.kept else spec
    problems += untrusted(rows, state) + outside("rewards", rows.log.reward, spec.reward.range)
    late = late_by_role(rows, state)
    score = scores(rows, spec.reward, earlier(store, state, release))
    honest = late_counted(rows, score, spec.reward) if late else score
    found = difference.judged(rows, score, honest, state, spec, now=now)
    numbers, harms, problems = _numbers(rows, state) | dict(found.numbers), list(found.harms), problems + late
    if state.kept:
        numbers |= hold_out.numbers_of(difference.bets_of(rows, honest, spec), rows, state, spec)
        harms = ["reward"] * bool(numbers["log_wealth_harm"] >= np.log(1 / spec.rollout.alpha_harm))
    numbers["guardrails"] = _guardrails(store, spec, state, rows, problems, now=now)
    harms += [_named(name, guard) for name, guard in numbers["guardrails"].items() if guard["harm"]]
    return RolloutEvidence(
        decisions=found.decisions,
        safe=found.safe and not (is_last(state) and unproven(numbers["guardrails"])),
        seasons=found.seasons,
        latest=found.latest,
        suspected=found.suspected,
        harms=tuple(harms),
        problems=tuple(problems),
        numbers=numbers,
    )


def decisions_of(store: Store, spec: AppSpec, state: RolloutState, *, now: int) -> pl.DataFrame:
    """The matured decisions that are compared, in order of time: of a rollout, or of the watch that follows one."""
    of = hold_out.decisions if state.kept else decisions
    return of(store, spec.reward, state, now=now)


def rows_of(frame: pl.DataFrame, state: RolloutState, release: LoadedRelease) -> Compared | None:
    """Returns the decisions in which both sides served, on trial the candidate, or the promoted release; None before
    there are any."""
    rows = compared(by_policies(frame), state, release)
    return hold_out.turned(rows) if rows is not None and state.kept else rows


def by_policies(frame: pl.DataFrame) -> pl.DataFrame:
    """Without what the app chose by itself (apprentice mode): it says nothing of either side."""
    return frame.filter(pl.col("role") != APPRENTICE)


def outside(what: str, values: F64, declared: tuple[float, float]) -> list[str]:
    """The problem that a log holds values outside the declared range; [] if it holds none."""
    bad = ~((values >= declared[0]) & (values <= declared[1]))
    if not bad.any():
        return []
    example = f"{int(bad.sum())} of {len(values)} decisions, such as {values[bad][0]:g}"
    return [f"{what} outside the declared range {list(declared)}: {example}"]


def _guardrails(
    store: Store, spec: AppSpec, state: RolloutState, rows: Compared, problems: list[str], *, now: int
) -> dict[str, Any]:
    """`fallback` and `latency` are always watched, the others as declared; what is outside its range is a problem."""
    unit, limit, took = rows.log.unit, spec.rollout.latency_p99_ms, rows.frame["took_us"].to_numpy()
    late = rows.frame["fallback_reason"].str.starts_with(TOO_LATE).to_numpy()  # not waited for: slow, not broken
    took = np.where(late, np.maximum(took, 1000 * limit + 1), took).astype(np.int64)
    watched = {
        "fallback": Guardrail(value=-(failed(rows) & ~late).astype(np.float64), width=1.0, cluster=unit),
        "latency": slowness(took, rows.frame["at"].to_numpy(), rows.assigned, limit),
    }
    for kind, harmful in spec.guardrails.items():
        alone = of_kind(spec.reward, kind)
        start, until = from_us(state.history[0]["at"]), from_us(now)
        other = matured(store, alone, start=start, end=until, now=until).select("event_id", value="reward")
        found = rows.frame.join(other, on="event_id", how="left")["value"].fill_null(0.0).to_numpy()
        low, high = spec.rollout.guardrail_ranges.get(kind, (0.0, 1.0))
        problems += outside(kind, found, (low, high))
        value, width = within(found, (low, high)), high - low  # one absurd value must not hide all others
        name = f"{kind} (reward)" if kind in watched else kind
        margin = spec.gate.guardrail_margins.get(kind, spec.gate.guardrail_margin * width)
        better = -value if harmful == "higher" else value
        watched[name] = Guardrail(value=better, width=width, cluster=unit, margin=margin)
    levels = {"alpha": spec.rollout.alpha_guardrails, "alpha_safe": spec.rollout.alpha}
    return judged(watched, rows.assigned, rows.share, **levels)


def _named(name: str, guard: Mapping[str, Any]) -> str:
    return f"{name} ({guard['says']})" if guard["says"] else name


def _numbers(rows: Compared, state: RolloutState) -> dict[str, Any]:
    a, reward = rows.assigned, rows.log.reward
    return {
        "decisions": len(rows),
        "candidate_decisions": int(a.sum()),
        "champion_decisions": int((~a).sum()),
        "candidate_mean": _mean(reward, a),
        "champion_mean": _mean(reward, ~a),
        "stage": state.stage,
        "rewards": lateness.counts(
            (rows.frame["reward_count"] > 0).to_numpy(), rows.frame["late"].to_numpy(), rows.assigned
        ),
        "units": {stage: list(counts) for stage, counts in unit_counts(rows).items()},
    }


def _mean(values: F64 | NDArray[np.bool_], where: Bool) -> float:
    return float(values[where].mean()) if where.any() else 0.0


def summary(numbers: Mapping[str, Any]) -> str:
    """Returns one line for a log."""
    if "difference" not in numbers:
        return "no matured decisions yet"
    named = ("promoted", "kept back") if numbers.get("kept") else ("", "")
    sides = [
        f"{numbers[f'{side}_decisions']:,} {name}".strip()
        for side, name in zip((CANDIDATE, CHAMPION), named, strict=True)
    ]
    known = (
        f"{' + '.join(sides)} decisions, difference "
        f"{numbers['difference']:+.5f} [{numbers['lower']:+.5f}, {numbers['upper']:+.5f}]"
    )
    latency = numbers["guardrails"].get("latency")
    return f"{known}; latency {latency['says']}" if latency else known
