"""The one contract: what a decision, a reward and an interaction are.

Dataclasses for a single event, Arrow schemas for columns of them, and one version for both. Everything that is
written to the spool or the store goes through `to_row` / `from_row` here, so a field exists in one place only.

    InvalidEvent(ValueError)      an event or a request that breaks the contract: names the field
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Self

import orjson

SCHEMA_VERSION = 1
FROM_CATALOGUE, FROM_REQUEST, FROM_BOTH = "catalogue", "request", "both"  # where an app's arms come from
MAX_ARMS = 1000  # candidates of one decision
MAX_TEXT = 1024  # characters of one category, and of one word of tags
LEAST_PROPENSITY = (
    1e-12  # of a shown arm: what is rarer is not drawn once in 10¹² decisions, and its weight is no number
)
ROLES = CHAMPION, CANDIDATE, HOLDOUT, FALLBACK, APPRENTICE = (
    "champion",
    "candidate",
    "holdout",
    "fallback",
    "apprentice",
)
IN_CANDIDATES_PLACE = (CANDIDATE, HOLDOUT)  # both are answered by the policy in the candidate's place of a release
OPEN_ENDED = ("context", "arm_context", "arm_features")  # fields of a decision that its columns have as JSON text
ADDED: Mapping[str, int | str] = {
    "took_us": 0,
    "arm_features": "[]",
    "allocation": "",
    "multipliers": 0,
    "shared_posterior": "",
    "stopped": "",
    "retrieved": "",
    "slate_so_far": "",
    "conservative": "",
    "margin": "",
}  # columns that older logs lack, and what they mean there: no new version
NO_STAGE, SHADOW, ABORTED = "none", "shadow", "aborted"  # stages beside "5%", "20%", …
WATCH, RETURNED = "watch", "returned"  # of a promoted release: watched ("watch 1%"), or shown to be worse


def share_of(stage: str) -> float:
    """The share that the label of a stage names, also that of a hold-out; 0 for shadow, none, aborted and returned."""
    found = re.fullmatch(rf"(?:{WATCH} )?([\d.]+)%", stage)
    return float(found[1]) / 100 if found else 0.0


class InvalidEvent(ValueError):
    """A value breaks the contract. `field` names where; the message says found, expected and what to do."""

    def __init__(self, field: str, found: object, expected: str) -> None:
        shown = _shown(found, 81)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        super().__init__(f"{field}: found {shown}, expected {expected}")
        self.field = field


def _shown(value: object, room: int) -> str:
    """The first `room` characters of repr(value), or somewhat more, made no further than that: what a stranger sent may
    be long, and nested deeper than repr() can go."""
    if isinstance(value, str | bytes):
        return repr(value[:room])
    if not isinstance(value, dict | list | tuple):
        try:
            return repr(value)
        except (ValueError, RecursionError):  # an int of 5,000 digits
            return f"<{type(value).__name__}>"
    opening, closing = "{}" if isinstance(value, dict) else "[]" if isinstance(value, list) else "()"
    text = opening
    for i, item in enumerate(value):
        if len(text) >= room:
            return text
        text += (", " if i else "") + _shown(item, room - len(text))
        if isinstance(value, dict):
            text += ": " + _shown(value[item], room - len(text))
    return text + ("," if isinstance(value, tuple) and len(value) == 1 else "") + closing


@dataclass(slots=True, kw_only=True)  # treat it as frozen: Python makes a frozen one four times as slowly
class Decision:
    """One arm shown to one unit, with the exact probability of showing it.

    `at` is UTC microseconds since the epoch; `unit_id` a keyed hash (raw ids never enter); `pmf` is over `arms`, in
    their order; `propensity` is `pmf` at `arm`; `catalogue` and `encoder` are digests; `posterior_step` counts the
    rewards the head had learnt from; `pass_probability` < 1 when the log was thinned at its cap, so that estimates
    can divide by it. `took_us` is how long scoring took, failed attempts included (0: not measured). `release` 0 means:
    decided elsewhere, imported. `arm_features` are those of arms that the request brought along: empty, or one entry
    per arm, None for an arm of the catalogue. `allocation` is empty, or, where the decision is one item of a request to
    allocate, what it says of the request as JSON (budgets/allocated_item.py): `pmf` are then the item's marginals.
    `multipliers`: the version of the prices of long-run constraints that came off the scores; 0: none did. `stopped`:
    the spends whose arms its host left out for itself, a list of names as JSON (serving/spending); empty: none.
    `retrieved`: "T+R of A" where the request listed no arms: how many came first by the index, how many were drawn of
    the others, and of how many arms (serving/retrieval); empty: it listed them. `shared_posterior`: the name of what
    other hosts had learnt and the head had beside its own steps; empty: nothing. `slate_so_far`: of a slot, where
    app.toml asks anything of slates, the slate that it is of and the arms above it as JSON (slates/so_far.py).
    `conservative`: where a baseline is declared, the policy's share of `pmf`, and the baseline's own probability of
    `arm`, as JSON (models/constraints/beside_baseline.py); empty: no promise is made. `margin`: where arms are prices,
    price − cost of `arm`, in money, as JSON (pricing/prices.py); empty: they are not."""

    event_id: str
    at: int
    unit_id: str
    context: dict[str, Any]
    arms: tuple[str, ...]
    pmf: tuple[float, ...]
    arm: str
    propensity: float
    policy: str
    role: str
    release: int
    stage: str = ""
    arm_context: tuple[dict[str, Any], ...] = ()
    catalogue: str = ""
    encoder: str = ""
    posterior_step: int = 0
    fallback_reason: str = ""
    pass_probability: float = 1.0
    took_us: int = 0
    arm_features: Sequence[Mapping[str, Any] | None] = ()
    allocation: str = ""
    multipliers: int = 0
    shared_posterior: str = ""
    stopped: str = ""
    retrieved: str = ""
    slate_so_far: str = ""
    conservative: str = ""
    margin: str = ""

    @property
    def listed(self) -> tuple[str, ...]:
        """The candidates that the request did not bring along: those of the catalogue."""
        given = self.arm_features
        return tuple(a for a, own in zip(self.arms, given, strict=True) if own is None) if given else self.arms

    def to_row(self) -> dict[str, Any]:
        """Columns of `DECISIONS`: the open-ended fields travel as canonical JSON."""
        row = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in OPEN_ENDED:
            row[name] = orjson.dumps(row[name], default=list, option=orjson.OPT_SORT_KEYS).decode()
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Restores a decision from a row of the log; columns that an older row lacks have their defaults."""
        known = {f.name: row[f.name] for f in fields(cls) if f.name in row}
        known["context"] = orjson.loads(row["context"])
        known["arm_context"] = tuple(orjson.loads(row["arm_context"]))
        known["arm_features"] = tuple(orjson.loads(row.get("arm_features", "[]")))
        return cls(**(known | {"arms": tuple(row["arms"]), "pmf": tuple(row["pmf"])}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What followed a decision. `kind` says what was measured (click, watch_seconds, …), `value` how much.

    `reward_id` deduplicates; where a caller gives none, equal content is one reward.
    """

    event_id: str
    at: int
    kind: str
    value: float
    reward_id: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.event_id, str) or not self.event_id:
            raise InvalidEvent("event_id", self.event_id, "the event_id that select() answered")
        if not isinstance(self.kind, str) or not self.kind:
            raise InvalidEvent("kind", self.kind, "a name such as 'click'")
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not isfinite(self.value):
            raise InvalidEvent("value", self.value, "a finite number (send nothing rather than NaN)")

    def to_row(self) -> dict[str, Any]:
        """The reward as a row of the log."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One entry of the catalogue. Selectable while valid_from ≤ now < valid_to (UTC µs; 0 = unbounded), unless it is
    `paused`."""

    arm_id: str
    features: dict[str, Any]
    valid_from: int = 0
    valid_to: int = 0
    paused: bool = False
