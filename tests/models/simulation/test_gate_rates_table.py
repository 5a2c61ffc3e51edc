"""The committed table is made from counted cells, and goes between its marks, twice the same."""

import pytest

from croupier.models.simulation.gate_rates import MARK, cells, count, markdown, pooled, write_page


@pytest.fixture(scope="module")
def table():
    found = []
    for lift, rate, ess in ((0.0, 0.01, 900.0), (0.0, 0.03, 150.0), (0.14, 0.9, 900.0)):
        for looks in (1, 20):
            rule = {"promoted_rate": 2 * rate if lift == 0 else rate, "rejected_rate": 0.0, "not_enough_rate": 1 - rate}
            found.append(
                {
                    "data": "d",
                    "rewards": "0/1",
                    "logged": "uniform",
                    "lift": lift,
                    "rows": 20_000,
                    "looks": looks,
                    "drift": False,
                    "runs": 50,
                    "ess": ess,
                    "promoted_rate": rate,
                    "rejected_rate": 0.0,
                    "not_enough_rate": 1 - rate,
                    "rules": dict.fromkeys(("clt", "sagemaker", "banditdb"), rule),
                }
            )
    return found


def test_rates_are_means_and_worst_cells(table):
    null = [r for r in table if r["lift"] == 0 and r["looks"] == 1]
    assert pooled(null, "ours") == (pytest.approx(0.02), 0.03, 100)
    assert pooled(null, "clt")[0] == pytest.approx(0.04)
    assert pooled(null, "ours", "power")[:2] == (pytest.approx(0.02), 0.01)  # the worst power is the least
    text = markdown(table)
    assert "| false promotion, null lift, one look, 20,000 rows | 2, 100 | 2.0 / 3.0 | 4.0 / 6.0 |" in text
    assert "| power, lift +14%, 0/1, 20,000 rows, 20 looks | 1, 50 | 90.0 / 90.0 |" in text


@pytest.mark.medium
def test_page_is_rewritten_between_its_marks(table, tmp_path):
    page = tmp_path / "GATE.md"
    page.write_text(f"before\n<!-- {MARK} -->\nold\n<!-- /{MARK} -->\nafter\n")
    write_page(table, page)
    first = page.read_text()
    write_page(table, page)
    assert page.read_text() == first
    assert first.startswith("before\n")
    assert first.endswith("after\n")
    assert "old" not in first
    assert (tmp_path / "gate_rates.svg").read_text().lstrip().startswith("<?xml")
    page.write_text("no marks")
    with pytest.raises(ValueError, match="expected both marks"):
        write_page(table, page)


def test_cells_are_counted_one_by_one(tmp_path):
    some = [c for c in cells(["digits"]) if c.rows == 1000 and c.logged == "uniform"]
    assert [(c.rewards, c.looks) for c in some] == [("0/1", 1), ("0/1", 20), ("clicks 1–5 %", 1), ("clicks 1–5 %", 20)]
    seen = []
    found = count(None, [], runs=1, progress=seen.append)
    assert (found, seen) == ([], [])
