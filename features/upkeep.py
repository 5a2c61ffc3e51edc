"""The steps of the `collect_events` DAG: keep the log flowing, right, and no longer than it may be kept."""

from typing import Any

from croupier.features import clock
from croupier.features.interactions import privacy
from croupier.features.interactions.restate import restate as restate_hours
from croupier.features.log import room
from croupier.features.log.index.merge import merge
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.utc import to_us
from croupier.features.workspace import Workspace


def carry(w: Workspace, spool: Spool) -> dict[str, int]:
    """Ships this host's log, and lets what is safe in the store leave it: the shipper beside a server, again and again.
    Returns the rows shipped by kind, and those that left as "pruned". A broken app.toml keeps nothing from being
    shipped; it is raised afterwards."""
    report = ship(spool, w.store, host=w.settings.host)
    declared = (w.home / layout.APP_TOML).exists()  # a host may only share the store
    window = room.retry_window(w.spec if declared else AppSpec())
    pruned = room.make_room(spool, w.store, window=window, now=clock.now_us())
    return {"decisions": report.decisions, "rewards": report.rewards, "rejects": report.rejects, "pruned": pruned}


def restate(app: str) -> dict[str, Any]:
    """Joins again the hours joined before that late events, or closed windows, have changed since: joined again, as new
    versions."""
    w = Workspace.open(app)
    return {"hours": restate_hours(w.store, w.spec.reward, now=clock.now(), most=w.settings.join_rows)}


def retain(app: str) -> dict[str, int]:
    """Ends a `forget` that died half-way; deletes what is older than CROUPIER_RETENTION_DAYS, and what the spool need
    not keep."""
    w, now = Workspace.open(app), clock.now()
    spool, host = w.spool(), w.settings.host
    try:
        most = w.settings.join_rows
        privacy.finish(w.store, spool, w.spec.reward, host=host, now=now, reports=w.with_rows, most=most)
        merged = merge(w.store, now=to_us(now))
        days, window = w.settings.retention_days, room.retry_window(w.spec)
        return privacy.retain(w.store, spool, days=days, now=now, window=window) | {"merged": merged["made"]}
    finally:
        spool.close()
