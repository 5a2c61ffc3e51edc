"""What the spool's rows are: events as JSON, one form for all who write or read them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from typing import Any, Literal

import orjson

from croupier.features.declared.plain_rows import PlainRows
from croupier.features.schema import ADDED, Decision, InvalidEvent, Reward
from croupier.features.utc import YEAR_2100

Kind = Literal["decisions", "rewards", "rejects"]
KINDS: tuple[Kind, ...] = ("decisions", "rewards", "rejects")
UNDECLARED, OUTSIDE, NOT_FINITE, UNTIMELY = "undeclared_kind", "out_of_range", "not_finite", "absurd_time"
IMPROBABLE, REUSED, DUPLICATE = "improbable", "event_id_reused", "duplicate"
LEFT_OUT = "left_out"  # kind of the reject that counts values of an undeclared feature
MALFORMED = "malformed"  # whatever has no word of its own
WORDS = frozenset({UNDECLARED, OUTSIDE, NOT_FINITE, UNTIMELY, IMPROBABLE, REUSED, DUPLICATE})
RAW_LIMIT = 64 << 10  # bytes of a malformed event that are kept


@dataclass(frozen=True, slots=True)
class Reject:
    """What did not become an event. `kind`: decision | reward, or, with a number of them as `raw`, thinned | counted
    (the field is then the kind) | left_out (then the feature). `reason` 'duplicate': a repeated reward; one of WORDS
    and a colon: not as declared."""

    kind: str
    field: str
    raw: bytes
    reason: str
    at: int


_LATER = tuple(f.name for f in fields(Decision) if f.name in ADDED)  # each means nothing where it is empty or 0
_later = attrgetter(*_LATER)


def decision_row(d: Decision) -> tuple[str, int, bytes]:
    """(event_id, at, JSON body), without the columns that older rows lack where they mean nothing: a fifth of the body.
    orjson takes a dict in half the time of a dataclass with slots."""
    row = _columns(d)
    if any(later := _later(d)):
        row |= {name: value for name, value in zip(_LATER, later, strict=True) if value}
    if type(d.arm_features) is PlainRows:
        row["arm_features"] = d.arm_features.json  # written already
    return d.event_id, d.at, orjson.dumps(row)


def _columns(d: Decision) -> dict[str, Any]:
    """The columns that every row has. Written out, since this takes half the time of asking for them by name."""
    return {
        "event_id": d.event_id,
        "at": d.at,
        "unit_id": d.unit_id,
        "context": d.context,
        "arms": d.arms,
        "pmf": d.pmf,
        "arm": d.arm,
        "propensity": d.propensity,
        "policy": d.policy,
        "role": d.role,
        "release": d.release,
        "stage": d.stage,
        "arm_context": d.arm_context,
        "catalogue": d.catalogue,
        "encoder": d.encoder,
        "posterior_step": d.posterior_step,
        "fallback_reason": d.fallback_reason,
        "pass_probability": d.pass_probability,
    }


def decision(body: bytes) -> Decision:
    """A decision from the spool's JSON."""
    row: dict[str, Any] = orjson.loads(body)
    for name in ("arms", "pmf", "arm_context", "arm_features"):
        row[name] = tuple(row.get(name, ()))
    return Decision(**row)


def refuse_impossible_times(times: Iterable[int]) -> None:
    """The last guard: a row that has no hour (nanoseconds, say) could never be shipped, nor anything after it."""
    for at in times:
        if not 0 <= at < YEAR_2100:
            raise InvalidEvent("at", at, "UTC microseconds since 1970, before the year 2100")


def reject_row(reject: Reject, limit: int = RAW_LIMIT) -> tuple[int, bytes]:
    """(at, JSON body); raw bytes become text, what is no UTF-8 becomes U+FFFD. A raw unit id never enters."""
    raw = "" if reject.field == "unit_id" else reject.raw[:limit].decode(errors="replace")
    return reject.at, orjson.dumps(asdict(reject) | {"raw": raw})


def word_of(reason: str) -> str:
    """The word under which a reject is counted: that at the head of its reason ("out_of_range: value: …")."""
    head = reason.partition(":")[0]
    return head if head in WORDS else MALFORMED


def token(reward: Reward) -> str:
    """What makes two rewards of one event the same reward: its id, or else its kind and value.

    Not its time: a caller that retries without an id is stamped anew. Equal rewards that are meant to repeat need ids.
    """
    return f"i{reward.reward_id}" if reward.reward_id else f"c{reward.kind}={float(reward.value) + 0.0!r}"  # −0 is 0
