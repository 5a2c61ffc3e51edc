"""Parquet in memory: what was written is read, and no Python file is left to Arrow's threads."""

import io
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from croupier.features.store.parquet import table_of

ROOT = Path(__file__).resolve().parents[3]


def test_what_was_written_is_read():
    table = pa.table({"event_id": ["e1", "e2"], "value": [0.5, None]})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    assert table_of(sink.getvalue()).equals(table)
    with pytest.raises(pa.ArrowInvalid):
        table_of(sink.getvalue()[:-1])


def test_nobody_hands_arrow_a_python_file_to_read():
    """One of its threads may drop it while the interpreter ends: 2 of 24 runs of `croupier ship` ended with SIGABRT."""
    files = [path for room in ("features", "models", "serving", "dags") for path in (ROOT / room).rglob("*.py")]
    handed = re.compile(r"\bpq\.(read_\w+|ParquetFile)\(\s*(io\.BytesIO|BytesIO|open)\(")
    assert [str(path) for path in files if handed.search(path.read_text())] == []
    assert handed.search("pq.read_table(io.BytesIO(raw))")
