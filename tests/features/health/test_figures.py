"""The figures of an hour: each number by hand, sums that add, and nothing of a unit in them."""

import math
import tomllib

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.arrow import INTERACTIONS
from croupier.features.health import sketch
from croupier.features.health.figures import figures
from croupier.features.health.hosts import hashed
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World

SPEC = AppSpec.model_validate(
    tomllib.loads("""
[context.device]
type = "categorical"
[context.age]
type = "numeric"
[context.since]
type = "timestamp"
[arm_context.affinity]
type = "numeric"
""")
)
AT = 1_790_000_000_000_000


def row(event, arm, pmf, reward, *, unit="u1", device="phone", age=30.0, release=3, delay=2.0, count=None, pairs=None):
    arms = list("abc")[: len(pmf)]
    context = {"device": device, "age": age, "since": AT / 1e6 - 60}
    count = int(reward != 0) if count is None else count
    return {
        "event_id": event, "at": AT, "unit_id": unit, "context": orjson.dumps(context).decode(), "arms": arms, "pmf": pmf,
        "arm": arm, "propensity": pmf[arms.index(arm)], "policy": "p", "role": "champion", "release": release, "stage": "",
        "arm_context": orjson.dumps(pairs or [{"affinity": float(k)} for k in range(len(pmf))]).decode(), "catalogue": "",
        "encoder": "", "posterior_step": 0, "fallback_reason": "", "pass_probability": 1.0, "took_us": 0, "reward": reward,
        "reward_count": count, "reward_at": AT + int(delay * 1e6) if count else 0,
    }  # fmt: skip


ROWS = [
    row("e1", "a", [0.5, 0.5], 1.0, delay=2.0), row("e2", "b", [0.9, 0.1], 0.0, unit="u2", device="tv", age=None),
    row("e3", "a", [1.0], 0.5, delay=8.0, release=4), row("e4", "c", [0.2, 0.2, 0.6], 0.0, age=-3.0, count=1, delay=-1.0),
]  # fmt: skip


def frame(rows):
    return pl.from_dicts(rows, schema=list(INTERACTIONS.names)).cast(
        dict(pl.DataFrame(INTERACTIONS.empty_table()).schema)
    )


@pytest.fixture(scope="module")
def found():
    return figures(frame(ROWS), SPEC, account={"late": 1})


def test_sums_by_group(found):
    groups = found["groups"]
    assert groups["all"] == {"": [4.0, 1.5, 1.25, 3.0]}
    assert groups["arm"] == {"a": [2.0, 1.5, 1.25, 2.0], "b": [1.0, 0.0, 0.0, 0.0], "c": [1.0, 0.0, 0.0, 1.0]}
    assert groups["release"] == {"3": [3.0, 1.0, 1.0, 2.0], "4": [1.0, 0.5, 0.25, 1.0]}
    assert groups["segment"] == {"device=phone": [3.0, 1.5, 1.25, 3.0], "device=tv": [1.0, 0.0, 0.0, 0.0]}
    assert groups["cell"]["device=phone|a"] == [2.0, 1.5, 1.25, 2.0]


def test_exploration_counts_rows_with_a_choice(found):
    e = found["explore"]
    entropies = [1.0, -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2),
                 -(0.4 * math.log(0.2) + 0.6 * math.log(0.6)) / math.log(3)]  # fmt: skip
    assert (e["n"], e["greedy"], e["odd"]) == (3, 2, 0)
    assert e["entropy"] == pytest.approx(sum(entropies))
    assert e["floor"] == pytest.approx(0.2)  # K p of the rarest
    weights = [1 / (2 * 0.5), 1 / (2 * 0.1), 1 / (3 * 0.6)]
    assert e["inverse"] == pytest.approx(sum(weights))
    assert e["lift"] == pytest.approx([3 - sum(weights), (1 - weights[0]) * 1.0, 1.0])
    assert e["arms"] == {"a": [3, pytest.approx(1.6)], "b": [3, pytest.approx(0.8)], "c": [1, pytest.approx(0.6)]}


def test_delays_units_and_hosts(found):
    logs = np.log([2.0, 8.0, 1e-3])  # a reward stamped before its decision counts as the shortest
    assert found["delay"]["log"] == pytest.approx([3, logs.mean(), ((logs - logs.mean()) ** 2).sum()])
    assert found["delay"]["before"] == 1
    assert found["unit"] == {"top": 3.0, "units": 2, "squares": 10.0}
    assert found["account"] == {"late": 1}
    assert found["hosts"] == {"": {"n": 4, "rewarded": 3, "delay": 2.0, "lag": None}}


def test_a_hosts_clock_is_read_from_ids_of_clients():
    ms = AT // 1000 - 120_000  # the host is two minutes ahead of who made the ids; uuid7() never goes back in a process
    ids = [f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7000-8000-{n:012x}" for n in range(4)]
    rows = frame([r | {"event_id": i} for r, i in zip(ROWS, ids, strict=True)])
    logged = pl.DataFrame({"event_id": ids[:2], "host": ["x", "x"]})
    hosts = figures(rows, SPEC, logged=hashed(logged))["hosts"]
    assert hosts["x"]["lag"] == pytest.approx(120.0, abs=0.01)
    assert (hosts["x"]["n"], hosts[""]["n"]) == (2, 2)


def test_features_and_what_is_missing(found):
    age, device, pair = (found["features"][n] for n in ("context.age", "context.device", "arm_context.affinity"))
    assert (age["n"], age["missing"], sum(age["bins"].values())) == (4, 1, 3)
    assert {sketch.middle(int(k)) < 0 for k in age["bins"]} == {True, False}
    assert device["bins"] == {"phone": 3, "tv": 1}
    assert (pair["n"], pair["missing"]) == (2 + 2 + 1 + 3, 0)
    since = sketch.quantile(found["features"]["context.since"]["bins"], 0.5)
    assert since == pytest.approx(60, rel=0.1)  # seconds before the decision
    n, mx, _, mr, _, c = age["reward"]
    assert (n, mx, mr) == (3, 19.0, 0.5)
    assert c == pytest.approx(11 * 0.5 + 11 * 0.0 + -22 * -0.5)


def test_hostile_values_are_counted_not_raised():
    odd = [row("e1", "a", [0.5, 0.5], 1.0, age="old"), row("e2", "a", [0.5, 0.5], 0.0, device=["x"]),
           row("e3", "a", [0.5, 0.5], 0.0, age=1e300),
           row("e4", "a", [0.5, 0.5], 1.0) | {"pmf": [1.0], "propensity": 0.0}]  # fmt: skip
    found = figures(frame(odd), SPEC)
    assert found["features"]["context.age"]["missing"] == 2  # no number, and one beyond 1e18
    assert found["explore"]["odd"] == 1
    assert orjson.loads(orjson.dumps(found))["n"] == 4


def test_rewards_are_cut_to_what_is_declared():
    """An hour that was not validated, or stopped, has its rewards as they were logged; one must not outweigh the week."""
    bad = [row(f"e{i}", "a", [0.5, 0.5], value) for i, value in enumerate((1e300, -5.0, math.inf, math.nan, 0.25))]
    found = figures(frame(bad), SPEC)
    assert found["groups"]["all"] == {"": [5.0, 2.25, 2.0625, 5.0]}
    assert found["explore"]["lift"] == [0.0, 0.0, 2.25]
    assert found["features"]["context.age"]["reward"][3] == pytest.approx(2.25 / 5)


def test_an_empty_hour_has_figures():
    found = figures(frame(ROWS).head(0), SPEC)
    assert (found["n"], found["explore"]["n"], found["groups"]["all"]) == (0, 0, {})
    orjson.dumps(found)


def test_figures_add_and_name_no_unit():
    rows = World(seed=2).interactions(400)
    whole, parts = figures(rows, SPEC), [figures(rows[:150], SPEC), figures(rows[150:], SPEC)]
    for key, sums in whole["groups"]["arm"].items():
        assert sums == pytest.approx([sum(p["groups"]["arm"].get(key, [0] * 4)[k] for p in parts) for k in range(4)])
    bins = sketch.added(*(p["features"]["context.age"]["bins"] for p in parts))
    assert bins == whole["features"]["context.age"]["bins"]
    assert sketch.merged(*(p["delay"]["log"] for p in parts)) == pytest.approx(whole["delay"]["log"])
    text = orjson.dumps(whole).decode()
    assert not any(unit in text for unit in rows["unit_id"])
    assert len(text) < 20_000


def test_pieces_of_an_hour_come_to_the_hour(monkeypatch):
    """A busy hour's requests and lists are looked at in pieces: the figures are those of one look."""
    rows = World(seed=2).interactions(400)
    whole = figures(rows, SPEC)
    monkeypatch.setattr("croupier.features.health.exploration.CHUNK", 150)
    monkeypatch.setattr("croupier.features.health.groups.CHUNK", 70)
    parts = figures(rows, SPEC)
    assert (parts["groups"], parts["features"]) == (whole["groups"], whole["features"])
    for name, value in whole["explore"].items():
        if name == "arms":
            assert list(parts["explore"]["arms"]) == list(value)
            assert all(parts["explore"]["arms"][arm] == pytest.approx(sums) for arm, sums in value.items())
        else:
            assert parts["explore"][name] == pytest.approx(value), name
    assert whole["explore"]["n"] == 400
    assert whole["explore"]["floor"] > 0


def test_an_event_that_two_hosts_logged_counts_once():
    """As where an answer was lost and the request came again to another host: for the first one that is read."""
    rows = frame(ROWS)
    twice = pl.DataFrame({"event_id": [*rows["event_id"], rows["event_id"][0]], "host": ["x", "x", "y", "y", "y"]})
    found = figures(rows, SPEC, logged=hashed(twice))["hosts"]
    assert {name: host["n"] for name, host in found.items()} == {"x": 2, "y": 2}


def test_a_quantile_of_a_sketch_is_within_a_tenth():
    x = np.random.default_rng(1).lognormal(3, 2, 20_000) * np.where(np.arange(20_000) % 3, 1, -1)
    counts = sketch.counted(x)
    for share in (0.05, 0.3, 0.5, 0.95):
        assert sketch.quantile(counts, share) == pytest.approx(np.quantile(x, share), rel=0.11)
    assert sketch.counted(np.zeros(3)) == {"0": 3}
    assert sketch.quantile({}, 0.5) is None
