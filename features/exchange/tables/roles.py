"""Which column of a foreign table plays which role: by its name, or as its owner says."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from croupier.features.exchange.tables.nested import entries_of, names_inside

WEIGHTS = ("variation_weights", "leaf_weights")  # GrowthBook's
ROLES: dict[str, tuple[str, ...]] = {
    "arm": ("arm", "arm_id", "action", "chosen_arm", "chosen", "item_id", "item", "variant", "treatment",
            "variation_id"),
    "propensity": ("propensity", "propensity_score", "pscore", "action_prob", "probability", "prob", "p"),
    "reward": ("reward", "click", "clicked", "clicks", "conversion", "converted", "outcome", "y", "label"),
    "at": ("at", "timestamp", "time", "datetime", "created_at", "ts", "date"),
    "unit_id": ("unit_id", "unit", "user_id", "user", "visitor_id", "session_id", "customer_id"),
    "event_id": ("event_id", "request_id", "decision_id", "id"),
    "arms": ("arms", "candidates", "actions", "action_set"),
    "pmf": ("pmf", "probs", "probabilities", "action_probs", *WEIGHTS),
    "arm_context": ("arm_context",), "arm_features": ("arm_features",), "context": ("context", "x"),
}  # fmt: skip
REQUIRED = ("arm", "propensity", "reward")
ASSIGNMENT = ("experiment_id", "leaf_id", "bandit_version")  # GrowthBook's, beside its weights: no features
EVEN = (
    " (or --column pmf=NAME, of all arms' probabilities; or, where every row's arm was drawn with one and the same "
    "probability, that: --column propensity=1/3)"
)
IDS = ("arm", "unit_id", "event_id")  # names, however much they look like numbers: 007 is not 7


def named_roles(columns: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Returns the column of each role that has one, by name alone. Raises ValueError where `given` names what is not
    there."""
    for role, column in given.items():
        if role not in ROLES or column not in columns:
            what, known = ("column", columns[:40]) if role in ROLES else ("role", list(ROLES))
            stated = ", or a probability that every row's arm had, such as 1/3" if role == "propensity" else ""
            raise ValueError(f"{role}={column}: found no such {what}, expected {', '.join(known)}{stated}")
    plain = {_plain(c): c for c in reversed(columns)}
    found = {role: next((plain[n] for n in map(_plain, names) if n in plain), "") for role, names in ROLES.items()}
    found |= dict(given)
    return {role: column for role, column in found.items() if column}


def _plain(name: str) -> str:
    """A name as it sounds: user_id, userId and "User ID" are one."""
    return re.sub(r"(?<=[a-z0-9])[\s_-]+(?=[a-z0-9])", "", name.strip().lower())


def roles_of(frame: pl.DataFrame, given: Mapping[str, str], path: Path) -> dict[str, str]:
    """Finds the role of each column by its name and its values. Raises ValueError where a required role has no
    column."""
    found, columns = named_roles(frame.columns, given), frame.columns
    if "context" in found and "context" not in given and not _holds_objects(frame[found["context"]]):
        del found["context"]
    for role in ("unit_id", "event_id"):  # an object called `user` has features of one
        if role in found and role not in given and _holds_objects(frame[found[role]]):
            del found[role]
    for role in REQUIRED:  # nor is an object called `outcome` a reward: it has one
        if role in found and role not in given and entries_of(frame[found[role]]):
            del found[role]
    derived = ("propensity",) if "pmf" in found else ()  # the pmf's own entry: propensities.py
    if missing := [role for role in REQUIRED if role not in found and role not in derived]:
        usual = "; ".join(f"{role} by {', '.join(ROLES[role][:5])}" for role in missing)
        options = " ".join(f"--column {role}=NAME" for role in missing)
        options += EVEN if "propensity" in missing else ""
        raise ValueError(
            f"{path}: found no column for the {' and the '.join(missing)}, expected one by its name ({usual}, …), or "
            f"say {options}; the columns are {', '.join([*columns, *names_inside(frame)][:40])}"
        )
    return found


def _holds_objects(column: pl.Series) -> bool:
    """A column of numbers, or of words, that happens to be called `x` is a feature like others."""
    first = column.drop_nulls().head(1).to_list()
    return isinstance(column.dtype, pl.Struct) or (
        column.dtype == pl.String and (not first or first[0].lstrip().startswith("{"))
    )
