"""`make bench [ROOM=serving]`: every `bench_<room>*.py` beside this file or in a folder there has `rows()`, a dict each.

Prints one table and writes `var/bench/<room>.json`. Ratios are of one run on one machine: ours against a peer or a
measured limit; min–max over rounds says how noisy the machine was. A benchmark is never a timed test.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

KEYS = ("name", "workload", "ours", "other", "unit", "ratio", "ratio_min", "ratio_max", "rounds", "target", "met")
LONG = {"chain", "learning"}  # asked for by name: `make bench ROOM=chain`, `make bench-learning`
HERE = Path(__file__).resolve().parent


def measure(file: Path) -> list[dict[str, Any]]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows: list[dict[str, Any]] = module.rows()
    for row in rows:
        if set(row) != set(KEYS):
            raise ValueError(f"{file.name}: found keys {sorted(row)}, expected {sorted(KEYS)}")
    return rows


def show(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table("name", "workload", "ours", "other", "unit", "ratio (min–max)", "target", "met")
    for r in rows:
        spread = f"{r['ratio']:.3g} ({r['ratio_min']:.3g}–{r['ratio_max']:.3g})"
        numbers = [f"{r[k]:.4g}" if isinstance(r[k], float) else str(r[k]) for k in ("ours", "other")]
        met = "yes" if r["met"] else "no"
        table.add_row(r["name"], r["workload"], *numbers, r["unit"], spread, str(r["target"]), met)
    console.print(table)


def main() -> int:
    wanted = os.environ.get("ROOM", "")
    out = HERE.parents[1] / "var" / "bench"
    out.mkdir(parents=True, exist_ok=True)
    console, rooms, failed = Console(width=160), {}, []
    for file in sorted(HERE.rglob("bench_*.py"), key=lambda path: path.name):
        room = file.stem.split("_")[1]
        if room == wanted or (not wanted and room not in LONG):
            console.print(f"[dim]{file.name} …[/dim]")
            try:
                rooms.setdefault(room, []).extend(measure(file))
            except Exception as error:
                console.print(f"{file.name} failed: {type(error).__name__}: {error}")
                failed.append(file.name)
    for room, rows in rooms.items():
        (out / f"{room}.json").write_text(json.dumps(rows, indent=1))
        show(rows, console)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
