"""An app `shop` of the reels world with joined and validated hours in its store, as `build_features` would have left
them: for tests of what health makes of them. Decisions lie in the log, too, by the host that made them."""

import io

import polars as pl

from croupier.features.encoding import catalogue
from croupier.features.interactions import hours, versions
from croupier.features.interactions.account import Account
from croupier.features.log.shipped import open_log
from croupier.features.schema import ADDED
from croupier.features.store import log_layout
from croupier.features.utc import HOUR, hour_name
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels_hours import ReelsHours


def declare(app: ReelsHours) -> Workspace:
    """Below CROUPIER_VAR as it is set."""
    w = Workspace.open("shop")
    w.home.mkdir(parents=True)
    (w.home / "app.toml").write_text(app.world.app_toml())
    catalogue.write(w.home / "catalogue.json", app.world.arms())
    return w


def joined(w: Workspace, app: ReelsHours, of, trouble=None) -> None:
    """The hours' versions, and their decisions' ids in the log."""
    with open_log(w.store) as log:
        for t in of:
            _joined(w, log, app, t, trouble)


def _joined(w: Workspace, log, app: ReelsHours, t: int, trouble) -> None:
    made, name = app.hour(t, trouble), hour_name(app.start + t * HOUR)
    rows = (
        made.interactions.with_columns(
            catalogue=pl.lit(""),
            encoder=pl.lit(""),
            stage=pl.lit(""),
            posterior_step=pl.lit(0),
            fallback_reason=pl.lit(""),
            pass_probability=pl.lit(1.0),
            **{name: pl.lit(value) for name, value in ADDED.items()},
        )
        .select(versions.empty().columns)
        .cast(versions.empty().schema)
    )
    for host, part in rows.join(made.logged, on="event_id").partition_by("host", as_dict=True).items():
        raw = io.BytesIO()
        part.drop("host").write_parquet(raw)
        key = f"{log_layout.log_hour('decisions', name)}{host[0]}-{log_layout.log_rows('s1', t, t)}"  # as older logs are keyed
        w.store.put(key, raw.getvalue())
    late = rows.head(0).select("event_id")
    version = versions.commit(log, name, rows, late, Account.from_dict(made.account), joined_at=0)
    hours.record(w.store, version, hours.Checked(passed=True, rows=len(rows)))
