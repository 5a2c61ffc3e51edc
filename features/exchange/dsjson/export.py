"""Interactions → VW's DSJSON, which `vw --dsjson --cb_explore_adf -q CA` trains on as it is."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import polars as pl

from croupier.features.schema import Arm, Decision


def export(interactions: pl.DataFrame, arms: Sequence[Arm]) -> Iterator[bytes]:
    """Lines (with newline) of arrow.INTERACTIONS. Cost is −reward. Raises ValueError on a feature name that VW would
    swallow (a leading underscore)."""
    features = {arm.arm_id: _named(arm.features) for arm in arms}
    for row in interactions.iter_rows(named=True):
        d = Decision.from_row(row)
        chosen = d.arms.index(d.arm)
        order = [chosen, *(i for i in range(len(d.arms)) if i != chosen)]
        pairs = d.arm_context or ({},) * len(d.arms)
        multi = [
            {"_tag": arm, "Arm": features.get(arm, {}), "Pair": _named(pair)}
            for arm, pair in zip(d.arms, pairs, strict=True)
        ]
        at = datetime.fromtimestamp(d.at // 1_000_000, UTC).replace(microsecond=d.at % 1_000_000)
        line = {
            "_label_cost": 0.0 - row["reward"], "_label_probability": d.propensity, "_label_Action": chosen + 1,
            "_labelIndex": chosen, "Version": "1", "EventId": d.event_id, "Timestamp": at.isoformat(),
            "a": [i + 1 for i in order], "c": {"Context": _named(d.context), "_multi": multi},
            "p": [d.pmf[i] for i in order], "pdrop": 1.0 - d.pass_probability,
            "Croupier": {"unit_id": d.unit_id, "policy": d.policy, "role": d.role, "stage": d.stage},
        }  # fmt: skip
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _named(features: Mapping[str, Any]) -> dict[str, Any]:
    """Returns features as VW can tell them apart: no missing values, float lists element by element."""
    out: dict[str, Any] = {}
    for name, value in features.items():
        if name.startswith("_"):
            raise ValueError(f"feature {name!r}: VW ignores names that start with an underscore; rename it to export")
        if isinstance(value, list):
            out |= {f"{name}[{i}]": x for i, x in enumerate(value)}
        elif value is not None:
            out[name] = value
    return out
