"""What has a name has it in one file: roles, stages, verdicts and kinds of releases, limits, and units of time."""

import ast
from pathlib import Path

import pytest

from croupier.features import schema, utc
from croupier.features.store import released
from croupier.models.gate import gate
from croupier.serving.release import hold_out

ROOT = Path(__file__).resolve().parents[2]
SCHEMA, UTC, GATE, RELEASED = (
    "features/schema.py",
    "features/utc.py",
    "models/gate/gate.py",
    "features/store/released.py",
)
HOME = {
    **dict.fromkeys(("CHAMPION", "CANDIDATE", "HOLDOUT", "FALLBACK", "ROLES", "IN_CANDIDATES_PLACE"), SCHEMA),
    **dict.fromkeys(("NO_STAGE", "SHADOW", "ABORTED", "WATCH", "RETURNED", "MAX_ARMS"), SCHEMA),
    **dict.fromkeys(("SECOND", "MINUTE", "HOUR", "DAY"), UTC),
    **dict.fromkeys(("MINUTE_SECONDS", "HOUR_SECONDS", "DAY_SECONDS", "WEEK_SECONDS"), UTC),
    **dict.fromkeys(("PROMOTE", "REJECT", "UNDECIDED"), GATE),
    **dict.fromkeys(("PROMOTION", "REFRESH", "SUCCESSION"), RELEASED),
}
ON_THE_WIRE = {
    schema: {"CHAMPION": "champion", "CANDIDATE": "candidate", "HOLDOUT": "holdout", "FALLBACK": "fallback",
             "NO_STAGE": "none", "SHADOW": "shadow", "ABORTED": "aborted", "WATCH": "watch", "RETURNED": "returned",
             "MAX_ARMS": 1000},
    gate: {"PROMOTE": "promote", "REJECT": "reject", "UNDECIDED": "not enough evidence"},
    released: {"PROMOTION": "promotion", "REFRESH": "refresh", "SUCCESSION": "succession", "CATALOGUE": "catalogue"},
    hold_out: {"PREDECESSOR": "predecessor", "META": "holdout"},
    utc: {"SECOND": 1_000_000, "MINUTE": 60_000_000, "HOUR": 3_600_000_000, "DAY": 86_400_000_000},
}  # fmt: skip
COMPARED = {"champion", "candidate", "holdout", "fallback", "shadow", "aborted", "returned", "promote", "reject",
            "not enough evidence", "promotion", "succession", "predecessor"}  # fmt: skip
MICROSECONDS = {1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000}
IN_SECONDS = {3600, 86_400, 604_800}  # of an hour, a day and a week


def spelled(source):
    """(line, what) of each name assigned, value compared and factor multiplied that another file is the home of."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign):
            names = [
                n.id
                for target in node.targets
                for n in ast.walk(target)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            ]
            yield from ((node.lineno, name) for name in names if name in HOME)
        if isinstance(node, ast.Compare):
            parts = [part for side in (node.left, *node.comparators) for part in ast.walk(side)]
            yield from ((node.lineno, p.value) for p in parts if isinstance(p, ast.Constant) and p.value in COMPARED)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv):
            factors = [side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)]
            yield from ((node.lineno, factor) for factor in factors if factor in MICROSECONDS)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value in IN_SECONDS:
            yield node.lineno, node.value
        if isinstance(node, ast.keyword) and node.arg == "microseconds":
            yield node.value.lineno, "timedelta(microseconds=…)"


def modules():
    return [path for room in ("features", "models", "serving", "dags") for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.medium
def test_no_file_names_anew_what_another_file_names():
    found = []
    for path in modules():
        name = path.relative_to(ROOT).as_posix()
        here = {word for word, home in HOME.items() if home == name}
        found += [
            f"{name}:{at}: {what!r}" for at, what in spelled(path.read_text()) if what not in here and name != UTC
        ]
    assert not found, found


def classes(source):
    return [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]


@pytest.mark.medium
def test_a_class_name_means_one_thing():
    homes = {}
    for path in modules():
        for name in classes(path.read_text()):
            homes.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    twice = {name: found for name, found in homes.items() if len(found) > 1}
    assert set(twice) == {"TritonPythonModel"}, twice  # Triton's own name for the class of a model.py


def test_a_second_class_of_a_name_is_seen():
    assert classes("class Look:\n    class Inner: ...\n\n\nclass Ledger: ...") == ["Look", "Ledger"]


@pytest.mark.parametrize("module", ON_THE_WIRE, ids=lambda module: module.__name__)
def test_values_in_files_and_on_the_wire_are_what_they_were(module):
    assert {name: getattr(module, name) for name in ON_THE_WIRE[module]} == ON_THE_WIRE[module]


@pytest.mark.parametrize(
    "planted",
    ["DAY = 24 * 60", 'x = role == "candidate"', "seconds = at / 1_000_000", "us = round(seconds * 1e6)", "MAX_ARMS = 7", "hours = seconds / 3600",
     "at = EPOCH + timedelta(microseconds=us)", "limit = 14 * 86400.0",
     'x = verdict in {"promote", other}'],
)  # fmt: skip
def test_a_planted_one_is_found(planted):
    assert len(list(spelled(planted))) == 1


@pytest.mark.parametrize(
    ("stage", "share"),
    [("5%", 0.05), ("100%", 1.0), ("watch 1%", 0.01), ("watch 0.25%", 0.0025), ("shadow", 0.0), ("none", 0.0),
     ("aborted", 0.0), ("returned", 0.0), ("propensity only", 0.0), ("abc%", 0.0)],
)  # fmt: skip
def test_the_share_that_a_stage_names(stage, share):
    assert schema.share_of(stage) == share
