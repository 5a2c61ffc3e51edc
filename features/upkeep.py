"""The steps of the `collect_events` DAG: keep the log flowing, right, and no longer than it may be kept."""

from typing import Any

from croupier.features import clock
from croupier.features.interactions import privacy
from croupier.features.interactions.restate import restate as restate_hours
from croupier.features.workspace import Workspace


def restate(app: str) -> dict[str, Any]:
    """Joins again the hours joined before that late events, or closed windows, have changed since: joined again, as new
    versions."""
    w = Workspace.open(app)
    return {"hours": restate_hours(w.store, w.spec.reward, now=clock.now())}


def retain(app: str) -> dict[str, int]:
    """Ends a `forget` that died half-way; deletes what is older than CROUPIER_RETENTION_DAYS, and what the spool need
    not keep."""
    w, now = Workspace.open(app), clock.now()
    spool, host = w.spool(), w.settings.host
    try:
        privacy.finish(w.store, spool, w.spec.reward, host=host, now=now, reports=w.with_rows)
        return privacy.retain(w.store, spool, days=w.settings.retention_days, host=host, now=now)
    finally:
        spool.close()
