"""500 decisions a second for a day on one host: the real spool and the real shipper, on a clock that runs ahead. Nothing
is thinned, and the spool stays small. A smaller rate has a smaller cap: what counts is how many seconds fit in it.

    ROWS_A_SECOND=20 pytest -m full tests/features/log/test_sustained.py -s     prints the figures
"""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest

from croupier.features import clock, upkeep
from croupier.features.ids import uuid7s
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.store import layout
from croupier.features.utc import HOUR, MINUTE, SECOND, to_us
from croupier.features.workspace import Workspace

START = to_us(datetime(2026, 3, 1, tzinfo=UTC))
CAP = 8 << 30  # bytes, at 500 decisions a second
EVERY = 2 * MINUTE  # µs between two shipments
RATE = int(os.environ.get("ROWS_A_SECOND", "500"))
EXAMPLE = Decision(
    event_id="",
    at=0,
    unit_id="a" * 32,
    context={f"c{i}": i * 1.37 for i in range(20)},
    arms=tuple(f"arm{i}" for i in range(20)),
    pmf=(0.05,) * 20,
    arm="arm1",
    propensity=0.05,
    policy="p",
    role="champion",
    release=1,
)


def served(spool: Spool, rate: int, begin: int) -> list[Decision]:
    """What came in the EVERY from `begin` on: decisions in batches of a second, and a reward for a fifth of them."""
    first = None
    for second in range(begin, begin + EVERY, SECOND):
        ids = uuid7s(rate, second // 1000)
        made = [replace(EXAMPLE, event_id=event, at=second + i) for i, event in enumerate(ids)]
        spool.append_decisions(made)
        some = made[:: 5 if rate >= 5 else 1]
        spool.append_rewards(
            [Reward(event_id=d.event_id, at=d.at + 10 * SECOND, kind="click", value=1.0) for d in some]
        )
        first = first or made
    return first


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize(("rate", "hours"), [(2, 6), pytest.param(RATE, 24, marks=pytest.mark.full)])
def test_sustained_decisions_are_all_kept_and_the_spool_stays_small(tmp_path, monkeypatch, rate, hours):
    cap = CAP * rate // 500
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_SPOOL_MAX_BYTES", str(cap))
    monkeypatch.setenv("CROUPIER_DURABILITY", "NORMAL")
    w = Workspace.open("shop")
    w.home.mkdir(parents=True)
    (w.home / "app.toml").write_text("[reward.kinds.click]\n")
    spool, largest, pruned = w.spool(), 0, 0
    for begin in range(START, START + hours * HOUR, EVERY):
        first = served(spool, rate, begin)
        with clock.at(begin + EVERY):
            pruned += upkeep.carry(w, spool)["pruned"]
        largest = max(largest, spool.size())
        assert list(spool.find([first[0].event_id])) == [first[0].event_id], "a retry is answered as before"
    counts, sent = spool.counts(), rate * hours * 3600
    on_disk = sum(path.stat().st_size for path in (w.home / layout.SPOOL).iterdir())
    spool.close()
    figures = {
        "rate": rate,
        "hours": hours,
        "sent": sent,
        "pruned": pruned,
        "cap": cap,
        "largest": largest,
        "on_disk": on_disk,
    }
    print(json.dumps(figures))
    assert counts["thinned"] == 0
    assert counts["decisions"] == sent
    keys = w.store.list("log/decisions/")
    assert sum(pq.read_metadata(w.store.root / key).num_rows for key in keys) == sent
    assert all(
        set(pq.read_table(w.store.root / key, columns=["pass_probability"])[0].to_pylist()) == {1.0}
        for key in keys[-9:]
    )
    assert pruned > 0.5 * sent
    assert largest < 0.6 * cap, "half of it, and what comes between two shipments"
    assert on_disk < 0.8 * cap, "pages are used again"
