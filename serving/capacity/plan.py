"""What a rate of decisions needs: arithmetic over measured constants, and over what is assumed, which is all named."""

import math
from dataclasses import dataclass
from typing import Any

from croupier.features.log.room import FULL_FROM
from croupier.features.utc import DAY, DAY_SECONDS, HOUR_SECONDS, SECOND
from croupier.serving.capacity.constants import Constants

MONTH_DAYS = 30
HIGHEST_RATE = 1e9  # decisions a second
LEAST_HOSTS = 2  # one may be away


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What no run here can say. Prices are US dollars, of no provider in particular: put in your own."""

    cores: int = 8  # of a serving host
    busy: float = 0.5  # the share of its cores that decisions may take
    kept_days: int = 400  # CROUPIER_RETENTION_DAYS
    spool_hours: float = 1.0  # rows stay on their host for so long at least (features/log/room.py)
    spare_gb: float = 10.0  # of a volume: releases, and what the log's file has free
    ship_seconds: float = 60.0
    core_hour: float = 0.04
    store_gb_month: float = 0.023
    volume_gb_month: float = 0.08
    thousand_reads: float = 0.0004
    thousand_writes: float = 0.005


def refuse_impossible(rate: float) -> None:
    """Raises ValueError for a rate that no hosts can have, before anything is measured for it."""
    if not 0 < rate <= HIGHEST_RATE:
        expected = f"expected decisions a second above 0, and {HIGHEST_RATE:g} at most"
        raise ValueError(f"rate: found {rate:g}, {expected}")


def plan(c: Constants, a: Assumed, rate: float) -> dict[str, Any]:
    """What `rate` decisions a second need. Raises ValueError where the rate is out of its bounds.

    `hosts` decide one request at a time, `hosts_64` batches of 64. `spool_max_gb_a_host`: CROUPIER_SPOOL_MAX_BYTES.
    `loop_cores`: of the hourly loop, for collecting, joining, validating and encoding; it is one process, so more than
    one core's worth cannot be kept up with (`loop_keeps_up`). `train_rows_a_day`: what a core trains on."""
    refuse_impossible(rate)
    day = rate * DAY_SECONDS
    hosts, hosts_64 = (
        max(LEAST_HOSTS, math.ceil(rate * (each + c.ship_us) / SECOND / (a.cores * a.busy)))
        for each in (c.decide_us, c.decide_64_us)
    )
    loop = rate * c.build_us / SECOND
    stored = day * (c.log_bytes + c.built_bytes) * a.kept_days / 1e9
    spool_max = rate / hosts * (a.spool_hours * HOUR_SECONDS + a.ship_seconds) * c.spool_bytes / FULL_FROM / 1e9
    volume = 2 * spool_max + a.spare_gb  # rewards may take as much again
    shipments = hosts * DAY_SECONDS / a.ship_seconds
    reads = hosts * DAY_SECONDS * c.follow_reads + shipments * c.ship_reads
    writes = shipments * c.ship_writes
    cost = {
        "hosts": hosts * a.cores * a.core_hour * 24 * MONTH_DAYS,
        "loop": math.ceil(loop) * a.core_hour * 24 * MONTH_DAYS,
        "store": stored * a.store_gb_month,
        "volumes": hosts * volume * a.volume_gb_month,
        "requests": MONTH_DAYS * (reads * a.thousand_reads + writes * a.thousand_writes) / 1e3,
    }
    return {
        "rate": rate, "hosts": hosts, "hosts_64": hosts_64, "loop_cores": loop, "loop_keeps_up": loop <= 1.0,
        "train_rows_a_day": DAY / c.train_us, "store_gb_a_day": day * (c.log_bytes + c.built_bytes) / 1e9,
        "store_gb": stored, "spool_max_gb_a_host": spool_max, "volume_gb_a_host": volume,
        "reads_a_day": reads, "writes_a_day": writes,
        "month": {name: round(value, 2) for name, value in cost.items()}, "month_total": round(sum(cost.values()), 2),
    }  # fmt: skip
