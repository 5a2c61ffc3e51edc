"""Interactions → VW's DSJSON, which `vw --dsjson --cb_explore_adf -q CA` trains on as it is; pages of several slots as
lines of its CCB, for `vw --dsjson --ccb_explore_adf`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from croupier.features.encoding.as_sent import flattened
from croupier.features.exchange.dsjson.pages import line_of, pages
from croupier.features.schema import Arm, Decision
from croupier.features.utc import from_us


def export(interactions: pl.DataFrame, arms: Sequence[Arm]) -> Iterator[bytes]:
    """Lines (with newline) of arrow.INTERACTIONS. Cost is −reward. Raises ValueError on a feature name that VW would
    swallow (a leading underscore)."""
    features = {arm.arm_id: _named(flattened(arm.features, arm.arm_id)) for arm in arms}
    rest = {rows[0]: rows for rows in pages(interactions).values()}
    with_others = {row for rows in rest.values() for row in rows[1:]}
    for i in range(len(interactions)):
        if i not in with_others:
            yield from _lines(interactions[rest.get(i, [i])], features)


def _lines(rows: pl.DataFrame, features: Mapping[str, Mapping[str, Any]]) -> Iterator[bytes]:
    """One line for all of a page, or one a row."""
    found = [(Decision.from_row(row), row["reward"]) for row in rows.iter_rows(named=True)]
    actions = [_actions(d, features) for d, _ in found]
    page = line_of([(d, reward) for d, reward in found], actions) if len(found) > 1 else None
    if page is not None:
        page["c"] = {
            "Context": _named(page["c"]["Context"]), "_multi": page["c"]["_multi"],
            "_slots": [{"_id": slot.pop("_id"), **_named(slot)} for slot in page["c"]["_slots"]],
        }  # fmt: skip
    single = [_single(*each, own) for each, own in zip(found, actions, strict=True)]
    for line in [page | _about(found[0][0])] if page else single:
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _single(d: Decision, reward: float, actions: list[dict[str, Any]]) -> dict[str, Any]:
    chosen = d.arms.index(d.arm)
    order = [chosen, *(i for i in range(len(d.arms)) if i != chosen)]
    return {
        "_label_cost": 0.0 - reward, "_label_probability": d.propensity, "_label_Action": chosen + 1,
        "_labelIndex": chosen, "EventId": d.event_id, "a": [i + 1 for i in order],
        "c": {"Context": _named(d.context), "_multi": actions}, "p": [d.pmf[i] for i in order],
    } | _about(d)  # fmt: skip


def _about(d: Decision) -> dict[str, Any]:
    """What a line says beside what VW reads; `brought`: the arms that the request brought along."""
    own = {"unit_id": d.unit_id, "policy": d.policy, "role": d.role, "stage": d.stage}
    brought = [arm for arm, given in zip(d.arms, d.arm_features, strict=False) if given is not None]
    return {
        "Version": "1", "Timestamp": from_us(d.at).isoformat(), "pdrop": 1.0 - d.pass_probability,
        "Croupier": own | ({"brought": brought} if brought else {}),
    }  # fmt: skip


def _actions(d: Decision, features: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    pairs, given = d.arm_context or ({},) * len(d.arms), d.arm_features or (None,) * len(d.arms)
    return [
        {"_tag": arm, "Arm": features.get(arm, {}) if own is None else _named(own), "Pair": _named(pair)}
        for arm, own, pair in zip(d.arms, given, pairs, strict=True)
    ]


def _named(features: Mapping[str, Any]) -> dict[str, Any]:
    """Returns features as VW can tell them apart: no missing values, lists of numbers element by element, of words word
    by word."""
    out: dict[str, Any] = {}
    for name, value in features.items():
        if name.startswith("_"):
            raise ValueError(f"feature {name!r}: VW ignores names that start with an underscore; rename it to export")
        if isinstance(value, list) and any(isinstance(x, str) for x in value):
            out |= {f"{name}[={x}]": True for x in value}
        elif isinstance(value, list):
            out |= {f"{name}[{i}]": x for i, x in enumerate(value)}
        elif value is not None:
            out[name] = value
    return out
