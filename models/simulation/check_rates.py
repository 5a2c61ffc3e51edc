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
from croupier.models.gate.gate import PROMOTE
from croupier.models.ope.rounds import as_served
from croupier.models.policy import Policy, make
from croupier.models.simulation import marked
from croupier.models.simulation.check_logs import KINDS, LEAKS, Drawn, draw

SAVED = 20
SOUND, LEAKY = 1200, 40  # logs: sound ones in all, and of each leak
FLOOR = 0.02
CHECKS = ("features_before_decision", "estimators_agree")
HEAD_SOUND = (
    "| sound logs | logs | refused by the checks | unchecked | propensities refused | null promoted | "
    "learnt promoted, without the checks |"
)
HEAD_LEAKY = (
    "| logs with a column that came too late | logs | caught | null promoted, without the checks | "
    "learnt promoted, without the checks | and no better, as served |"
)
MARK = "checks"


def logs(sound: int, leaky: int) -> list[tuple[str, int]]:
    """(leak, number) of every log to be counted, sorts mixed evenly: a count stopped early is of all of them."""
    each = [("", k, k / sound) for k in range(sound)]
    each += [(leak, k, k / leaky) for leak in LEAKS for k in range(leaky)]
    return [(leak, k) for leak, k, _ in sorted(each, key=lambda one: one[2])]


def count(
    *,
    sound: int = SOUND,
    leaky: int = LEAKY,
    seed: int = 0,
    done: Sequence[dict[str, Any]] = (),
    progress: Callable[[int], object] = lambda _: None,
    save: Callable[[list[dict[str, Any]]], object] = lambda _: None,
) -> list[dict[str, Any]]:
    """One row a log; those `done` are not counted again. `save` is given the table after every SAVED rows."""
    table = list(done)
    seen = {(row["leak"], row["number"]) for row in table}
    for leak, k in logs(sound, leaky):
        if (leak, k) not in seen:
            drawn = draw(np.random.default_rng([seed, ("", *LEAKS).index(leak), k]), leak)
            table.append(judged(drawn, leak) | {"number": k, "seed": seed})
            if len(table) % SAVED == 0:
                save(table)
        progress(1)
    save(table)
    return table


def judged(found: Drawn, leak: str) -> dict[str, Any]:
    """What the gate says of two candidates on the later half: the middle arm always, whose lift is 0, and a policy that
    learnt the earlier half, late columns included."""
    half = len(found.log) // 2
    learnt = make("lin_ts").learn([found.log[:half]], seed=0)
    policies = {"uniform": make("uniform"), "null": make("fixed_arm", arm=found.middle), "learnt": learnt}
    result = evaluate(policies, found.log[half:], champion="uniform", floor=FLOOR, gate=GateSpec())
    row: dict[str, Any] = {"leak": leak, **found.kind, "true_lift": true_lift(learnt, found)}
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


def true_lift(policy: Policy, found: Drawn) -> float:
    """What the policy earns over a uniform choice on the later half, relatively, asked as requests ask: before any
    outcome."""
    half = len(found.log) // 2
    batch, worth = found.served[half:], found.worth[half:]
    uniform = batch.mask / batch.mask.sum(axis=1, keepdims=True)
    earned, even = (float((pmf * worth).sum()) for pmf in (as_served(policy, batch, FLOOR), uniform))
    return earned / even - 1.0


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
    lines = [HEAD_SOUND, "|---|---|---|---|---|---|---|", _sound("all", sound)]
    lines += [
        _sound(f"{name}: {value}", [r for r in sound if r[name] == value])
        for name, values in KINDS.items()
        for value in values
    ]
    by_leak: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in table:
        if row["leak"]:
            by_leak[row["leak"]].append(row)
    lines += ["", HEAD_LEAKY, "|---|---|---|---|---|---|"]
    whole = [row for rows in by_leak.values() for row in rows]
    lines += [_leaky(name, rows) for name, rows in [("all", whole), *by_leak.items()]]
    return "\n".join(lines) + "\n"


def _sound(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    lied = share(rows, lambda r: "propensity_self_test" in r["null"]["failed"])
    promoted = share(rows, lambda r: r["null"]["decision"] == PROMOTE)
    cells = [f"{100 * cell:.1f}" for cell in (share(rows, refused), share(rows, unchecked), lied, promoted)]
    return f"| {name} | {len(rows):,} | {' | '.join([*cells, _with_and_without(rows, 'learnt')])} |"


def _with_and_without(rows: Sequence[Mapping[str, Any]], policy: str) -> str:
    """The shares of logs on which the policy was promoted, and would be without the checks."""
    promoted = share(rows, lambda r: r[policy]["decision"] == PROMOTE)
    return f"{100 * promoted:.1f}, {100 * share(rows, lambda r: r[policy]['without_checks']):.1f}"


def _leaky(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    cells = [f"{100 * share(rows, refused):.0f}", *(_with_and_without(rows, policy) for policy in ("null", "learnt"))]
    wrong = share(rows, lambda r: r["learnt"]["decision"] == PROMOTE and r["true_lift"] <= 0.0)
    cells.append(f"{100 * wrong:.1f}")
    return f"| {name} | {len(rows):,} | {' | '.join(cells)} |"


def write_page(table: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Put the tables between the marks of a Markdown page."""
    marked.put(page, MARK, markdown(table))
