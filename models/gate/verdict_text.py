"""A gate's verdict as plain text, for a task's log: what was decided, and every condition with what was found."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from croupier.features.schema import CANDIDATE
from croupier.models.gate.gate_page import state

SIGNS = {">=": "≥", "<=": "≤"}
HEAD = ("condition", "found", "needed", "")


def table(verdict: Mapping[str, Any]) -> str:
    """Returns the lines of what `training.judge` returned for one app. One block a candidate, one line a condition."""
    body = verdict["evaluation"]
    if body is None:
        return f"{verdict['app']}: {verdict['summary']}"
    said = f"promoted: {body['promoted']}" if body["promoted"] else f"nothing is promoted: {body['champion']} stays"
    lines = [f"{verdict['app']}: {said}; {_judged_rows(body)}, error {body['alpha']:.3g}"]
    for name, policy in body["policies"].items():
        if policy["role"] == CANDIDATE:
            lines += ["", *_candidate(name, policy)]
    lines += [f"\n{name}: NOT JUDGED: {why}" for name, why in body["failed"].items()]
    return "\n".join(lines)


def _judged_rows(body: Mapping[str, Any]) -> str:
    """What was judged, and what a reward is counted by."""
    slates = body.get("slates")
    if not slates:
        return f"{body['rows']:,} rows judged, reward per decision"
    out = f", {slates['left_out']:,} decisions left out" if slates["left_out"] else ""
    said = f"judged by slate: {body['rows']:,} slates of up to {slates['slots']} slots{out}"
    return f"{said}, reward per slate by cascade-DR"


def held_back(conditions: Sequence[Mapping[str, Any]]) -> str:
    """Returns which conditions were not met, and which could not be checked; "" where all hold."""
    found: dict[str, list[str]] = {"not met": [], "could not be checked, which holds it back": [], "not checked": []}
    for c in conditions:
        kind = (0 if c["passed"] is False else 1 if state(c) == "no" else 2) if c["passed"] is not True else None
        if kind is not None:
            found[[*found][kind]].append(c["name"])
    return "".join(f"; {words}: {', '.join(names)}" for words, names in found.items() if names)


def show(verdicts: Sequence[Mapping[str, Any]]) -> None:
    """Prints each table. Raises ValueError where no candidate of an app could be judged at all: an app whose verdicts
    can never publish anything must not look well."""
    for verdict in verdicts:
        print(table(verdict))
    lost = [v for v in verdicts if v["evaluation"] and v["evaluation"]["failed"] and not _judged(v["evaluation"])]
    if lost:
        why = [f"{v['app']}: {name}: {reason}" for v in lost for name, reason in v["evaluation"]["failed"].items()]
        raise ValueError(f"found no candidate that could be judged, expected one at least: {'; '.join(why)}")


def _judged(body: Mapping[str, Any]) -> bool:
    return any(policy["role"] == CANDIDATE for policy in body["policies"].values())


def _candidate(name: str, policy: Mapping[str, Any]) -> Iterator[str]:
    lift = policy["lift"]
    needed = policy["rows_needed"]
    more = f"; about {needed:,} more rows would tell" if needed else ""
    yield (
        f"{name}: {policy['verdict']}; lift {_number(lift['value'])}, from {_number(lift['lower'])} "
        f"to {_number(lift.get('upper'))}{more}"
    )
    rows = [HEAD, *map(_row, policy["conditions"])]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for condition, found, threshold, outcome in rows:
        yield f"  {condition:<{widths[0]}}  {found:>{widths[1]}}  {threshold:>{widths[2]}}  {outcome}".rstrip()


def _row(c: Mapping[str, Any]) -> tuple[str, str, str, str]:
    unchecked = c["passed"] is None  # a value of None alone is an infinity
    outcome = "NOT CHECKED" if unchecked else "passed" if c["passed"] else "NOT PASSED"
    reason = f": {c['reason']}" if c.get("reason") else ""
    found = "–" if unchecked else _number(c["value"])
    return c["name"], found, f"{SIGNS.get(c['relation'], c['relation'])} {_number(c['threshold'])}", outcome + reason


def _number(value: float | None) -> str:
    return "–" if value is None or not isfinite(value) else f"{value:.4g}"
