"""Metrics: one table; names and labels in the code are those of the table; no number is lost on its way out."""

import ast
import re
import sys
import threading
from pathlib import Path

import pytest

from croupier.serving.decide.meter import Meter
from croupier.serving.decide.metrics import METRICS, UNKNOWN
from croupier.serving.monitoring.metrics import EXPORTED
from croupier.serving.triton.metrics_exporter import Exporter

ROOT = Path(__file__).resolve().parents[3]


def used(text):
    """(names that a module spells, [(name, labels)] that it counts or sets by literal name)."""
    tree = ast.parse(text)
    names = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch("croupier_[a-z_]*[a-z]", node.value)
    }
    calls = [
        (node.args[0].value, {word.arg for word in node.keywords})
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("count", "gauge")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value in names
    ]
    return names, calls


def wrong(text, table=METRICS):
    """What a module counts that the table does not have."""
    names, calls = used(text)
    labels = [(name, found) for name, found in calls if name in table and found != set(table[name].labels)]
    return sorted(names - set(table)), labels


def test_every_name_and_label_in_the_code_is_in_the_table():
    found = {True: set(), False: set()}
    for path in (ROOT / "serving").rglob("*.py"):
        text, exported = path.read_text(), path.parent.name in ("monitoring", "readings", "health")
        if path.name != "metrics.py":
            assert wrong(text, EXPORTED if exported else METRICS) == ([], []), path
            found[exported] |= used(text)[0]
    assert found[False] | {UNKNOWN} == set(METRICS), "a row of the table that nobody counts"
    assert found[True] == set(EXPORTED), "a row of the exporter's table that nobody reads"
    assert set(METRICS) & set(EXPORTED) == set()


@pytest.mark.parametrize(("code", "expected"), [
    ('meter.count("croupier_typos_total", role="x")', (["croupier_typos_total"], [])),
    ('self.meter.count("croupier_fallbacks_total", 2, why="x")', ([], [("croupier_fallbacks_total", {"why"})])),
    ('meter.gauge("croupier_posterior_step", 3)', ([], [("croupier_posterior_step", set())])),
    ('count(meter, "reward", "croupier_reward_total", outcomes)', (["croupier_reward_total"], [])),
])  # fmt: skip
def test_a_planted_name_or_label_is_seen(code, expected):
    assert wrong(code) == expected


def test_no_counter_pretends_to_be_a_histogram():
    assert {name for name in METRICS if name.endswith("_total")} == {
        n for n, m in METRICS.items() if m.kind == "counter"
    }
    assert not [name for name in METRICS if name.endswith(("_bucket", "_sum", "_count"))]


class Page:
    """Triton's metrics as its utilities offer them: families by name, metrics by labels. `broken` names fail."""

    class Family:
        COUNTER, GAUGE = "counter", "gauge"

    def __init__(self, broken=()):
        page, self.shown, self.kinds, self.broken = self, {}, {}, set(broken)

        class MetricFamily(Page.Family):
            def __init__(self, name, description, kind):
                assert description
                self.name = name
                page.kinds[name] = kind

            def Metric(self, labels):
                return page.Metric(page, (self.name, tuple(labels.items())))

        self.MetricFamily = MetricFamily

    class Metric:
        def __init__(self, page, key):
            self.page, self.key = page, key

        def increment(self, value):
            self.set(self.page.shown.get(self.key, 0) + value)

        def set(self, value):
            if self.key[0] in self.page.broken:
                raise RuntimeError("Triton says no")
            self.page.shown[self.key] = value


REWARDS = ("croupier_rewards_total", (("fate", "accepted"),))
FALLBACKS = ("croupier_fallbacks_total", (("reason", "deadline"),))


def test_valid_counts_beside_an_unknown_name_all_arrive():
    """They were drained from the meter, and gone, when the first unknown name raised."""
    meter, page = Meter(), Page()
    meter.count("croupier_typos_total", 3.0, role="x")
    meter.gauge("croupier_unknown_gauge", 1.0)
    meter.count("croupier_rewards_total", 5.0, fate="accepted")
    meter.count("croupier_fallbacks_total", 2.0, reason="deadline")
    meter.gauge("croupier_posterior_step", 7.0, role="champion")
    Exporter(page, meter).close()
    assert page.shown == {
        REWARDS: 5.0,
        FALLBACKS: 2.0,
        ("croupier_posterior_step", (("role", "champion"),)): 7.0,
        (UNKNOWN, (("name", "croupier_typos_total"),)): 3.0,
    }
    assert page.kinds == {name: METRICS[name].kind for name in page.kinds}


def test_what_triton_would_not_take_arrives_later_and_keeps_nothing_back(monkeypatch):
    monkeypatch.setattr("croupier.serving.triton.metrics_exporter.EVERY_SECONDS", 3600.0)
    meter, page = Meter(), Page(broken=["croupier_rewards_total", "croupier_posterior_step"])
    exporter = Exporter(page, meter)
    meter.count("croupier_rewards_total", 5.0, fate="accepted")
    meter.count("croupier_fallbacks_total", 2.0, reason="deadline")
    meter.gauge("croupier_posterior_step", 7.0, role="champion")
    exporter._push()
    assert page.shown == {FALLBACKS: 2.0}
    meter.count("croupier_rewards_total", 1.0, fate="accepted")
    meter.gauge("croupier_posterior_step", 8.0, role="champion")
    page.broken.clear()
    exporter.close()
    assert page.shown == {FALLBACKS: 2.0, REWARDS: 6.0, ("croupier_posterior_step", (("role", "champion"),)): 8.0}


def test_a_log_that_cannot_be_measured_keeps_no_count_back():
    class Gone:
        def size(self):
            raise OSError("no such file")

    meter, page = Meter(), Page()
    meter.count("croupier_rewards_total", 5.0, fate="accepted")
    Exporter(page, meter, Gone()).close()
    assert page.shown == {REWARDS: 5.0}


def test_a_meter_drains_increments_and_cumulative_buckets():
    meter = Meter()
    for seconds in (0.0002, 0.003, 2.0):
        meter.seconds("score", seconds)
    meter.count("croupier_decisions_total", 3, role="champion")
    counts, _ = meter.drain()
    buckets = {labels[1][1]: n for (name, labels), n in counts.items() if name == "croupier_stage_within_total"}
    assert (buckets.get("0.0001", 0), buckets["0.00025"], buckets["0.005"], buckets["1"], buckets["+Inf"]) == (
        0,
        1,
        2,
        2,
        3,
    )
    assert counts["croupier_decisions_total", (("role", "champion"),)] == 3
    assert meter.drain() == ({}, {})


def test_nothing_is_lost_or_counted_twice_when_another_thread_drains():
    meter, drained, ended = Meter(), [], threading.Event()

    def drain():
        while not ended.is_set():
            drained.append(meter.drain()[0])
        drained.append(meter.drain()[0])

    thread, usual = threading.Thread(target=drain), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        for _ in range(20_000):
            meter.count("croupier_rewards_total", fate="accepted")
            meter.seconds("score", 0.5)
        ended.set()
        thread.join()
    finally:
        sys.setswitchinterval(usual)
    for key in (
        ("croupier_rewards_total", (("fate", "accepted"),)),
        ("croupier_stage_batches_total", (("stage", "score"),)),
    ):
        assert sum(counts.get(key, 0) for counts in drained) == 20_000
