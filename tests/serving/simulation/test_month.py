"""The virtual month: its crowd is the world's, its turns are the DAGs', and a day of it goes from uniform to a release."""

import ast
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features.encoding import catalogue
from croupier.features.store.storage import open_store
from croupier.features.utc import DAY
from croupier.serving.cli import app
from croupier.serving.operate import loop
from croupier.serving.simulation.month import month, null, outages

DAGS = Path(__file__).resolve().parents[3] / "dags"


def called(source: str, name: str) -> set[str]:
    """`module.function` for every call in the function `name` of a source."""
    tree = ast.parse(source)
    (function,) = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    calls = (n.func for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute))
    return {f"{f.value.id}.{f.attr}" for f in calls if isinstance(f.value, ast.Name)}


@pytest.mark.parametrize(("dag", "left_out"), [
    ("collect_events", {"upkeep.retain"}), ("build_features", {"scheduled.or_raise"}), ("train_and_gate", set()),
    ("watch_rollout", {"pages.keep_rollout"}),
])  # fmt: skip
def test_a_turn_calls_what_its_dag_calls(dag, left_out):
    """Retention, pages and the raising of an interval by hand are no part of the loop's decisions."""
    rooms = ("build.", "scheduled.", "upkeep.", "training.", "promotion.", "watch.", "pages.")
    of_dag = {c for c in called((DAGS / f"{dag}.py").read_text(), dag) if c.startswith(rooms)}
    of_turn = {c for c in called(Path(loop.__file__).read_text(), dag) if c.startswith(rooms)}
    assert of_dag - left_out == of_turn


def test_the_crowd_has_a_season_and_is_the_same_each_time():
    crowd = month.crowd_of(3, per_day=2400)
    by_hour = [len(crowd.visits(crowd.start + h * 3_600_000_000, 3600.0)) for h in range(24)]
    assert by_hour == [len(crowd.visits(crowd.start + h * 3_600_000_000, 3600.0)) for h in range(24)]
    assert 2200 < sum(by_hour) < 2600
    assert sum(by_hour[17:23]) > 2.5 * sum(by_hour[5:11])
    first = crowd.visits(crowd.start, 3600.0)[0]
    assert first.context["hour"] == 0.0


def test_arms_come_and_go_and_tastes_reverse_on_their_day():
    crowd = month.crowd_of(3, per_day=2400, churn=True, flip=4)
    ids = [{a.arm_id for a in crowd.arms(crowd.start + d * DAY)} for d in range(3)]
    assert [len(i) for i in ids] == [15, 15, 15]
    assert [(len(a - b), len(b - a)) for a, b in pairwise(ids)] == [(1, 1), (1, 1)]
    visits = crowd.visits(crowd.start + 12 * 3_600_000_000, 3600.0)
    assert {a for v in visits for a in v.arms} <= ids[0]
    before, after = (crowd.now(crowd.start + d * DAY - 1) for d in (3, 4))
    assert before.sign == 1.0
    assert after.sign == -1.0
    uniform = [np.full(len(v.arms), 1 / len(v.arms)).tolist() for v in visits]
    values = crowd.values(crowd.start, visits, uniform)
    assert values["served"] == pytest.approx(values["uniform"])
    assert values["best"] > 1.5 * values["uniform"]


@pytest.mark.slow
def test_a_day_of_the_loop_trains_on_every_mature_row_and_an_outage_loses_none(tmp_path):
    """From uniform and nothing else; Airflow is down from 6 to 12 o'clock, the store for two hours, the server for one."""
    down = outages.parsed(["6-12", "store=14-16", "triton=17-18"])
    assert down == {"airflow": set(range(6, 12)), "store": {14, 15}, "triton": {17}}
    plan = month.MonthPlan(crowd=month.crowd_of(1, per_day=800), days=1, every="5h", down=down)
    found = month.run(plan, tmp_path)
    assert found["failed_runs"] == 4, "each hour of the store's outage a build and a look"
    assert found["errors"] == 0
    assert found["trained_share"] == 1.0
    hours = [v["hour"] for v in found["verdicts"]]
    assert not set(hours) & set(range(6, 12))
    assert max(hours) >= 18
    assert 720 < found["decisions"] < 880
    assert found["value_by_day"][0]["uniform"] == pytest.approx(0.107, abs=0.01)
    assert found["value_by_day"][0]["best"] == pytest.approx(0.274, abs=0.02)


def test_units_of_a_null_month_have_tastes_and_no_arm_is_better():
    log = null.NullTraffic(per_day=200_000, units=200).day(0, seed=4)
    by_arm = [log.reward[log.chosen == arm].mean() for arm in range(null.ARMS)]
    assert max(by_arm) - min(by_arm) < 4 * np.sqrt(2 * 0.1 * 0.9 / 40_000)
    spread = np.array(
        [[log.reward[(log.unit == u) & (log.chosen == a)].mean() for a in range(5)] for u in range(1, 201)]
    )
    within = spread.std(axis=1).mean() / spread.mean()
    dull = null.NullTraffic(per_day=200_000, units=200, tastes=0.0).day(0, seed=4)
    flat = np.array(
        [[dull.reward[(dull.unit == u) & (dull.chosen == a)].mean() for a in range(5)] for u in range(1, 201)]
    )
    assert within > 1.5 * flat.std(axis=1).mean() / flat.mean()


@pytest.mark.slow
def test_null_months_promote_nothing_and_a_better_family_serves_all(tmp_path):
    """A small size of `croupier simulate loop --null`; full sizes are in GATE.md."""
    found = null.table(months=2, days=6, per_day=500, better=2, better_per_day=30_000, seed=5)
    assert found["promoted"] == 0.0
    row = found["schemes"]["prequential"]
    assert (row["better_promoted"], row["better_serves_by_day_14"]) == (1.0, 1.0)
    assert row["better_promoted_median_day"] <= found["schemes"]["ledger"]["better_promoted_median_day"]


@pytest.mark.medium
def test_null_months_are_the_same_for_every_number_of_processes():
    asked = {"months": 1, "days": 3, "per_day": 300, "better": 1, "seed": 5, "schemes": ("prequential",)}
    found = null.table(**asked)
    assert found["schemes"]["prequential"]["better_promoted"] == 1.0
    assert found == null.table(**asked, jobs=2)


def test_the_command_names_what_it_cannot_use(tmp_path):
    answer = CliRunner().invoke(app, ["simulate", "loop", "--outage", "9-3"])
    assert answer.exit_code != 0
    assert "expected hours since the start" in answer.output + answer.stderr


def test_null_months_refuse_what_they_do_not_have():
    answer = CliRunner().invoke(app, ["simulate", "loop", "--null", "--flip", "3", "--churn"])
    assert answer.exit_code != 0
    assert "found --flip, --churn as well" in answer.output + answer.stderr


def test_to_go_on_needs_a_folder_of_months():
    answer = CliRunner().invoke(app, ["simulate", "loop", "--resume"])
    assert answer.exit_code != 0
    assert "without --keep: found --resume" in answer.output + answer.stderr


DOWN = {"airflow": frozenset({23, 24, 25})}
TWO_DAYS = month.MonthPlan(crowd=month.crowd_of(1, per_day=300, churn=True), days=2, every="10h", down=DOWN)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """(folder, what was written) of a month of one day, played and kept by the command: the first of TWO_DAYS."""
    folder = tmp_path_factory.mktemp("played")
    out = folder / "loop.json"
    answer = CliRunner().invoke(app, ["simulate", "loop", "--days", "1", "--per-day", "300", "--seeds", "1", "--json",
                                      str(out), "--picture", str(folder / "loop.svg"), "--keep", str(folder / "kept"),
                                      "--every", "10h", "--churn", "--outage", "23-26"])  # fmt: skip
    assert answer.exit_code == 0, answer.output
    return folder, json.loads(out.read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(folder, what it came to) of TWO_DAYS, played at once."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, month.run(TWO_DAYS, folder)


@pytest.mark.slow
def test_the_command_writes_the_keys_it_promises(played):
    folder, found = played
    assert {"trained_share", "lift_share_of_best", "lift_by_day", "releases", "reached_100_day", "promoted"} <= set(
        found
    )
    assert found["trained_share"] == 1.0
    assert len(found["lift_by_day"]) == 1
    assert "<svg" in (folder / "loop.svg").read_text()


@pytest.mark.slow
def test_arms_that_come_and_go_reach_the_app_without_an_error(whole):
    """Day two's arms are released at midnight, while Airflow is down, and are answered at once."""
    folder, found = whole
    assert (found["errors"], found["trained_share"]) == (0, 1.0)
    assert len(found["catalogue"]) == 1
    number = int(found["catalogue"][0].removeprefix("release "))
    arms = catalogue.loads(open_store(str(folder / "month" / "store")).get(f"releases/{number:06d}/catalogue.json"))
    second_day = TWO_DAYS.crowd.start + DAY
    assert [a.arm_id for a in arms if not a.valid_to] == [arm.arm_id for arm in TWO_DAYS.crowd.arms(second_day)]
    assert [(a.arm_id, a.valid_to) for a in arms if a.valid_to] == [("reel-00", second_day)]


@pytest.mark.slow
@pytest.mark.full
def test_a_month_that_ended_goes_on_as_one_that_was_played_whole_and_one_cut_off_does_not(played, whole, tmp_path):
    shutil.copytree(played[0] / "kept" / "seed1", tmp_path / "parts")
    found, expected = month.run(TWO_DAYS, tmp_path / "parts", resume=True), whole[1]
    for key in ("value_by_day", "lift_by_day", "decisions", "trained_share", "releases", "reached_100_day", "errors"):
        assert found[key] == expected[key], key
    assert [(v["hour"], v["kind"]) for v in found["verdicts"]] == [(v["hour"], v["kind"]) for v in expected["verdicts"]]

    home = tmp_path / "parts" / "month"
    row = json.loads((home / "month.json").read_text())
    (home / "month.json").write_text(json.dumps(row | {"hours": 24}))
    with pytest.raises(ValueError, match="cut off in the midst of a day"):
        month.run(TWO_DAYS, tmp_path / "parts", resume=True)
    with pytest.raises(ValueError, match="found no month to go on from"):
        month.run(TWO_DAYS, tmp_path / "nowhere", resume=True)
