"""Candidates as people log them, the shown arm first: an order made after the draw is no fault of the propensities."""

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.exchange.sources import open_source
from croupier.features.quality import audit
from croupier.features.quality.audit import ALPHA

ARMS = ("city", "herbs", "ski", "toys")
PMF = np.array([0.1, 0.2, 0.3, 0.4])
SAID = "written after the draw"


def drawn(n=300, seed=0):
    """(order of the candidates, the arm drawn): the arm drawn stands first, the others in any order."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        shown = rng.choice(4, p=PMF)
        yield [shown, *(i for i in rng.permutation(4) if i != shown)], shown


def table(path, rows, pmf=PMF):
    made = [{"event_id": str(n), "item_id": ARMS[shown], "candidates": [ARMS[i] for i in order], "pmf": pmf[order].tolist(),
             "arm_context": [orjson.dumps({"rank": ARMS[i]}).decode() for i in order], "click": 0.0}
            for n, (order, shown) in enumerate(rows)]  # fmt: skip
    pl.DataFrame(made).write_parquet(path / "log.parquet")
    return open_source(path / "log.parquet", unit_key="k")


def dsjson(path, rows, pmf=PMF, **fields):
    lines = [{"_label_cost": 0.0, "_label_probability": float(pmf[shown]), "_labelIndex": order.index(shown), "EventId": str(n),
              "a": [1, 2, 3, 4], "p": pmf[order].tolist(),
              "c": {"_multi": [{"_tag": ARMS[i], "Pair": {"rank": ARMS[i]}} for i in order]}, **fields}
             for n, (order, shown) in enumerate(rows)]  # fmt: skip
    (path / "log.json").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return open_source(path / "log.json", unit_key="k")


both = pytest.mark.parametrize("source_of", [table, dsjson])


def evidence(decisions):
    (found,) = audit.evidence(pl.DataFrame([d.to_row() for d in decisions])).values()
    return found.log_e


def orders(source):
    return [list(record.decision.arms) for record in source.records()]


@both
def test_an_order_that_was_written_after_the_draw_is_not_taken_for_how_arms_were_drawn(tmp_path, source_of):
    rows = list(drawn())
    source = source_of(tmp_path, rows)
    decisions = [record.decision for record in source.records()]
    assert [d.arm for d in decisions] == [ARMS[shown] for _, shown in rows]
    assert {d.arms for d in decisions} == {ARMS}
    assert np.array([d.pmf for d in decisions]) == pytest.approx(np.tile(PMF, (300, 1)))
    assert {tuple(pair["rank"] for pair in d.arm_context) for d in decisions} == {ARMS}
    assert sum(SAID in note for note in source.notes) == 1
    assert evidence(decisions) < np.log(1 / ALPHA)


@both
def test_an_order_that_the_product_asked_with_stays(tmp_path, source_of):
    """One row shows another than the first: then the order is no ranking of what was shown."""
    rows = list(drawn())
    order, shown = rows[7]
    rows[7] = [*order[1:], order[0]], shown
    source = source_of(tmp_path, rows)
    assert orders(source) == [[ARMS[i] for i in order] for order, _ in rows]
    assert not any(SAID in note for note in source.notes)


@both
def test_a_product_that_was_sure_of_the_first_keeps_its_order(tmp_path, source_of):
    rows = [([2, 0, 1, 3], 2)] * 300
    source = source_of(tmp_path, rows, np.array([0.0, 0.0, 1.0, 0.0]))
    assert orders(source) == [["ski", "city", "herbs", "toys"]] * 300
    assert not any(SAID in note for note in source.notes)


def test_in_a_log_of_ours_the_order_is_what_was_asked_and_the_audit_sees_it(tmp_path):
    source = dsjson(tmp_path, drawn(), Croupier={"policy": "uniform", "role": "champion"})
    decisions = [record.decision for record in source.records()]
    assert orders(source) == [[ARMS[i] for i in order] for order, _ in drawn()]
    assert evidence(decisions) > np.log(1 / ALPHA)
