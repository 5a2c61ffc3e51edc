"""Logs of other systems in, ours out: a table (Parquet, CSV) or VW's DSJSON becomes decisions and rewards.

    open_source(path) → Source: arms(), records(), notes      import_log(spool, source, spec) → Imported
    dsjson.export(interactions, arms) → lines that `vw --dsjson` trains on unchanged

What a log does not say is either derived and noted (`notes`, shown to the user) or an error; rows that cannot be used
are skipped, counted by reason (`skipped`), and never silently zero.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from features.schema import Arm, Decision, InvalidEvent, Reward
from features.spec import AppSpec

BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One logged decision and what followed."""

    decision: Decision
    rewards: tuple[Reward, ...] = ()


class Source(Protocol):
    """A log elsewhere. `arms` and `records` may be called more than once; `skipped` counts the last pass's rows that
    could not be used, by reason."""

    notes: list[str]
    skipped: Counter[str]
    reward_kind: str
    columns: dict[str, str]

    def arms(self) -> list[Arm]: ...
    def records(self) -> Iterator[Record]: ...


class Log(Protocol):
    """What an import writes to: features.spool.Spool."""

    def append_decisions(self, decisions: Sequence[Decision], /) -> list[Decision]: ...
    def append_rewards(self, rewards: Sequence[Reward], /) -> list[bool]: ...


def open_source(path: Path, *, unit_key: str, columns: Mapping[str, str] | None = None) -> Source:
    """By the file's ending: .parquet, .csv (also .csv.gz), .tsv, or .json, .jsonl, .dsjson, .log for DSJSON. `columns`:
    which column of a table plays which role, where the name alone does not say. Raises ValueError saying what is
    missing."""
    from features.dsjson import DsjsonSource
    from features.tabular import TableSource

    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    name = path.name.lower()
    if name.endswith((".parquet", ".csv", ".csv.gz", ".tsv")):
        return TableSource(path, unit_key=unit_key, columns=columns or {})
    if name.endswith((".json", ".jsonl", ".dsjson", ".log")):
        return DsjsonSource(path, unit_key=unit_key)
    raise ValueError(f"{path}: found a file of unknown kind, expected .parquet, .csv, .tsv, or DSJSON as .json, .jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did; `start` and `end` (UTC µs, inclusive) say which hours build_features has to run for."""

    decisions: int
    rewards: int  # that were new
    skipped: int
    start: int
    end: int


def import_log(log: Log, source: Source, spec: AppSpec) -> Imported:
    """Append everything; a second import of the same file changes nothing (event ids are stable). Of the features only
    those that app.toml declares enter the log: what looks like an identifier was left out of it."""
    decisions, new, times = 0, 0, set[int]()
    records = source.records()
    while part := list(islice(records, BATCH)):
        log.append_decisions([_declared(r.decision, spec) for r in part])
        rewards = [reward for r in part for reward in r.rewards]
        decisions += len(part)
        new += sum(log.append_rewards(rewards)) if rewards else 0
        times = {min(times | {r.decision.at for r in part}), max(times | {r.decision.at for r in part})}
    return Imported(decisions=decisions, rewards=new, skipped=source.skipped.total(), start=min(times, default=0),
                    end=max(times, default=0))  # fmt: skip


def _declared(decision: Decision, spec: AppSpec) -> Decision:
    pairs = tuple({k: v for k, v in row.items() if k in spec.arm_context} for row in decision.arm_context)
    context = {k: v for k, v in decision.context.items() if k in spec.context}
    return replace(decision, context=context, arm_context=pairs if any(pairs) else ())


def checked(decision: Decision) -> Decision:
    """Itself. Raises InvalidEvent where its parts do not fit: an estimate would be wrong without a word."""
    if not 0 < decision.propensity <= 1:
        raise InvalidEvent("propensity", decision.propensity, "a probability above 0")
    if decision.arm not in decision.arms or len(set(decision.arms)) != len(decision.arms):
        raise InvalidEvent("arm", decision.arm, "one of distinct candidates")
    if len(decision.pmf) != len(decision.arms) or abs(sum(decision.pmf) - 1) > 1e-6 or min(decision.pmf) < 0:
        raise InvalidEvent("pmf", decision.pmf, "one probability for each candidate, summing to 1")
    if abs(decision.pmf[decision.arms.index(decision.arm)] - decision.propensity) > 1e-6:
        raise InvalidEvent("propensity", decision.propensity, "the pmf at the chosen arm")
    return decision


def spread(arms: Sequence[str], arm: str, propensity: float) -> tuple[float, ...]:
    """A pmf of which only the chosen arm's entry is known: the rest evenly over the others."""
    if len(arms) == 1:
        return (1.0,)
    rest = (1.0 - propensity) / (len(arms) - 1)
    return tuple(propensity if a == arm else rest for a in arms)
