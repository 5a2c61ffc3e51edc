"""The page of a gate's verdict: one HTML file, no outside request, readable at any width.

A product manager reads the first screen: what was decided, by how much, and what is missing. A statistician reads on:
every estimator with its interval, the weights, the calibration of propensities and rewards, lifts by day, by segment
and by arm. It is made from `Evaluation.to_dict()` alone, so any verdict kept in the store can be shown again.
"""

from collections.abc import Mapping
from math import log2
from pathlib import Path
from typing import Any

from croupier.features.quality.pages import charts, page
from croupier.features.quality.time_labels import time_labels
from croupier.features.schema import CANDIDATE
from croupier.features.utc import DAY
from croupier.models.gate.gate import ALIKE, PROMOTE, REJECT

LABELS = {
    "dm": "DM (reward model)", "ips": "IPS", "snips": "SNIPS", "dr": "DR (decides)",
    "clipped_ips": "IPS, clipped", "sndr": "SNDR", "switch_dr": "Switch-DR", "dr_os": "DRos, shrunk",
    "mips": "MIPS, like arms as one",
}  # fmt: skip
SLATE_LABELS = {
    "dr": "cascade-DR (decides)", "rips": "reward-interaction IPS", "snrips": "the same, self-normalised",
    "sips": "standard IPS", "snsips": "the same, self-normalised",
}  # fmt: skip
MEANING = {
    "lift_lower": "the lift's lower bound is above the margin",
    "lift_lower_with_unseen_rewards": "and would be, if declared rewards that have hardly come fell on the candidate",
    "lift_lower_with_late_rewards": "and would be, if the rewards that came after their window had been on time",
    "planned_look": "this is one of the looks that were planned",
    "second_estimator_upper": "a second estimator, SNIPS, does not contradict: its upper bound reaches the margin",
    "ess": "enough effective rounds",
    "ess_of_champion": "enough effective rounds of the champion's choices too",
    "ess_of_difference": "enough effective rounds in which the two differ",
    "effective_units": "enough units of like activity",
    "informative_events": "enough rewards that tell, for the candidate and against it",
    "rows": "enough matured rounds",
    "max_weight_share": "no single round dominates",
    "propensity_self_test": "the logged propensities are those of the draws (p-value)",
    "features_before_decision": "no feature was computed after the decision (p-value)",
    "estimators_agree": "DR and IPS, each unbiased, estimate the same (p-value)",
    "support": "the log could have drawn what the candidate wants (mass outside)",
    "data_quality": "the hours judged passed their checks",
    "guardrail": "the guardrail is shown to lose less than its margin",
}  # fmt: skip
REASON = {
    "lift_lower": "the gain is not yet sure",
    "lift_lower_with_unseen_rewards": "a rare reward that has hardly come yet could undo the gain",
    "lift_lower_with_late_rewards": "rewards that came too late could explain the gain: lengthen the reward window",
    "ess_of_champion": "too few rounds look like the champion's choices",
    "effective_units": "a few units have most of the rounds",
    "ess_of_difference": "too few rounds tell the two apart", "informative_events": "the gain hangs on a few rewards",
    "planned_look": "no look is planned at so many rounds",
    "second_estimator_upper": "a second estimator sees no gain",
    "ess": "too few rounds look like its choices", "rows": "too few rounds",
    "max_weight_share": "a single round carries too much",
    "propensity_self_test": "the logged probabilities do not look like those of the draws",
    "features_before_decision": "a feature seems to be made after the decision",
    "estimators_agree": "two unbiased estimators exclude each other: is a feature made after the decision?",
    "support": "it wants arms that the log never showed", "data_quality": "the data did not pass its checks",
    "guardrail": "a guardrail is not shown to be safe",
}  # fmt: skip


def write_report(evaluation: Mapping[str, Any], path: Path, *, title: str = "") -> Path:
    """Write the page of `Evaluation.to_dict()` (or of JSON with it under "evaluation") to `path`."""
    body = evaluation.get("evaluation", evaluation) if isinstance(evaluation, Mapping) else {}
    missing = {"policies", "champion", "rows"} - set(body)
    if missing:
        raise ValueError(f"evaluation: found no {', '.join(sorted(missing))}, expected the JSON of an evaluation")
    path.write_text(render(body, title=title))
    return path


def render(body: Mapping[str, Any], *, title: str = "") -> str:
    """The page's HTML, of the body of an evaluation (`Evaluation.to_dict()`)."""
    policies = body["policies"]
    candidates = {name: p for name, p in policies.items() if p["role"] == CANDIDATE}
    return page.render(
        __package__,
        "gate_page.html.j2",
        filters={"number": number, "state": state},
        title=title or "The gate's verdict",
        body=body,
        slates=body.get("slates"),
        candidates=candidates,
        meaning=MEANING,
        headline={
            name: headline(name, p, body["champion"], value=_value(body), per_day=_per_day(body), each=_each(body))
            for name, p in candidates.items()
        },
        unchecked=unchecked(candidates),
        curves={name: curve(name, p["details"].get("curve", [])) for name, p in candidates.items()},
        plans={name: p["details"].get("plan", []) for name, p in candidates.items()},
        forest=forest(policies, SLATE_LABELS if body.get("slates") else LABELS),
        lifts=lifts(candidates),
        histogram={n: histogram(n, p["weights"]) for n, p in candidates.items()},
        propensities=calibration(body["log"]["propensities"], "pmf", "frequency", "logged probability"),
        rewards=calibration(body["log"]["rewards"], "predicted", "reward", "predicted reward"),
        time={n: intervals(p["details"]["time"]["blocks"]) for n, p in candidates.items()},
        segments={
            n: {s: intervals(rows) for s, rows in p["details"]["segments"].items() if rows}
            for n, p in candidates.items()
        },
    )


def headline(
    name: str,
    policy: Mapping[str, Any],
    champion: str,
    *,
    value: float = 0.0,
    per_day: float = 0.0,
    each: str = "a decision",
) -> str:
    """A sentence or two for a person who must decide. value: the champion's; per_day: rounds, at the log's traffic;
    each: what a round is."""

    def amount(x: float) -> str:
        return number(abs(x)) + (f" ({abs(x) / value:.1%})" if value > 0 else "")

    lift, lower = policy["lift"]["value"], policy["lift"]["lower"]
    gain = f"{name} is estimated to earn {amount(lift)} {'more' if lift >= 0 else 'less'} {each} than {champion}"
    if policy["verdict"] == PROMOTE:
        return f"{gain}, and surely at least {amount(lower)} more. Every condition holds."
    if alike(policy):
        return (
            f"{name} decides exactly as {champion} does on all of these rounds: there is nothing to tell apart, and no "
            "number of rounds like these will. Was it trained on anything new?"
        )
    if policy["verdict"] == REJECT:
        return f"{gain}. Harm is shown; it stays out."
    failed = [c["name"] for c in policy["conditions"] if state(c) == "no"]
    why = "; ".join(dict.fromkeys(REASON.get(name.partition(":")[0], name) for name in failed))
    wait = policy["rows_needed"]
    days = f", {_days(wait / per_day)} at this log's traffic," if wait and per_day > 0 else ""
    rest = (
        f"About {wait:,} more rounds like these{days} are needed for an answer."
        if wait
        else ("More rounds will not help before that is mended.")
    )
    return f"{gain}. Not enough evidence: {why} ({', '.join(failed)}). {rest}"


def alike(policy: Mapping[str, Any]) -> bool:
    """Whether candidate and champion draw alike on every round: the lift is 0, whatever the rewards are."""
    return any(c["name"] == "lift_lower" and ALIKE in (c.get("reason") or "") for c in policy["conditions"])


def state(condition: Mapping[str, Any]) -> str:
    """ "yes" where a condition holds, "open" where it was not checked and nothing hangs on it, else "no"."""
    if condition["passed"] is None:
        return "no" if condition["blocks"] else "open"
    return "yes" if condition["passed"] else "no"


def unchecked(policies: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was not checked, each once: name, reason, blocks, and `of` whom where it is not said of every candidate."""
    found: dict[tuple[str, str, bool], list[str]] = {}
    for name, policy in policies.items():
        for c in policy["conditions"]:
            if c["passed"] is None:
                found.setdefault((c["name"], c["reason"], c["blocks"]), []).append(name)
    return [
        {"name": name, "reason": reason, "blocks": blocks, "of": "" if len(of) == len(policies) else ", ".join(of)}
        for (name, reason, blocks), of in found.items()
    ]


def _days(days: float) -> str:
    return f"about {days:,.0f} days" if days >= 2 else f"about {max(1, round(24 * days))} hours"


def _value(body: Mapping[str, Any]) -> float:
    return float(body["policies"].get(body["champion"], {}).get("dr") or 0.0)


def _each(body: Mapping[str, Any]) -> str:
    return "a slate" if body.get("slates") else "a decision"


def _per_day(body: Mapping[str, Any]) -> float:
    """Judging rounds a day: of an interval by hand the earlier part teaches and does not judge."""
    days = (body["log"]["to"] - body["log"]["from"]) / DAY
    return float(body["rows"] / days) * float(body.get("judged_share", 1.0)) if days > 0 else 0.0


def curve(name: str, rows: list[Mapping[str, float | None]]) -> str:
    """Draws the lift and its bounds as rows came in; its height is what the last two thirds need. "" before there are
    two points."""
    if len(rows) < 2:
        return ""
    late = [v for r in rows[len(rows) // 3 :] for v in (r["value"], r["lower"], r["upper"]) if v is not None]
    low, high = _scale([*late, 0.0])
    last = rows[-1]
    return charts.paths(
        {"lift": ([r["rows"] or 0.0 for r in rows], [r["value"] for r in rows])},
        bands={"lift": ([_or(r["lower"], low) for r in rows], [_or(r["upper"], high) for r in rows])},
        reach=(low, high),
        x="rounds; the dashed line is no lift",
        label=f"Lift of {name} as rounds came in; after {number(last['rows'])} rounds {number(last['value'])}, "
        f"from {number(last['lower'])} to {number(last['upper'])}",
    )


def _or(value: float | None, unbounded: float) -> float:
    return unbounded if value is None else value


def forest(policies: Mapping[str, Any], labels: Mapping[str, str] = LABELS) -> dict[str, list[dict[str, Any]]]:
    """Every policy by every estimator, on one scale: places in % of the width."""
    values = [v for p in policies.values() for e in p["intervals"].values() for v in e.values() if v is not None]
    scale = _scale(values)
    return {
        name: [_bar(labels[e], row, scale, e == "dr") for e, row in p["intervals"].items()]
        for name, p in policies.items()
    }


def lifts(candidates: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Places every candidate's lift on one scale with zero in it."""
    scale = _scale([v for p in candidates.values() for v in p["lift"].values() if v is not None] + [0.0])
    return [_bar(name, p["lift"], scale, p["verdict"] == PROMOTE) for name, p in candidates.items()]


def intervals(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lifts of blocks or segments, on one scale with zero in it."""
    scale = _scale([v for r in rows for v in (r["lift"], r["lower"], r["upper"]) if v is not None] + [0.0])
    began = time_labels([r["from"] for r in rows if "value" not in r])
    labels = [str(r["value"]) for r in rows if "value" in r] or [f"from {each}" for each in began]
    named = list(zip(labels, rows, strict=True))
    return [
        _bar(label, {"value": r["lift"], "lower": r["lower"], "upper": r["upper"]}, scale, False)
        | {"rounds": int(r["rounds"])}
        for label, r in named
    ]


def histogram(name: str, weights: list[Mapping[str, float]]) -> str:
    """Draws the histogram of weights without its empty ends."""
    used = [i for i, w in enumerate(weights) if w["rounds"] > 0]
    shown = [(_power(w["to"]), float(w["rounds"])) for w in (weights[used[0] : used[-1] + 1] if used else [])]
    most = max(shown, key=lambda bar: bar[1], default=("–", 0.0))
    label = f"Rounds of {name} by weight; most, {most[1]:,.0f}, have one up to {most[0]}"
    return charts.bars(shown, label=label, x="weight π/p, up to")


def calibration(rows: list[Mapping[str, float]], x: str, y: str, named: str) -> str:
    """Draws what was found (`y`) by what was expected (`x`): truth is the diagonal."""
    furthest = max((abs(r[y] - r[x]) for r in rows), default=0.0)
    label = f"{y} by {named}, {len(rows)} groups; the furthest from the diagonal is {number(furthest)} away"
    return charts.scatter([(r[x], r[y]) for r in rows], label=label, x=named)


def number(value: float | None) -> str:
    """Four significant digits; a dash for what is unbounded."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _scale(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    pad = 0.04 * (high - low) or 0.5
    return low - pad, high + pad


def _bar(label: str, row: Mapping[str, Any], scale: tuple[float, float], strong: bool) -> dict[str, Any]:
    def place(v: float) -> float:
        return 100 * (v - scale[0]) / (scale[1] - scale[0])

    lower, upper = (row[k] if row[k] is not None else scale[i] for i, k in enumerate(("lower", "upper")))
    return {
        "label": label,
        "strong": strong,
        "at": place(row["value"]),
        "left": place(lower),
        **row,
        "width": place(upper) - place(lower),
        "zero": place(0.0) if scale[0] < 0 < scale[1] else None,
    }


def _power(edge: float) -> str:
    exponent = round(log2(edge))
    return f"{2**exponent}" if exponent >= 0 else f"1/{2**-exponent}"
