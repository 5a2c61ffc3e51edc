"""What a virtual month has come to, kept in `month.json` beside its app at the end of each day."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from croupier.features.store import layout


@dataclass(kw_only=True)
class MonthLedger:
    """What happened: sums by day of what uniform, the served policy and the best one were worth; and every verdict.
    `hours` of it are over."""

    hours: int = 0
    days: dict[int, dict[str, float]] = field(default_factory=dict)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    errors: int = 0
    failed: int = 0
    reached_100: list[int] = field(default_factory=list)
    promoted: list[int] = field(default_factory=list)
    catalogue: list[str] = field(default_factory=list)  # what became of each change of the arms

    def add(self, day: int, values: dict[str, float]) -> None:
        """Adds values to a day's sums."""
        sums = self.days.setdefault(day, dict.fromkeys(values, 0.0))
        for name, value in values.items():
            sums[name] += value

    def write(self, home: Path) -> None:
        """Keeps it, whole or not at all."""
        draft = home / f"{layout.MONTH}.tmp"
        draft.write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_NON_STR_KEYS))
        draft.replace(home / layout.MONTH)

    @classmethod
    def read(cls, home: Path) -> Self:
        """What `write` kept. Raises ValueError where it kept nothing."""
        path = home / layout.MONTH
        if not path.exists():
            raise ValueError(f"{home}: found no month to go on from, expected {layout.MONTH}: begin it with --keep")
        row = orjson.loads(path.read_bytes())
        return cls(**row | {"days": {int(day): sums for day, sums in row["days"].items()}})
