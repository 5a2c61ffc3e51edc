"""How often the gate's own checks refuse a sound log, and how often they catch a column that came too late: counted by
the gate's entry, `evaluate`, on logs of many kinds (models/simulation/check_logs.py).

`croupier simulate gate --checks checks.json --page models/GATE.md` counts them and shows them there.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from croupier.features.spec import GateSpec
from croupier.models.gate.evaluation import evaluate
from croupier.models.policy import make
from croupier.models.simulation import marked
from croupier.models.simulation.check_logs import KINDS, LEAKS, Drawn, draw

SOUND, LEAKY = 1200, 60  # logs: sound ones in all, and of each leak
CHECKS = ("features_before_decision", "estimators_agree")
HEAD_SOUND = "| sound logs | logs | refused by the checks | unchecked | propensities refused | null promoted |"
HEAD_LEAKY = (
    "| logs with a column that came too late | logs | caught | null promoted, without the checks | "
    "learnt promoted, without the checks |"
)
MARK = "checks"


def count(
    *, sound: int = SOUND, leaky: int = LEAKY, seed: int = 0, progress: Callable[[int], object] = lambda _: None
) -> list[dict[str, Any]]:
    """One row a log."""
    table = []
    for number, leak in enumerate(("", *LEAKS)):
        for k in range(leaky if leak else sound):
            table.append(judged(draw(np.random.default_rng([seed, number, k]), leak), leak))
            progress(1)
    return table


def judged(found: Drawn, leak: str) -> dict[str, Any]:
    """What the gate says of two candidates on the later half: the middle arm always, whose lift is 0, and a policy that
    learnt the earlier half, late columns included."""
    half = len(found.log) // 2
    learnt = make("lin_ts").learn([found.log[:half]], seed=0)
    policies = {"uniform": make("uniform"), "null": make("fixed_arm", arm=found.middle), "learnt": learnt}
    result = evaluate(policies, found.log[half:], champion="uniform", floor=0.02, gate=GateSpec())
    row: dict[str, Any] = {"leak": leak, **found.kind}
    for name in ("null", "learnt"):
        verdict = result.policies[name].verdict
        assert verdict is not None
        conditions = {c.name: c for c in verdict.conditions}
        refused = [c for c in CHECKS if conditions[c].passed is False]
        row[name] = {
            "decision": verdict.decision, "refused": refused, "failed": list(verdict.failed),
            "unchecked": list(verdict.unchecked),
            "without_checks": all(c.holds for c in verdict.conditions if c.name.partition(":")[0] not in CHECKS),
        }  # fmt: skip
    return row


def share(rows: Sequence[Mapping[str, Any]], what: Callable[[Mapping[str, Any]], bool]) -> float:
    """Returns the share of rows for which `what` holds; NaN of none."""
    return sum(map(what, rows)) / len(rows) if rows else float("nan")


def refused(row: Mapping[str, Any]) -> bool:
    """True if a check of the features, or of the estimators, did not pass for any candidate."""
    return any(row[name]["refused"] for name in ("null", "learnt"))


def unchecked(row: Mapping[str, Any]) -> bool:
    """True if a check that could not be made counts as not passed for the null candidate."""
    return bool(set(row["null"]["failed"]) & set(row["null"]["unchecked"]))


def markdown(table: Sequence[Mapping[str, Any]]) -> str:
    """Sound logs by kind, then leaky ones by leak; shares in %."""
    sound = [r for r in table if not r["leak"]]
    lines = [HEAD_SOUND, "|---|---|---|---|---|---|", _sound("all", sound)]  # fmt: skip
    lines += [
        _sound(f"{name}: {value}", [r for r in sound if r[name] == value])
        for name, values in KINDS.items()
        for value in values
    ]
    by_leak: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in table:
        if row["leak"]:
            by_leak[row["leak"]].append(row)
    lines += ["", HEAD_LEAKY, "|---|---|---|---|---|"]
    whole = [row for rows in by_leak.values() for row in rows]
    lines += [_leaky(name, rows) for name, rows in [("all", whole), *by_leak.items()]]
    return "\n".join(lines) + "\n"


def _sound(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    lied = share(rows, lambda r: "propensity_self_test" in r["null"]["failed"])
    promoted = share(rows, lambda r: r["null"]["decision"] == "promote")
    cells = (share(rows, refused), share(rows, unchecked), lied, promoted)
    return f"| {name} | {len(rows):,} | " + " | ".join(f"{100 * cell:.1f}" for cell in cells) + " |"


def _leaky(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [f"{100 * share(rows, refused):.0f}"]
    for policy in ("null", "learnt"):
        promoted = share(rows, lambda r, p=policy: r[p]["decision"] == "promote")  # type: ignore[misc]
        unguarded = share(rows, lambda r, p=policy: r[p]["without_checks"])  # type: ignore[misc]
        cells.append(f"{100 * promoted:.1f}, {100 * unguarded:.1f}")
    return f"| {name} | {len(rows):,} | {' | '.join(cells)} |"


def write_page(table: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Put the tables between the marks of a Markdown page."""
    marked.put(page, MARK, markdown(table))
