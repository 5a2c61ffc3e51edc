"""The join of an app's hours, by its engine: all of them in this process, or a job an hour on a cluster.

What an hour comes to depends on the log alone (interactions/join.py), and a version is written only where it differs
from the one before; so an hour may be joined anywhere, beside others, and twice.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from croupier.features.engines.chosen import engine_of
from croupier.features.engines.engine import LocalEngine
from croupier.features.interactions.account import Account
from croupier.features.interactions.join import join_hours, logged_hours
from croupier.features.log.shipped import LogRewritten, open_log
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import Store, open_store
from croupier.features.utc import from_us, hour_start, to_us
from croupier.features.workspace import Workspace


def join(w: Workspace, hours: Sequence[str], *, now: datetime) -> Account:
    """Joins these hours as they stand at `now`, and writes those that changed. Returns the sum of their accounts.
    Raises StoreUnavailable (call again), Unbalanced, and ValueError where the engine asked for is not installed."""
    engine = engine_of(w.settings)
    if isinstance(engine, LocalEngine):
        return _joined(w.store, list(hours), w.spec.reward, now)  # hours beside each other are read once
    asked = {
        "store": w.store.url,
        "endpoint": w.settings.s3_endpoint,
        "reward": w.spec.reward.model_dump(mode="json"),
        "now": to_us(now),
    }
    found = engine.map(joined_hour, [asked | {"hour": hour} for hour in hours])
    return sum(map(Account.from_dict, found), Account())


def joined_hour(job: dict[str, Any]) -> dict[str, Any]:
    """A job: joins and writes the "hour" of a "store" (its URL) as it stands at "now" (UTC µs), by app.toml's "reward".
    Returns its account. Raises ValueError where this machine sees another store than who asks."""
    store, start = open_store(job["store"], endpoint=job["endpoint"]), from_us(hour_start(job["hour"]))
    if job["hour"] not in logged_hours(store, start=start, end=start + timedelta(hours=1)):
        raise ValueError(
            f"store: found no event of {job['hour']} in {job['store']} on {socket.gethostname()}, expected the log of "
            "who asks: every machine of the cluster must see the same store, S3 or a folder that all have mounted"
        )
    return _joined(store, [job["hour"]], RewardSpec.model_validate(job["reward"]), from_us(job["now"])).to_dict()


def _joined(store: Store, hours: list[str], spec: RewardSpec, now: datetime) -> Account:
    while True:
        with suppress(LogRewritten), open_log(store) as log:  # what is joined must not hold a unit that was forgotten
            return join_hours(log, hours, spec, now=now)
