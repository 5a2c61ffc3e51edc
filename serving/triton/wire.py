"""The gRPC contract in code: columns of tensors in, columns out (in words: serving/README.md). No Triton import.

select_arm   unit_id, context, arms, arm_context?, event_id?, slate?
             → arm, propensity, pmf, event_id, release, role, error, dropped
             unit_id, context, arms, arm_context?, event_id?, whole_slate
             → propensity, event_id, release, role, error, slots
             unit_id, event_id?, allocate → propensity, event_id, release, role, error, allocated
reward       event_id, kind, value, reward_id?, at? → status, error
record       unit_id, context, arms, arm_context, event_id, arm, pmf, at, reason, allocation? → status, error
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from croupier.features.log.spool import Spool
from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.store.unit_key import unit_key
from croupier.serving.contract import raw_slates
from croupier.serving.contract.allocations import Allocated
from croupier.serving.contract.requests import Selection
from croupier.serving.contract.rewards import Outcome
from croupier.serving.contract.slates import Slate

SELECT_INPUTS = ("unit_id", "context", "arms", "arm_context", "event_id", "slate")
SLATE_INPUTS = ("unit_id", "context", "arms", "arm_context", "event_id", "whole_slate")
ALLOCATE_INPUTS = ("unit_id", "allocate", "event_id")
INPUTS = tuple(dict.fromkeys(SELECT_INPUTS + SLATE_INPUTS + ALLOCATE_INPUTS))  # of the model
REWARD_INPUTS = ("event_id", "kind", "value", "reward_id", "at")
RECORD_INPUTS = ("unit_id", "context", "arms", "arm_context", "event_id", "arm", "pmf", "at", "reason", "allocation")
CallColumns = Mapping[str, NDArray[Any] | None]  # (B, 1) each; None: an optional input that was not sent
Tensors = dict[str, NDArray[Any]]


def selection_tensors(selections: Sequence[Selection]) -> Tensors:
    """Returns (B, 1) each, `pmf` (B, longest candidate list), zero-padded."""
    width = max([1, *(len(s.pmf) for s in selections)])
    pmf = np.array([s.pmf + (0.0,) * (width - len(s.pmf)) for s in selections])
    return {
        "arm": text([s.arm for s in selections]),
        "propensity": np.array([[s.propensity] for s in selections]),
        "pmf": pmf,
        "event_id": text([s.event_id for s in selections]),
        "release": np.array([[s.release] for s in selections], np.int64),
        "role": text([s.role for s in selections]),
        "error": text([s.error for s in selections]),
        "dropped": text([orjson.dumps(s.dropped).decode() if s.dropped else "" for s in selections]),
    }


def allocation_tensors(found: Sequence[Allocated]) -> Tensors:
    """Returns (B, 1) each: an allocation has its answer in `allocated`, as JSON, and no arm."""
    rows = [Selection(a.event_id, "", a.propensity, (), a.release, a.role, a.error) for a in found]
    return selection_tensors(rows) | {"allocated": text([a.to_json().decode() for a in found])}


def slate_tensors(found: Sequence[Slate]) -> Tensors:
    """Returns (B, 1) each: a slate has its answer in `slots`, as JSON, and no arm; its propensity is the joint one."""
    rows = [Selection(s.slate_id, "", 0.0 if s.error else s.propensity, (), *_who(s), error=s.error) for s in found]
    return selection_tensors(rows) | {"slots": text(["" if s.error else raw_slates.to_json(s.slots) for s in found])}


def _who(slate: Slate) -> tuple[int, str]:
    """Which release decided it, and in which role."""
    return (slate.slots[0].release, slate.slots[0].role) if slate.slots else (0, "")


def outcome_tensors(outcomes: Sequence[Outcome], sizes: Sequence[int]) -> list[Tensors]:
    """The outcomes of a Triton batch, call by call."""
    rest = iter(outcomes)
    parts = [list(islice(rest, size)) for size in sizes]
    return [{"status": text([o.status for o in part]), "error": text([o.error for o in part])} for part in parts]


def open_spool(home: Path, settings: Settings) -> Spool:
    """The host's event log, one file for every process of the app; its key is settled before the first row."""
    unit_key(settings, home)
    return Spool(home / layout.SPOOL_LOG, durability=settings.durability, max_bytes=settings.spool_max_bytes)


def size_of(call: CallColumns) -> int:
    """Rows of a call: a required input is always there."""
    return max(len(column) for column in call.values() if column is not None)


def rows(call: CallColumns, names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    """A call's columns as rows; b"" where an optional input was not sent."""
    size = size_of(call)
    columns = [[b""] * size if (column := call.get(name)) is None else column[:, 0].tolist() for name in names]
    return zip(*columns, strict=True)


def text(values: Sequence[str]) -> NDArray[Any]:
    """A BYTES column (B, 1)."""
    column = np.empty((len(values), 1), np.object_)
    column[:, 0] = [value.encode() for value in values]
    return column
