"""Search by Optuna's Gaussian process, and by its TPE over several policies: what it proposes, and what it finds."""

import numpy as np
import pytest

pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'croupier[tune]'")

import json

from typer.testing import CliRunner

from croupier.features import build
from croupier.features.workspace import Workspace
from croupier.models.policy import make
from croupier.models.tuning import spaces
from croupier.models.tuning.optuna_search import AT_ONCE, ModelSearch
from croupier.serving.cli import app
from tests import shop

pytestmark = pytest.mark.slow
BEST = 0.7


def worth(configuration):
    """Highest at a learning rate of 0.7, two passes and the greedy preset."""
    given = configuration.parameters
    rate = -(np.log10(given["learning_rate"] / BEST) ** 2)
    return float(rate - abs(given["passes"] - 2) - (given["preset"] != "greedy"))


def test_a_gaussian_process_comes_nearer_than_random_search_in_as_many_trials():
    gaps = []
    for seed in range(3):
        asked = []

        def told(configurations, asked=asked):
            asked.append(len(configurations))
            return [{"value": worth(each)} for each in configurations]

        found = ModelSearch(["vw_cb_adf"], 24, seed=seed).run(told)
        assert asked == [AT_ONCE] * 8
        assert all(trial["value"] == worth(each) for each, trial in found)
        random = [worth(each) for each in spaces.drawn("vw_cb_adf", 25, seed=seed)[1:]]
        gaps.append((max(trial["value"] for _, trial in found), max(random)))
    model, random = np.mean(gaps, axis=0)
    assert model > -0.05
    assert model > random


def test_seeds_repeat_and_what_is_proposed_can_be_made():
    one, two = (ModelSearch(["neural_linear"], 7, seed=4).run(lambda c: [{"value": 0.5} for _ in c]) for _ in range(2))
    assert one == two
    assert len(one) == 7
    for each, _ in one:
        assert make(each.policy, **each.parameters).name == "neural_linear"
        assert each.parameters.keys() == spaces.SPACES["neural_linear"].keys()
        assert 3e-4 <= each.parameters["learning_rate"] <= 3e-2


@pytest.mark.parametrize("best", [1.0, -3.0], ids=["gains", "costs"])
def test_of_several_policies_the_better_one_is_proposed_more_often_and_failures_are_learnt_from(best):
    def told(configurations):
        values = {"lin_ts": {"value": best}, "lin_ucb": {"value": best - 1}, "vw_cb_adf": {"failed": "no"}}
        return [dict(values[each.policy]) for each in configurations]

    search = ModelSearch(["vw_cb_adf", "lin_ts", "lin_ucb"], 36, seed=0)
    found = search.run(told)
    late = [each.policy for each, _ in found[18:]]
    assert late.count("lin_ts") > len(late) / 2
    assert {trial.get("failed") for each, trial in found if each.policy == "vw_cb_adf"} == {"no"}
    failed = [t.value for t, (each, _) in zip(search.study.trials, found, strict=True) if each.policy == "vw_cb_adf"]
    assert all(value is None or value < best for value in failed), failed
    assert sum(value is None for value in failed) <= AT_ONCE, "such are left out: only before anything was seen"


def test_the_command_searches_for_as_many_rows_as_halving_takes(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    shop.write(1500, seed=3)
    span = ("2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00")
    build.collect("shop")
    build.join("shop", *span)
    build.encode("shop", *span)

    def tuned(*words):
        done = CliRunner().invoke(app, ["tune", "shop", "--policy", "lin_ts", "--trials", "6", "--json", "-", *words])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    halved, found = tuned("--cold"), tuned("--search", "gp")
    assert (halved["search"], found["search"]) == ("halving", "gp")
    (rung,) = found["rungs"]
    learnt = halved["rungs"][-1][0]["learnt"]
    assert {trial["learnt"] for trial in rung} == {learnt}
    assert abs(found["rows_learnt"] - halved["rows_learnt"]) <= learnt / 2
    assert [trial["value"] for trial in rung] == sorted((trial["value"] for trial in rung), reverse=True)
    assert found["tuned"]["parameters"] == rung[0]["parameters"]
    assert found["default"] == halved["default"]
    assert found["random"] == halved["random"]
    assert len(Workspace.open("shop").store.list("tunings/")) == 2
