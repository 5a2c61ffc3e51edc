"""A log of another system appended to ours: declared features only, and a count of what the log holds afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from features.exchange.record import Source
from features.schema import Decision, Reward
from features.spec import AppSpec

BATCH = 1000


class Log(Protocol):
    """What an import writes to: features.spool.Spool."""

    def append_decisions(self, decisions: Sequence[Decision], /) -> list[Decision]: ...
    def append_rewards(self, rewards: Sequence[Reward], /) -> list[bool]: ...


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
