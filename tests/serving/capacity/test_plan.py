"""What constants come to, by hand; that requests are counted; and that the constants are of this product's parts."""

import json
import re

import pytest
from typer.testing import CliRunner

from croupier.features.store.storage import open_store
from croupier.serving.capacity import constants
from croupier.serving.capacity.constants import Constants
from croupier.serving.capacity.counted import CountedStore
from croupier.serving.capacity.plan import Assumed, plan
from croupier.serving.cli import app

COST = {
    "decide_us": 900.0, "decide_64_us": 150.0, "ship_us": 100.0, "build_us": 50.0, "train_us": 200.0, "spool_bytes": 1000.0,
    "log_bytes": 80.0, "built_bytes": 120.0, "follow_reads": 5, "ship_reads": 1, "ship_writes": 5,
}  # fmt: skip
MEASURED = Constants(decisions=10, asked=10, **COST)
SAID = {
    "cores": 8, "busy": 0.5, "kept_days": 100, "spool_hours": 1.0, "spare_gb": 10.0, "ship_seconds": 60.0, "core_hour": 0.1,
    "store_gb_month": 0.02, "volume_gb_month": 0.1, "thousand_reads": 0.001, "thousand_writes": 0.01,
}  # fmt: skip
ASSUMED = Assumed(**SAID)


def test_ten_thousand_a_second_by_hand():
    found = plan(MEASURED, ASSUMED, 10_000.0)
    assert found["hosts"] == 3  # 10,000 × 1,000 µs = 10 cores, of which a host has 4 for it
    assert found["hosts_64"] == 2  # 2.5 cores; one may be away
    assert (found["loop_cores"], found["loop_keeps_up"]) == (pytest.approx(0.5), True)
    assert found["store_gb_a_day"] == pytest.approx(864e6 * 200 / 1e9)
    assert found["store_gb"] == pytest.approx(17_280)
    assert found["spool_max_gb_a_host"] == pytest.approx(24.4)  # an hour and a minute of 3,333/s at 1 kB are half of it
    assert found["volume_gb_a_host"] == pytest.approx(58.8)
    assert found["reads_a_day"] == 3 * 24 * (3600 * 5 + 60 * 1)
    assert found["writes_a_day"] == 3 * 24 * 60 * 5
    assert found["train_rows_a_day"] == pytest.approx(86_400e6 / 200)
    month = found["month"]
    assert month == {
        "hosts": pytest.approx(3 * 8 * 0.1 * 720), "loop": pytest.approx(72.0), "store": pytest.approx(345.6),
        "volumes": pytest.approx(17.64), "requests": pytest.approx(round(30 * (1300.32 * 0.001 + 21.6 * 0.01), 2)),
    }  # fmt: skip
    assert found["month_total"] == pytest.approx(sum(month.values()), abs=0.02)


def test_what_one_process_cannot_keep_up_with_is_said():
    assert plan(MEASURED, ASSUMED, 20_000.0)["loop_keeps_up"] is True
    assert plan(MEASURED, ASSUMED, 20_001.0)["loop_keeps_up"] is False
    assert plan(MEASURED, ASSUMED, 1.0)["hosts"] == 2


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_wrong_rate_is_named_and_nothing_is_measured_for_it(rate, monkeypatch):
    said = f"rate: found {rate:g}, expected decisions a second above 0, and 1e+09 at most"
    with pytest.raises(ValueError, match="^" + re.escape(said) + "$"):
        plan(MEASURED, ASSUMED, rate)
    monkeypatch.setattr(constants, "measured", lambda *_: pytest.fail("measured"))
    done = CliRunner().invoke(app, ["capacity", "--rate", "1000", "--rate", str(rate)])
    assert (done.exit_code, done.stderr) == (1, f"croupier: {said}\n")


def test_requests_are_counted_by_their_price(tmp_path):
    store = CountedStore(open_store(str(tmp_path)))
    store.put("a/b", b"1")
    store.create("a/c", b"2")
    assert (store.get("a/b"), store.read("a/c")[0], store.list("a/")) == (b"1", b"2", ["a/b", "a/c"])
    (tmp_path / "here").mkdir()
    assert len(store.fetch(["a/b", "a/c"], tmp_path / "here")) == 2
    store.delete("a/b")
    assert dict(store.calls) == {"writes": 3, "reads": 4}


@pytest.mark.full
def test_the_command_measures_and_plans(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROUPIER_STORE", "s3://of-somebody/else")
    done = CliRunner().invoke(app, ["capacity", "--asked", "200", "--rate", "500", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    measured = found["measured"]
    assert 500 < measured["spool_bytes"] < 3000, "1,080 B in November 2026"
    assert measured["decide_64_us"] < measured["decide_us"]
    assert measured["follow_reads"] == 5
    assert found["plans"] == [plan(Constants(**measured), Assumed(**found["assumed"]), 500.0)]
    assert list(tmp_path.iterdir()) == [], "it leaves nothing"
