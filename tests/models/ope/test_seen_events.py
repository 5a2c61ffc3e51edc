"""Events of a streamed table that come again, wherever its chunks are cut."""

import numpy as np
import polars as pl
import pytest

from croupier.models.ope.streaming import total
from croupier.models.ope.tabular_log import ColumnNames, TableLog

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_repeats_are_found_across_chunks(tmp_path, rows):
    rng = np.random.default_rng(rows)
    event = rng.integers(60, size=300)
    value = np.random.default_rng(0).random(60)
    frame = pl.DataFrame({"id": event, "reward": value[event], "p": np.full(300, 0.5), "pi": np.full(300, 0.25)})
    frame.write_parquet(tmp_path / "log.parquet")
    table = TableLog.open(tmp_path / "log.parquet", ColumnNames(propensity="p", target="pi", event="id"))
    found = total(table.chunks(rows=rows))
    there = np.unique(event)
    assert (found.n, table.passed.repeats) == (len(there), 300 - len(there))
    assert found.estimates()["ips"].mean == pytest.approx(0.5 * value[there].mean())
    assert total(table.chunks(rows=rows)).n == len(there), "a second pass counts anew"


def test_an_empty_event_id_names_its_row(tmp_path):
    pl.DataFrame({"id": ["a", None], "reward": [1.0, 1.0], "p": [0.5, 0.5], "pi": [0.5, 0.5]}).write_parquet(
        tmp_path / "log.parquet"
    )
    table = TableLog.open(tmp_path / "log.parquet", ColumnNames(propensity="p", target="pi", event="id"))
    with pytest.raises(ValueError, match="found an empty event id in row 1"):
        list(table.chunks())
