"""Logs of other systems in, ours out: a table (Parquet, CSV) or VW's DSJSON becomes decisions and rewards.

    open_source(path) → Source: arms(), records(), notes      import_log(spool, source, spec) → Imported
    dsjson.export(interactions, arms) → lines that `vw --dsjson` trains on unchanged

What a log does not say is either derived and noted (`notes`, shown to the user) or an error; rows that cannot be used
are skipped, counted by reason (`skipped`), and never silently zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from features.dsjson import DsjsonSource
from features.record import Source
from features.schema import Decision, Reward
from features.spec import AppSpec
from features.tabular import TableSource

BATCH = 1000


class Log(Protocol):
    """What an import writes to: features.spool.Spool."""

    def append_decisions(self, decisions: Sequence[Decision], /) -> list[Decision]: ...
    def append_rewards(self, rewards: Sequence[Reward], /) -> list[bool]: ...


def open_source(path: Path, *, unit_key: str, columns: Mapping[str, str] | None = None) -> Source:
    """By the file's ending: .parquet, .csv (also .csv.gz), .tsv, or .json, .jsonl, .dsjson, .log for DSJSON. `columns`:
    which column of a table plays which role, where the name alone does not say. Raises ValueError saying what is
    missing."""
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
