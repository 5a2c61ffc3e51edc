"""A user's own table (Parquet, CSV): one row a decision, with the chosen arm, its propensity and the reward.

Roles are found by name, or given: `columns={"arm": "item_id", …}`. Columns named `arm.X` are features of the chosen arm
(the same for every row of that arm); `context` may be one column of JSON objects; every other column is context.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from croupier.features.arrow import DECISIONS, INTERACTIONS
from croupier.features.exchange.arm_ids import bare
from croupier.features.exchange.cells import as_list, as_object, features_of, missing, unmeasured
from croupier.features.exchange.record import Record, checked, reason
from croupier.features.exchange.rounded import Rounding
from croupier.features.exchange.row_names import HEAD, RowNames
from croupier.features.exchange.tables import repeated
from croupier.features.exchange.tables.candidates import every_arm
from croupier.features.exchange.tables.mended import mended
from croupier.features.exchange.tables.nested import opened
from croupier.features.exchange.tables.one_row import one_row_each
from croupier.features.exchange.tables.propensities import DERIVED, evenly, stated, with_propensity, with_stated
from croupier.features.exchange.tables.roles import ASSIGNMENT, WEIGHTS, roles_of
from croupier.features.exchange.tables.table_file import read_table
from croupier.features.exchange.times import invented, micros, zoned
from croupier.features.exchange.written_order import NOTE, WrittenOrder
from croupier.features.ids import hash_unit
from croupier.features.quality.audit import KEPT_ARM, PROPENSITY_ONLY
from croupier.features.schema import ADDED, CHAMPION, Arm, Decision, InvalidEvent, Reward

_EPOCH_UNITS = (  # smallest present-day value, µs in one, name
    (1e17, 1e-3, "nanoseconds"), (1e14, 1.0, "microseconds"), (1e11, 1e3, "milliseconds"), (0, 1e6, "seconds"),
)  # fmt: skip
_ROWS = 10_000
INDEX = re.compile(r"__index_level_\d+__")  # as pandas names its index in Arrow and Parquet, where it has no name
_NO_JSON = (pl.Binary, pl.Duration, pl.Object)


class TableSource:
    """The table in a file, or `table` itself, which errors then call `path`. Raises ValueError where a required
    role has no column, naming those there are."""

    def __init__(
        self, path: Path, *, unit_key: str, columns: Mapping[str, str], table: pl.DataFrame | None = None
    ) -> None:
        self.path, self.unit_key = path, unit_key
        self.skipped: Counter[str] = Counter()
        known = {r: c for r, c in columns.items() if r != "propensity" or stated(columns) is None}
        self.frame, self._read_as = read_table(path, known) if table is None else (table, [])
        self.frame, self._stated = with_stated(opened(self.frame, columns.values()), columns)
        self.columns = self.named = roles_of(self.frame, columns, path)  # named: as a second reading finds them
        self.frame, self.columns, mends = mended(self.frame, self.columns, path)
        self.frame, ones = one_row_each(self.frame, self.columns, path)
        self._read_as = [*self._read_as, *mends, *ones, *self._stated]
        self.reward_kind = self.columns["reward"]
        used = {*self.columns.values(), *(ASSIGNMENT if self.columns.get("pmf") in WEIGHTS else ())}
        ours = set(DECISIONS.names) - set(ADDED) <= set(self.frame.columns)
        if ours:  # who decided is no feature
            used |= set(INTERACTIONS.names)
        free = [c for c in self.frame.columns if c and c not in used and not INDEX.fullmatch(c)]
        self.left_out = [c for c in free if self.frame[c].dtype in _NO_JSON]
        self.arm_columns = [c for c in free if c.startswith("arm.") and c not in self.left_out]
        self.features = [c for c in free if c not in (*self.arm_columns, *self.left_out)]
        chosen = map(str, self.frame[self.columns["arm"]].drop_nulls().unique())
        self.every_arm = every_arm(chosen, None if "arms" in self.columns else self._column("pmf"))
        if "propensity" not in self.columns:
            self.frame, self.columns = with_propensity(self.frame, self.columns, self.every_arm)
        self.rounding = Rounding(evenly=evenly(self.frame, self.columns, len(self.every_arm)))
        self.order = self._order() if "arms" in self.columns and not ours else WrittenOrder()
        self.repeats = repeated.repeated(self.frame, self.columns, len(self.every_arm))
        self.notes = self._notes()

    def _order(self) -> WrittenOrder:
        order, roles = WrittenOrder(), ("arms", "arm", "propensity")
        for arms, arm, p in self.frame.select(self.columns[role] for role in roles).iter_rows():
            with suppress(TypeError, ValueError):  # `records` counts that row
                listed = [bare(each) for each in as_list(arms)]
                if not order.see(first=listed.index(bare(arm)) == 0, candidates=len(listed), propensity=float(p)):
                    break
        return order

    def arms(self) -> list[Arm]:
        """Every arm that was chosen or offered. Raises ValueError where an `arm.X` column varies for one arm."""
        features: dict[str, dict[str, Any]] = {}
        for arm, row in self._chosen_features():
            known = features.setdefault(arm, row)
            if known != row:
                name = next(k for k in row if known[k] != row[k])
                raise ValueError(
                    f"column arm.{name}: found {known[name]!r} and {row[name]!r} for arm {arm}, expected "
                    "one value an arm; what varies belongs to the context"
                )
        brought = self._brought()
        offered = set(self.every_arm) - brought
        if "arms" in self.columns:
            for ids in self.frame[self.columns["arms"]].drop_nulls():
                with suppress(TypeError, ValueError):  # `records` counts that row
                    offered |= set(map(bare, as_list(ids))) - brought
        return [Arm(arm_id=arm, features=features_of(features.get(arm, {}))) for arm in sorted(offered)]

    def names(self) -> dict[str, list[str]]:
        """The names of columns, and of the objects in the columns `context` and `arm_context`."""
        pairs = (row for rows in self._objects("arm_context", as_list) for row in rows if isinstance(row, dict | str))
        inside = {"context": self._objects("context", as_object), "arm_context": map(_object_or_none, pairs)}
        found = {scope: [name for row in rows for name in row] for scope, rows in inside.items()}
        return {
            "context": list(dict.fromkeys([*self.features, *found["context"]])),
            "arm": [name[4:] for name in self.arm_columns],
            "arm_context": list(dict.fromkeys(found["arm_context"])),
        }

    def _brought(self) -> set[str]:
        """The arms that requests brought along."""
        found, given = set[str](), self._column("arm_features")
        if given is not None and "arms" in self.columns:
            for ids, each in zip(self.frame[self.columns["arms"]], given, strict=True):
                with suppress(TypeError, ValueError):
                    found |= {bare(a) for a, own in zip(as_list(ids), as_list(each), strict=False) if own is not None}
        return found

    def _objects(self, role: str, read: Callable[[Any], Any]) -> Iterator[Any]:
        """What the cells of a role hold; of a cell that cannot be read nothing: `records` counts it."""
        column = self._column(role)
        for cell in () if column is None else column.drop_nulls():
            with suppress(TypeError, ValueError):
                yield read(cell)

    def records(self) -> Iterator[Record]:
        """Yields a record for each row that can be used; the others are counted in `skipped` by reason."""
        self.skipped.clear()
        self.rounding.clear()
        scale, names = self._time_scale(), RowNames(map(_bytes, self.frame.head(HEAD).iter_rows()))
        ids = self._column("event_id")
        unnamed = ids is None or any(map(missing, ids))
        for start in range(0, len(self.frame), _ROWS):
            for i, row in enumerate(self.frame[start : start + _ROWS].iter_rows(named=True), start):
                name = names.name(_bytes(row.values())) if unnamed else ""
                try:
                    yield self._record(i, row, name, scale)
                except InvalidEvent as error:
                    self.skipped[reason(error)] += 1
                except (TypeError, ValueError, OverflowError) as error:
                    self.skipped[f"unreadable value ({type(error).__name__})"] += 1

    def _record(self, i: int, row: Mapping[str, Any], name: str, scale: float) -> Record:
        get = {role: row[column] for role, column in self.columns.items() if not _empty(role, row[column])}
        arm = str(get.get("arm", ""))
        arms = tuple(map(bare, as_list(get["arms"]))) if "arms" in get else tuple(self.every_arm)
        if "arm" in get and bare(get["arm"]) not in arms:
            raise InvalidEvent("arm", arm, "one of the candidates")
        for role in ("arm", "propensity"):
            if role not in get:
                raise InvalidEvent(role, None, "a value")
        p = _number("propensity", get["propensity"])
        event = str(get.get("event_id", name))
        at = self._at(get.get("at"), i, scale)
        context = as_object(get["context"]) if "context" in get else {}
        pairs = [features_of(as_object(r)) for r in as_list(get.get("arm_context", "[]"), "arm_context")]
        given = [_own(r) for r in as_list(get.get("arm_features", "[]"), "arm_features")]
        if "pmf" in get:
            pmf, p = self.rounding.whole([float(q) for q in as_list(get["pmf"], "pmf")], arms, arm, p)
        else:
            pmf, p = self.rounding.spread(arms, arm, p)
        decision = checked(
            Decision(
                event_id=event,
                at=at,
                unit_id=hash_unit(self.unit_key, str(get.get("unit_id", event))),
                context=features_of(context | {c: row[c] for c in self.features}),
                arms=arms,
                arm=arm,
                propensity=p,
                pmf=pmf,
                policy="imported",
                role=CHAMPION,
                release=0,
                stage=KEPT_ARM if self.repeats[i] else "" if "pmf" in get else PROPENSITY_ONLY,
                arm_context=tuple(pairs),
                arm_features=tuple(given) if any(own is not None for own in given) else (),
            )
        )
        value = [_number("reward", get["reward"])] if "reward" in get else []
        rewards = tuple(Reward(event_id=event, at=at, kind=self.reward_kind, value=each) for each in value)
        return Record(decision=self.order.mended(decision), rewards=rewards)

    def _column(self, role: str) -> pl.Series | None:
        return self.frame[self.columns[role]] if role in self.columns else None

    def _at(self, value: Any, i: int, scale: float) -> int:
        if value is None:
            return invented(i)
        try:
            return round(value * scale) if isinstance(value, int | float) else micros(value)
        except (ValueError, OverflowError):
            raise InvalidEvent("time", value, "ISO 8601, or seconds since 1970") from None

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
        unsaid = {"propensity"} if self._stated else set()
        out = [*self._read_as, *(self._role_note(role) for role in self.columns if role not in unsaid)]
        if "arms" not in self.columns:
            out.append(
                f"no column of candidates: each decision could have been any of the {len(self.every_arm)} arms; "
                "if a column lists them, say --column arms=NAME"
            )
            if "pmf" in self.columns:
                out.append(f"probabilities are taken in the order of the arms' numbers: {', '.join(self.every_arm)}")
        if "pmf" not in self.columns:
            out.append("no column of all probabilities: only the chosen arm's is known")
        out += repeated.note(self.repeats)
        if "event_id" not in self.columns:
            out.append(
                "no column of event ids: rows are named by their content and the rows before them; a log "
                "whose rewards are still to come needs one"
            )
        if "unit_id" not in self.columns:
            out.append(
                "no column of units (who was asked): every row is a unit of its own; if a column names them, "
                "say --column unit_id=NAME"
            )
        out += [*self._reward_note(), *self._time_notes(), *[NOTE] * self.order.after_draw]
        own = [c for c in self.frame.columns if c in INTERACTIONS.names and c not in self.columns.values()]
        if own and not set(own) & {*self.features, *self.arm_columns}:
            out.append(f"columns {', '.join(own)} are left out: a log of ours says with them who decided, and when")
        out += ["a column without a name is left out: give it one"] * ("" in self.frame.columns)
        out += [f"column {c} is left out: it is pandas' index" for c in self.frame.columns if INDEX.fullmatch(c)]
        return out + [f"column {column} is left out: {self.frame[column].dtype}" for column in self.left_out]

    def _role_note(self, role: str) -> str:
        if (column := self.columns[role]) == DERIVED:
            return f"column {self.columns['pmf']} has all probabilities: the propensity is the chosen arm's"
        return f"column {column} is the {role}"

    def _reward_note(self) -> list[str]:
        column = self.columns["reward"]
        empty = sum(map(unmeasured, self.frame[column]))
        note = f"column {column} is empty in {empty} of {len(self.frame)} rows: no reward came there, which counts as "
        return [note + "the declared default (reward.default in app.toml)"] if empty else []

    def _time_notes(self) -> list[str]:
        if "at" not in self.columns:
            said = "no column of times: rows are dated one second apart from the year 2000, in their order"
            return [f"{said}; if a column says when it was decided, say --column at=NAME"]
        times, out = self.frame[self.columns["at"]], []
        if times.dtype.is_numeric():
            unit = next(word for _, scale, word in _EPOCH_UNITS if scale == self._time_scale())
            out.append(f"times are {unit} since 1970")
        elif not any(map(zoned, times.drop_nulls().head(HEAD))):
            out.append(f"times in column {times.name} name no zone: they are taken for UTC, not for local time")
        if empty := sum(map(unmeasured, times)):
            out.append(f"{empty} of {len(times)} rows have no time: they are dated in the year 2000, by their order")
        return out


def _object_or_none(value: Any) -> dict[str, Any]:
    with suppress(TypeError, ValueError):
        return as_object(value)
    return {}


def _number(role: str, value: Any) -> float:
    """Raises InvalidEvent naming the role."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InvalidEvent(role, value, "a number") from None


def _empty(role: str, value: Any) -> bool:
    return unmeasured(value) if role in ("propensity", "reward", "at") else missing(value)


def _bytes(row: Iterable[Any]) -> bytes:
    """A row's content; a number is the same whether its column was read as whole numbers or not."""
    return repr([float(v) if isinstance(v, int) and abs(v) < 2**53 else v for v in row]).encode()


def _own(features: Any) -> dict[str, Any] | None:
    """What a row says of one candidate; None of an arm of the catalogue."""
    return None if features is None else features_of(as_object(features))
