"""Propensities near 1/K are 1/K where all of a log are, and what they are where some are not."""

import polars as pl
import pytest

from croupier.features.exchange.rounded import all_even
from croupier.features.exchange.tables.tabular import TableSource
from croupier.features.workspace import Workspace
from croupier.serving.frames import own_log
from tests import shop

ARMS = ["a", "b", "c"]


def propensities(tmp_path, by_arm, **more):
    rows = [(arm, by_arm[arm]) for arm in ARMS * 40]
    frame = pl.DataFrame(
        {"arm": [a for a, _ in rows], "propensity": [p for _, p in rows], "reward": [0.0, 1.0] * 60} | more
    )
    source = TableSource(tmp_path / "t", unit_key="k", columns={}, table=frame)
    return [r.decision.propensity for r in source.records()][:3], source


def test_thirds_of_two_digits_are_thirds(tmp_path):
    found, source = propensities(tmp_path, dict.fromkeys(ARMS, 0.33))
    assert found == [1 / 3] * 3
    assert any("1/K was taken" in said for said in source.rounding.said())


@pytest.mark.parametrize("shares", [(0.34, 0.33, 0.33), (0.334, 0.333, 0.333), (0.32, 0.33, 0.35)])
def test_shares_that_differ_stay_what_they_are(tmp_path, shares):
    found, source = propensities(tmp_path, dict(zip(ARMS, shares, strict=True)))
    assert found == list(shares)
    assert source.rounding.said() == []


def test_a_slip_among_many_changes_nothing():
    assert all_even([(0.33, 3)] * 99 + [(0.5, 3)])
    assert not all_even([(0.33, 3)] * 90 + [(0.5, 3)] * 10)
    assert all_even([(0.33, 3), (0.25, 4), (0.5, 2)]), "each row of as many candidates as it has"


@pytest.mark.parametrize("columns", [{}, {"pmf": "probs"}])
def test_what_init_found_is_found_again_by_import(tmp_path, monkeypatch, columns):
    """Probabilities in an object: their arms are in no column that anybody wrote."""
    home = shop.of_commands(tmp_path, monkeypatch)
    name = columns.get("pmf", "pmf")
    rows = [{"event_id": f"e{i}", "at": 1_790_000_000 + i, "arm": ARMS[i % 3], "reward": i % 2,
             name: {"a": 0.5, "b": 0.3, "c": 0.2}} for i in range(60)]  # fmt: skip
    path = tmp_path / "log.jsonl"
    pl.DataFrame(rows).write_ndjson(path)
    w = Workspace.open(home.name)
    own_log.declare(w, path, columns)
    appended = own_log.append(w, path, {})
    assert (appended.done.decisions, appended.done.skipped) == (60, 0)
    spool = w.spool()
    found = spool.find(["e0", "e1"])
    spool.close()
    assert {e: (d.arm, d.pmf) for e, d in found.items()} == {"e0": ("a", (0.5, 0.3, 0.2)), "e1": ("b", (0.5, 0.3, 0.2))}
