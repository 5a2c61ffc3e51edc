"""A user's own table (Parquet, CSV): one row a decision, with the chosen arm, its propensity and the reward.

Roles are found by name, or given: `columns={"arm": "item_id", …}`. Columns named `arm.X` are features of the chosen arm
(the same for every row of that arm); `context` may be one column of JSON objects; every other column is context.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from features.audit import PROPENSITY_ONLY
from features.ids import hash_unit
from features.record import Record, checked, spread, unrounded
from features.schema import ADDED, DECISIONS, INTERACTIONS, Arm, Decision, InvalidEvent, Reward

ROLES: dict[str, tuple[str, ...]] = {
    "arm": ("arm", "arm_id", "action", "chosen_arm", "chosen", "item_id", "item", "variant", "treatment"),
    "propensity": ("propensity", "propensity_score", "pscore", "action_prob", "probability", "prob", "p"),
    "reward": ("reward", "click", "clicked", "clicks", "conversion", "converted", "outcome", "y", "label"),
    "at": ("at", "timestamp", "time", "datetime", "created_at", "ts", "date"),
    "unit_id": ("unit_id", "unit", "user_id", "user", "visitor_id", "session_id", "customer_id"),
    "event_id": ("event_id", "request_id", "decision_id", "id"),
    "arms": ("arms", "candidates", "actions", "action_set"),
    "pmf": ("pmf", "probs", "probabilities", "action_probs"),
    "arm_context": ("arm_context",), "context": ("context", "x"),
}  # fmt: skip
REQUIRED = ("arm", "propensity", "reward")
_START = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_UNITS = (  # smallest present-day value, µs in one, name
    (1e17, 1e-3, "nanoseconds"), (1e14, 1.0, "microseconds"), (1e11, 1e3, "milliseconds"), (0, 1e6, "seconds"),
)  # fmt: skip
_ROWS = 10_000
_NO_JSON = (pl.Binary, pl.Duration, pl.Object)


class TableSource:
    """Raises ValueError where a required role has no column, naming those there are."""

    def __init__(self, path: Path, *, unit_key: str, columns: Mapping[str, str]) -> None:
        self.path, self.unit_key = path, unit_key
        self.skipped: Counter[str] = Counter()
        self.frame = _read(path)
        self.columns = _roles(self.frame, columns, path)
        self.reward_kind = self.columns["reward"]
        used = set(self.columns.values())
        if set(DECISIONS.names) - set(ADDED) <= set(self.frame.columns):  # a log of our own: who decided is no feature
            used |= set(INTERACTIONS.names)
        free = [c for c in self.frame.columns if c and c not in used]
        self.left_out = [c for c in free if self.frame[c].dtype in _NO_JSON]
        self.arm_columns = [c for c in free if c.startswith("arm.") and c not in self.left_out]
        self.features = [c for c in free if c not in (*self.arm_columns, *self.left_out)]
        self.every_arm = sorted({str(a) for a in self.frame[self.columns["arm"]].drop_nulls().unique()})
        self.notes = self._notes()

    def arms(self) -> list[Arm]:
        """Every arm that was chosen or offered. Raises ValueError where an `arm.X` column varies for one arm."""
        features: dict[str, dict[str, Any]] = {}
        for arm, row in self._chosen_features():
            known = features.setdefault(arm, row)
            if known != row:
                name = next(k for k in row if known[k] != row[k])
                raise ValueError(f"column arm.{name}: found {known[name]!r} and {row[name]!r} for arm {arm}, expected "
                                 "one value an arm; what varies belongs to the context")  # fmt: skip
        offered = set(self.every_arm)
        if "arms" in self.columns:
            for ids in self.frame[self.columns["arms"]].drop_nulls():
                with suppress(TypeError, ValueError):  # `records` counts that row
                    offered |= set(map(str, _list(ids)))
        return [Arm(arm_id=arm, features=_clean(features.get(arm, {}))) for arm in sorted(offered)]

    def records(self) -> Iterator[Record]:
        self.skipped.clear()
        scale = self._time_scale()
        for start in range(0, len(self.frame), _ROWS):
            for i, row in enumerate(self.frame[start : start + _ROWS].iter_rows(named=True), start):
                try:
                    yield self._record(i, row, scale)
                except InvalidEvent as error:
                    self.skipped[f"bad {error.field}"] += 1
                except (TypeError, ValueError, OverflowError) as error:
                    self.skipped[f"unreadable value ({type(error).__name__})"] += 1

    def _record(self, i: int, row: Mapping[str, Any], scale: float) -> Record:
        get = {role: row[column] for role, column in self.columns.items()}
        if get["arm"] is None or get["propensity"] is None:
            raise InvalidEvent("arm" if get["arm"] is None else "propensity", None, "a value")
        arm, p = str(get["arm"]), float(get["propensity"])
        arms = tuple(str(a) for a in _list(get["arms"])) if get.get("arms") is not None else tuple(self.every_arm)
        whole = get.get("pmf") is not None
        event = str(get.get("event_id") or f"{self.path.stem}-{i:09d}")
        at = _micros(get.get("at"), i, scale)
        context = _object(get["context"]) if get.get("context") is not None else {}
        pairs = [_clean(_object(r)) for r in _list(get["arm_context"])] if get.get("arm_context") is not None else []
        decision = checked(Decision(
            event_id=event, at=at, unit_id=hash_unit(self.unit_key, str(get.get("unit_id") or event)),
            context=_clean(context | {c: row[c] for c in self.features}), arms=arms, arm=arm, propensity=p,
            pmf=unrounded([*map(float, _list(get["pmf"]))]) if whole else spread(arms, arm, p), policy="imported",
            role="champion", release=0, stage="" if whole else PROPENSITY_ONLY, arm_context=tuple(pairs),
        ))  # fmt: skip
        if get["reward"] is None:
            return Record(decision=decision)
        reward = Reward(event_id=event, at=at, kind=self.reward_kind, value=float(get["reward"]))
        return Record(decision=decision, rewards=(reward,))

    def _chosen_features(self) -> Iterator[tuple[str, dict[str, Any]]]:
        rows = self.frame.select(self.columns["arm"], *self.arm_columns).unique(maintain_order=True)
        for arm, *values in rows.iter_rows():
            if arm is not None:
                yield str(arm), dict(zip((c[4:] for c in self.arm_columns), values, strict=True))

    def _time_scale(self) -> float:
        """Microseconds of one unit of a numeric time column, from its size."""
        column = self.columns.get("at")
        if column is None or not self.frame[column].dtype.is_numeric():
            return 1.0
        times = self.frame[column].cast(pl.Float64)
        largest = float(times.filter(times.is_finite()).max() or 0)  # type: ignore[arg-type]
        return next(scale for least, scale, _ in _EPOCH_UNITS if largest >= least)

    def _notes(self) -> list[str]:
        out = [f"column {column} is the {role}" for role, column in self.columns.items()]
        if "arms" not in self.columns:
            out.append(f"no column of candidates: each decision could have been any of the {len(self.every_arm)} arms")
        if "pmf" not in self.columns:
            out.append("no column of all probabilities: only the chosen arm's is known")
        if "at" not in self.columns:
            out.append("no column of times: rows are dated one second apart from the year 2000, in their order")
        elif self.frame[self.columns["at"]].dtype.is_numeric():
            unit = next(word for _, scale, word in _EPOCH_UNITS if scale == self._time_scale())
            out.append(f"times are {unit} since 1970")
        if "unit_id" not in self.columns:
            out.append("no column of units: every row is a unit of its own")
        return out + [f"column {column} is left out: {self.frame[column].dtype}" for column in self.left_out]


def _read(path: Path) -> pl.DataFrame:
    """Raises ValueError where the file is not what its ending says."""
    try:
        return _table(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path}: found no table in it ({reason}), expected what its ending says") from None


def _table(path: Path) -> pl.DataFrame:
    if path.name.lower().endswith(".parquet"):
        return pl.read_parquet(path)
    separator = "\t" if path.name.lower().endswith(".tsv") else ","
    return pl.read_csv(path, separator=separator, infer_schema_length=10_000, try_parse_dates=True)


def _holds_objects(column: pl.Series) -> bool:
    """A column of numbers, or of words, that happens to be called `x` is a feature like others."""
    first = column.drop_nulls().head(1).to_list()
    return isinstance(column.dtype, pl.Struct) or (
        column.dtype == pl.String and (not first or first[0].lstrip().startswith("{"))
    )


def _roles(frame: pl.DataFrame, given: Mapping[str, str], path: Path) -> dict[str, str]:
    columns = frame.columns
    for role, column in given.items():
        if role not in ROLES or column not in columns:
            what, known = ("column", columns[:40]) if role in ROLES else ("role", list(ROLES))
            raise ValueError(f"{role}={column}: found no such {what}, expected {', '.join(known)}")
    lower = {c.lower(): c for c in reversed(columns)}
    found = {role: next((lower[n] for n in names if n in lower), "") for role, names in ROLES.items()}
    if found["context"] and not _holds_objects(frame[found["context"]]):
        found["context"] = ""
    found |= given
    for role in REQUIRED:
        if not found[role]:
            raise ValueError(f"{path}: found no column for the {role}, expected one of {', '.join(ROLES[role])}, or "
                             f"say --column {role}=NAME; the columns are {', '.join(columns[:40])}")  # fmt: skip
    return {role: column for role, column in found.items() if column}


def _list(value: Any) -> list[Any]:
    """A list column's value, or JSON text of one."""
    parsed = orjson.loads(value) if isinstance(value, str) else list(value)
    if not isinstance(parsed, list):
        raise InvalidEvent("arms", value, "a list")
    return parsed


def _object(value: Any) -> dict[str, Any]:
    parsed = orjson.loads(value) if isinstance(value, str) else value
    if not isinstance(parsed, dict):
        raise InvalidEvent("context", value, "a JSON object")
    return parsed


def _clean(features: Mapping[str, Any]) -> dict[str, Any]:
    """Without missing values; the rest as JSON can hold it."""
    return {k: _plain(v) for k, v in features.items() if v is not None and v == v}  # noqa: PLR0124 — NaN


def _plain(value: Any) -> Any:
    """Times as ISO 8601; decimals, and whole numbers of more than 64 bits, as floats."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    wide = isinstance(value, int) and not -(2**63) <= value < 2**64
    return float(value) if wide or isinstance(value, Decimal) else value


def _micros(value: Any, i: int, scale: float) -> int:
    if value is None:
        return int(_START.timestamp() + i) * 1_000_000
    if isinstance(value, int | float):
        return round(value * scale)
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int(at.timestamp() // 1) * 1_000_000 + at.microsecond
