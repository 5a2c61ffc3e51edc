"""A log to be judged: rows with their rewards of a file, a frame, or an app's own log, and what was left out."""

import tomllib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from tqdm import tqdm

from croupier.features.exchange.arm_ids import alike
from croupier.features.exchange.coerce import DeclaredFeatures
from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.importing import declared_records
from croupier.features.exchange.once import events
from croupier.features.exchange.record import Source, all_explained
from croupier.features.exchange.sources import open_source
from croupier.features.exchange.tables.tabular import TableSource
from croupier.features.interactions.versions import read_interactions
from croupier.features.schema import Arm
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.workspace import Workspace

TABLE = Path("the table")  # what errors call a frame, which has no path


@dataclass
class Read:
    """What became of the lines of a log: those skipped by reason, those that repeat an event, the columns left out,
    the decisions that no reward came for, and what was made of rounded probabilities."""

    skipped: Counter[str]
    repeats: int = 0
    left_out: list[str] = field(default_factory=list)
    without_reward: int = 0
    alike: list[str] = field(default_factory=list)
    rounded: list[str] = field(default_factory=list)


def read_log(log: Path | pl.DataFrame, columns: dict[str, str], read: Read) -> tuple[pl.DataFrame, AppSpec, list[Arm]]:
    """Decisions with their rewards, what their features are, and the arms. Rows that cannot be used are counted, lines
    of one event count once; an empty reward means that none came, as it does for `croupier import`."""
    if isinstance(log, Path) and log.is_dir():
        frame, spec, arms = _own(log)
        read.without_reward = int((frame["reward_count"] == 0).sum())
        return frame, spec, arms
    source = source_of(log, unit_key="ope", columns=columns)
    guess = guess_app(source)
    spec = AppSpec.model_validate(tomllib.loads(guess.toml))
    read.left_out += guess.too_late
    found = events(tqdm(declared_records(source, spec), unit="row", unit_scale=True, disable=None), spec.reward)
    read.skipped.update(source.skipped)
    read.rounded = source.rounding.said()
    read.skipped.update({"event id of another decision": found.conflicting} if found.conflicting else {})
    read.repeats = found.repeated
    if not found.rows:
        name = log if isinstance(log, Path) else TABLE
        raise ValueError(f"{name}: found no usable row ({all_explained(read.skipped)})")
    frame = pl.DataFrame(found.rows, infer_schema_length=None)
    read.without_reward = int((frame["reward_count"] == 0).sum())
    arms = DeclaredFeatures(spec).arms(source.arms())
    read.alike = alike(arm.arm_id for arm in arms)
    return frame, spec, arms


def source_of(log: Path | pl.DataFrame, *, unit_key: str, columns: dict[str, str]) -> Source:
    """The reader of a file, by its ending, or of a frame."""
    if isinstance(log, Path):
        return open_source(log, unit_key=unit_key, columns=columns)
    return TableSource(TABLE, unit_key=unit_key, columns=columns, table=log)


def _own(home: Path) -> tuple[pl.DataFrame, AppSpec, list[Arm]]:
    """The newest version of every joined hour of an app, by its folder under var."""
    if not (home / layout.APP_TOML).exists():
        raise ValueError(f"{home}: found no app.toml in it, expected an app's folder, or a file")
    w = Workspace(Settings(var=home.absolute().parent, app=home.absolute().name))
    start, end = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    rows = read_interactions(w.store, start=start, end=end)
    if rows.is_empty():
        raise ValueError(
            f"{home}: found no joined interactions; run `croupier turn` (or build_features), or give a file"
        )
    return rows.sort("at", "event_id"), w.spec, w.arms()
