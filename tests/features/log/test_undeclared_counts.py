"""Values of undeclared features are counted with the decisions that were answered without them, each once, by name."""

from collections import Counter

from croupier.features.log import left_out
from croupier.features.log.ship import ship
from croupier.features.log.shipped import REJECTED, open_log
from croupier.features.log.spool import Spool
from croupier.features.log.spool_rows import LEFT_OUT
from croupier.features.store.storage import open_store
from tests.features.log.test_spool import make as decision


def shipped(spool, store):
    ship(spool, store, host="h")
    with open_log(store) as log:
        rows = log.read("rejects", log.hours("rejects"), REJECTED).filter(kind=LEFT_OUT)
    found = Counter()
    for name, n in rows.select("field", "raw").iter_rows():
        found[name] += int(n)
    return found, list(rows["at"])


def test_they_are_shipped_once_and_add(tmp_path):
    spool, store = Spool(tmp_path / "spool.db"), open_store(str(tmp_path / "store"))
    spool.append_decisions([decision("a")], {"context.hue": 2, "arm.colour with spaces": 1})
    spool.append_decisions([decision("b")])
    assert shipped(spool, store) == ({"context.hue": 2, "arm.colour with spaces": 1}, [decision("a").at] * 2)
    assert shipped(spool, store)[0] == {"context.hue": 2, "arm.colour with spaces": 1}
    spool.append_decisions([decision("c")], {"context.hue": 5})
    assert shipped(spool, store)[0] == {"context.hue": 7, "arm.colour with spaces": 1}
    spool.close()


def test_names_of_strangers_do_not_fill_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(left_out, "MOST_NAMES", 3)
    spool, store = Spool(tmp_path / "spool.db"), open_store(str(tmp_path / "store"))
    for i in range(6):
        spool.append_decisions([decision(f"e{i}")], {f"context.{i}": 1, "context.0": 1})
    found, _ = shipped(spool, store)
    assert found == {"context.0": 6, "context.1": 1, "context.2": 1, left_out.OTHERS: 3}
    spool.close()
