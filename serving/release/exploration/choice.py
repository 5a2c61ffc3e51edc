"""Whom to explore toward: asked of each verdict that promotes nothing."""

from collections.abc import Mapping
from typing import Any

from croupier.features.schema import CANDIDATE
from croupier.features.utc import DAY
from croupier.models.gate.gate import UNDECIDED

# conditions of the gate that more rows of the same log do not mend
NOT_BY_ROWS = {"propensity_self_test", "features_before_decision", "estimators_agree", "support", "data_quality"}


def wanted(evaluation: Mapping[str, Any]) -> str:
    """Returns the candidate whose lift is estimated highest among those that lack evidence which more rows would bring,
    from the JSON of an evaluation; "" where there is none."""
    judged = {name: p for name, p in evaluation["policies"].items() if p["role"] == CANDIDATE}
    lifts = {name: p["lift"]["value"] for name, p in judged.items() if _lacks_rows(p)}
    return max(lifts, key=lambda name: lifts[name], default="")


def _lacks_rows(policy: Mapping[str, Any]) -> bool:
    failed = {c["name"].partition(":")[0] for c in policy["conditions"] if c["passed"] is False}
    return policy["verdict"] == UNDECIDED and not failed & NOT_BY_ROWS


def explores_already(entry: Mapping[str, Any] | None, *, name: str, share: float, features: str, end: int) -> bool:
    """True if a release with this entry explores as it should toward `name` ("": toward nobody), whose newest model
    learnt `features` up to `end` (UTC µs; 0: an interval by hand). The model in a release is renewed once a day."""
    if not name or entry is None:
        return not name and entry is None
    if (entry["policy"], entry["share"]) != (name, share):
        return False
    return bool(entry["features"] == features or (end and end - entry["until"] < DAY))
