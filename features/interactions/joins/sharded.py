"""One hour shard by shard of its event ids, and the shards merged into the hour's version.

Each shard reads the hour's objects and keeps its own ids (log/index/shard.py); what it comes to is written to a file,
sorted as the join in memory sorts. The files are merged on disk. So an hour takes the memory of a shard, and comes to
the same rows, in the same order, and to the same account, as where it is joined at once.
"""

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from croupier.features.interactions import versions
from croupier.features.interactions.account import Account, Unbalanced
from croupier.features.interactions.joins import in_memory, merged
from croupier.features.interactions.versions import Version, empty
from croupier.features.log.index.shard import Shard
from croupier.features.log.shipped import PLACE, PLACED, REWARD, LogRewritten, ShippedLog, batches, scan_rows
from croupier.features.reward import ORDER
from croupier.features.spec import RewardSpec
from croupier.features.store import layout, parquet

HELD = 50_000  # rows of all parts together that a merge has in memory
SHARDS = 128  # of an hour, at most: a merge has a file of each open
PART = pl.Schema({**empty().schema, PLACE: PLACED[PLACE]})


@dataclass(frozen=True, kw_only=True)
class HourPart:
    """What a shard of an hour comes to: `data` (interactions with PLACE) and `late` are where its files are. `seen`:
    which log that was; parts of two logs do not fit together."""

    data: str
    late: str
    account: dict[str, int]
    seen: dict[str, Any] = field(default_factory=dict)


def shards(rows: int, most: int) -> int:
    """How many shards an hour of so many decisions has, of about `most` each; 1 where `most` is 0, and never more than
    SHARDS."""
    return min(max(1, -(-rows // most)), SHARDS) if most else 1


def join(log: ShippedLog, hour: str, of: int, spec: RewardSpec, *, now: int) -> Account:
    """Joins an hour in `of` shards, one after the other, as it stands at `now` (UTC µs), and writes its version where
    it differs. Returns its account. Raises LogRewritten and Unbalanced."""
    with tempfile.TemporaryDirectory(prefix="croupier-") as folder:
        ours = [replace(log, shard=Shard(number, of)) for number in range(of)]
        parts = [joined(each, hour, spec, now=now, folder=Path(folder)) for each in ours]
        return Account.from_dict(version(log, hour, parts, joined_at=now).account)


def joined(log: ShippedLog, hour: str, spec: RewardSpec, *, now: int, folder: Path) -> HourPart:
    """Joins the shard of an hour that `log` reads, and writes it into `folder`. Raises LogRewritten and Unbalanced."""
    shard, seen = log.shard or Shard(0, 1), _seen(log, hour)
    ((_, data, late, account),) = in_memory.joined(log, [hour], spec, now=now)
    if _seen(log, hour) != seen:
        raise LogRewritten(f"{hour}: its objects changed while they were read; join again")
    files = [folder / f"{shard.number}{suffix}" for suffix in (layout.PARQUET, layout.LATE)]
    for path, frame in zip(files, (data, late), strict=True):
        parquet.write([frame], path, frame.schema, group=HELD // shard.of + 1)
    return HourPart(data=str(files[0]), late=str(files[1]), account=account.checked().to_dict(), seen=seen)


def _seen(log: ShippedLog, hour: str) -> dict[str, Any]:
    return {
        "epoch": log.epoch,
        "objects": log.keys("decisions", hour),
        "rows": log.rows("decisions", hour),
    }


def version(log: ShippedLog, hour: str, parts: list[HourPart], *, joined_at: int) -> Version:
    """Makes what all shards of an hour come to its newest version, unless that says the same already; `joined_at` in
    UTC µs. Raises LogRewritten where the parts are of different logs, or of another one than `log` is now."""
    seen = parts[0].seen
    if any(part.seen != seen for part in parts) or seen["objects"] != log.keys("decisions", hour):
        raise LogRewritten(f"{hour}: its shards were read from different logs; join again")
    if seen["epoch"] != log.epoch:
        raise LogRewritten(f"{hour}: a unit was forgotten since its shards were joined; join again")
    account = sum((Account.from_dict(part.account) for part in parts), Account())
    _complete(hour, account, seen["rows"], len(parts))
    with tempfile.TemporaryDirectory(prefix="croupier-") as folder:
        data, late = (Path(folder, f"merged{suffix}") for suffix in (layout.PARQUET, layout.LATE))
        of = HELD // len(parts) + 1
        held = merged.merged((batches(Path(part.data), PART, of) for part in parts), ("at", PLACE))
        rows = parquet.write((frame.drop(PLACE) for frame in held), data, empty().schema)
        tardy = merged.merged((batches(Path(part.late), REWARD, of) for part in parts), ORDER[:1])
        files = {layout.PARQUET: data} | ({layout.LATE: late} if parquet.write(tardy, late, REWARD) else {})
        found = scan_rows([data], empty().schema)
        return versions.publish(log, hour, found, files, rows=rows, account=account, joined_at=joined_at)


def _complete(hour: str, account: Account, rows: int, of: int) -> None:
    """Raises Unbalanced unless the shards together have each decision of the log once."""
    found = account.decisions_in - account.decisions_malformed - account.thinned
    if found != rows:
        raise Unbalanced(f"{hour}: found {found} decisions in its {of} shards, expected the {rows} of its log")
