"""Logs that are tables already: pandas, Polars and Arrow, in a notebook or a script.

    from croupier import frames
    frames.ope(df, "arm:b", columns={"arm": "item", "reward": "click"})    what a policy would have earned
    frames.declare(df, app="shop")          app.toml and catalogue.json, as `croupier init` writes them
    frames.import_log(df, app="shop")       the rows into the app's log, as `croupier import` does it

Apps lie below CROUPIER_VAR, or below `var` in the current folder. `columns` says which column plays which role (arm,
propensity, reward, at, unit_id, event_id, arms, pmf, arm_context, context) where its name alone does not.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from croupier.features.workspace import Workspace
from croupier.models.ope.tabular_log import ColumnNames
from croupier.serving.frames import log_value, own_log, value_shown
from croupier.serving.frames.answer import Answer
from croupier.serving.frames.any_table import as_polars


def ope(
    table: Any,
    policy: str = "",
    *,
    target_pmf: str = "",
    predicted: str = "",
    columns: Mapping[str, str] | None = None,
    app: str = "default",
    alpha: float = 0.05,
) -> Answer:
    """The value of a policy on logged decisions by DM, IPS, SNIPS and DR, with anytime-valid intervals.

    policy: `uniform`, `arm:X`, or the number of a release of `app`. target_pmf: in its place, the column with π of the
    logged arm, or a list over arms; then predicted may name a column of q̂ over arms. The answer's table has a row an
    estimator: value, standard_error, lower, upper. Raises ValueError saying what was found and expected."""
    if bool(policy) == bool(target_pmf):
        raise ValueError("ope: say whose value is asked for, by policy or by target_pmf")
    frame, given = as_polars(table), dict(columns or {})
    if target_pmf:
        found = log_value.by_target(frame, _names(given, target_pmf, predicted), alpha=alpha)
    else:
        found = log_value.by_policy(frame, policy, app=app, columns=given, alpha=alpha)
    rows = [{"estimator": name, **row} for name, row in found["estimates"].items()]
    return Answer.of(value_shown.title(found), found, rows, value_shown.notes(found), table)


def _names(given: Mapping[str, str], target: str, predicted: str) -> ColumnNames:
    """Roles as a table that brings π along has them."""
    known = {"reward": "reward", "propensity": "propensity", "arm": "arm", "event_id": "event", "unit_id": "unit"}
    if wrong := [role for role in given if role not in known]:
        raise ValueError(f"columns: found {wrong[0]!r} beside target_pmf, expected roles of {', '.join(known)}")
    return ColumnNames(target=target, predicted=predicted, **{known[role]: name for role, name in given.items()})


def declare(
    table: Any, *, app: str = "default", columns: Mapping[str, str] | None = None, anew: bool = False
) -> Answer:
    """Writes app.toml and catalogue.json as the table suggests; its notes say what was guessed. Raises ValueError where
    the app has them already, unless `anew`."""
    found = own_log.declare(Workspace.open(app), as_polars(table), dict(columns or {}), anew=anew)
    facts = {"app": app, "app_toml": str(found.app_toml), "arms": found.arms}
    return Answer.of(f"{app}: declared", facts, [facts], found.notes, table)


def import_log(table: Any, *, app: str = "default", columns: Mapping[str, str] | None = None) -> Answer:
    """Appends the table's rows to the app's log; the same table twice changes nothing. Rows that cannot be used are
    counted by reason. Raises ValueError where none could be taken."""
    found = own_log.append(Workspace.meant(app), as_polars(table), dict(columns or {}))
    reasons = [f"skipped {n:,}: {reason}" for reason, n in found.reasons.items()]
    if found.nothing:
        raise ValueError(f"the table: found no row that could be taken ({'; '.join(reasons)}); mend it or app.toml")
    facts = {"app": app, **asdict(found.done), "reasons": found.reasons}
    row = {key: value for key, value in facts.items() if key != "reasons"}
    return Answer.of(f"{app}: imported", facts, [row], [*found.warnings, *reasons], table)
