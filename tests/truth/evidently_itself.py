"""Evidently itself beside the default tests that `croupier simulate health` compares (`evidently_tests.py`): the same
columns, drift or none, where it has the rows and we have the hourly figures.

    python -m tests.truth.evidently_itself [SEEDS]

Evidently is installed into an environment of its own below `var/cache` (it needs an older pandas than ours). Days of the
reels world: the week before is sound, and the last day has what is planted.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from croupier.features.settings import Settings
from croupier.features.worlds.hours import Trouble
from croupier.models.health.history import History
from croupier.models.health.season import DAY_HOURS, WEEK_HOURS
from croupier.models.simulation.health.evidently_tests import drifting
from croupier.models.simulation.health.faults import FAULTS
from croupier.models.simulation.health.rates import Run
from croupier.models.simulation.health.worlds import REELS, made

WANTED = ("evidently==0.7.23", "pandas<3")
SOUND = "nothing"
FAULTY = (
    "a feature frozen",
    "a feature scaled by 100",
    "two features swapped",
    "a category renamed",
    "bot traffic, one unit 30 %",
    "one segment's taste flips",
)
ITSELF = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

numbers, folder = json.loads(sys.argv[1]), sys.argv[2]
week, day = (pd.read_csv(f"{folder}/{name}.csv") for name in ("week", "day"))
kinds = DataDefinition(numerical_columns=numbers, categorical_columns=[c for c in day if c not in numbers])
week, day = (Dataset.from_pandas(each, data_definition=kinds) for each in (week, day))
found = {}
for each in Report([DataDriftPreset()]).run(day, week).dict()["metrics"]:
    said = each["config"]
    if "column" in said:
        by_p_value = "p_value" in said["method"]
        drifts = each["value"] < said["threshold"] if by_p_value else each["value"] >= said["threshold"]
        found[said["column"]] = {"method": said["method"], "value": float(each["value"]), "drifts": bool(drifts)}
print(json.dumps(found))
"""


def installed() -> Path:
    """Returns the interpreter of Evidently's environment, made if it is not there."""
    folder = Settings().var / "cache" / "evidently"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *WANTED], check=True)
    return python


def compared(seed: int, per_day: int, python: Path) -> Iterator[dict[str, Any]]:
    """Yields, of each fault and column, what Evidently said of the rows, and what our figures say."""
    app, at = made(REELS, seed=seed, per_day=per_day), 2 * WEEK_HOURS + seed
    run = Run(app, at, 0.5)
    numbers = [name for name, feature in run.spec.context.items() if feature.type == "numeric"]
    before = range(at - WEEK_HOURS, at)
    week, figures = _rows(run, before, None), [run.figures(t) for t in before]
    for fault in (SOUND, *FAULTY):
        trouble = None if fault == SOUND else FAULTS[fault][1](seed, at)
        after = range(at, at + DAY_HOURS)
        day, theirs = _rows(run, after, trouble), [*figures, *(run.figures(t, trouble) for t in after)]
        ours = drifting(History.of(theirs))
        for column, said in _itself(python, numbers, week, day).items():
            yield {"seed": seed, "fault": fault, "column": column, **said, "ours": f"context.{column}" in ours}


def _rows(run: Run, hours: range, trouble: Trouble | None) -> pl.DataFrame:
    contexts = pl.concat([run.app.hour(t, trouble).interactions for t in hours])["context"]
    return pl.DataFrame([json.loads(text) for text in contexts])


def _itself(python: Path, numbers: list[str], week: pl.DataFrame, day: pl.DataFrame) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        week.write_csv(f"{folder}/week.csv")
        day.write_csv(f"{folder}/day.csv")
        asked = [python, "-c", ITSELF, json.dumps(numbers), folder]
        found: dict[str, Any] = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    return found


def main(seeds: int = 3) -> None:
    """Prints what differs, and how many columns of how many were said alike."""
    python, rows = installed(), list[dict[str, Any]]()
    for seed in range(seeds):
        for per_day in (12_000, 120):
            rows += compared(seed, per_day, python)
    for row in rows:
        if row["drifts"] != row["ours"]:
            print("otherwise:", json.dumps(row))
    for method in sorted({row["method"] for row in rows}):
        part = [row for row in rows if row["method"] == method]
        alike, drift = sum(row["drifts"] == row["ours"] for row in part), sum(row["drifts"] for row in part)
        print(f"{method}: {alike} of {len(part)} columns said alike, {drift} of which drift by Evidently")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
