"""`croupier tune` on a small log: what it compares, what it prints, and that a killed run goes on."""

import json
import tempfile
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from croupier.features import build
from croupier.features.spec import AppSpec
from croupier.features.workspace import Workspace
from croupier.models.tuning import earlier_tunings, spaces
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.data_features import data_features
from croupier.models.tuning.earlier_tunings import EarlierTuning
from croupier.serving.cli import app
from tests import shop

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"
pytestmark = pytest.mark.medium


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(tmp_path_factory.mktemp("var")))
        shop.write(1500, seed=3)
        build.collect("shop")
        build.join("shop", START, END)
        yield build.encode("shop", START, END)["features"]


def tune(*words):
    return CliRunner().invoke(app, ["tune", *words])


def test_it_compares_three_on_rows_that_judged_none_and_prints_what_app_toml_takes(encoded, tmp_path):
    out = tmp_path / "found.json"
    done = tune("shop", "--policy", "lin_ts", "--trials", "4", "--json", str(out))
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    w = Workspace.open("shop")
    assert (found["app"], found["features"], found["policy"]) == ("shop", encoded, "lin_ts")
    assert [len(rung) for rung in found["rungs"]] == [4, 2]
    assert found["trials"] == 6
    assert found["rows_learnt"] == sum(trial["learnt"] for rung in found["rungs"] for trial in rung)
    spent = found["random_trials"] * found["rungs"][-1][0]["learnt"]
    assert abs(spent - found["rows_learnt"]) <= found["rungs"][-1][0]["learnt"] / 2  # random search costs as much
    assert found["default"]["parameters"] == {}
    assert found["default"]["lift"] == 0
    best = max(found["rungs"][-1], key=lambda trial: trial["value"])
    assert (found["tuned"]["policy"], found["tuned"]["parameters"]) == (best["policy"], best["parameters"])
    assert found["tuned"]["lift"] == pytest.approx(found["tuned"]["value"] - found["default"]["value"])
    assert f"{found['tuned']['value']:.4f}" in done.output

    declared = tomllib.loads(found["app_toml"])["policies"]
    assert declared["candidates"] == ["lin_ts"]
    (tmp_path / "app.toml").write_text(found["app_toml"])
    read = AppSpec.read(tmp_path / "app.toml").policies
    assert dict(read.parameters.get("lin_ts", {})) == best["parameters"]
    assert ("paste" in done.output) == (found["tuned"]["lift"] <= 0)

    kept = w.store.list("results/tuning/")
    assert len(kept) >= 6  # and what random search and the comparison took beside
    for key in kept[::2]:  # a run that was killed half-way
        w.store.delete(key)
    again = tune("shop", "--policy", "lin_ts", "--trials", "4", "--json", "-")
    told = json.loads(again.stdout)
    assert w.store.list("results/tuning/") == kept
    for name in ("default", "random", "tuned"):
        assert told[name] == found[name]


def test_it_begins_with_what_other_logs_preferred_unless_it_is_to_be_cold(encoded):
    """The record of another app, whose log was like this one, names three configurations that no cold list has."""
    w, other = Workspace.open("shop"), Workspace.open("other")
    other.home.mkdir(parents=True)
    for name in ("app.toml", "catalogue.json"):
        (other.home / name).write_bytes((w.home / name).read_bytes())
    best = [
        Configuration("lin_ts", {"heads": "shared", "cross": "none", "half_life": x}) for x in (800.0, 900.0, 990.0)
    ]
    rung = [each.to_json() | {"value": -i} for i, each in enumerate([*best, *spaces.drawn("lin_ts", 4, seed=9)])]
    with tempfile.TemporaryDirectory() as scratch:
        log = build.Features.fetch(w.store, encoded, Path(scratch)).chunks()
        earlier_tunings.keep(other, "k", data_features(log), [rung])
    for key in w.store.list("tunings/"):  # of the test before
        w.store.delete(key)
    warm = tune("shop", "--policy", "lin_ts", "--trials", "4", "--json", "-")
    assert warm.exit_code == 0, warm.output
    assert "begins with 2 configurations that came out well on like logs (other)" in warm.stderr
    found = json.loads(warm.stdout)
    tried = [trial["parameters"].get("half_life") for trial in found["rungs"][0]]
    assert sorted(x for x in tried if x) == [800.0, 900.0]  # the default, two that are proposed, one as if cold
    assert found["default"]["parameters"] == {}
    (record,) = w.store.list("tunings/")
    assert EarlierTuning.of(json.loads(w.store.get(record))).app == "shop"
    cold = tune("shop", "--policy", "lin_ts", "--trials", "4", "--cold", "--json", "-")
    drawn = {each.key for each in spaces.drawn("lin_ts", 4, seed=w.spec.policies.seed)}
    assert {Configuration.from_json(each).key for each in json.loads(cold.stdout)["rungs"][0]} == drawn
    assert "begins with" not in cold.stderr
    assert json.loads(cold.stdout)["random"] == found["random"]  # random search is what it was


def test_a_search_that_is_not_there_is_named(encoded):
    done = tune("shop", "--policy", "lin_ts", "--search", "grid")
    assert done.exit_code != 0
    assert "search: found 'grid', expected halving or gp" in done.output + str(done.exception)
    if find_spec("optuna") is None:
        done = tune("shop", "--policy", "lin_ts", "--trials", "3", "--search", "gp")
        assert done.exit_code != 0
        said = done.output + str(done.exception)
        assert "search: found 'gp', but optuna is not installed here; run `pip install 'croupier[tune]'`" in said


def test_what_cannot_be_is_named(encoded, tmp_path, monkeypatch):
    for words, said in (
        (["shop", "--policy", "nobody"], "policy: found 'nobody', expected one of auto, vw_cb_adf"),
        (["shop", "--features", "nothing"], "features/nothing: nothing of that name"),
        (["shp"], "did you mean shop?"),
        (["shop", "--app", "other"], "app: found 'shop' and --app 'other', expected one app; leave one of the two out"),
    ):
        done = tune(*words)
        assert (done.exit_code, said in done.output) == (1, True), done.output
    home = shop.of_commands(tmp_path, monkeypatch)
    home.mkdir(parents=True)
    (home / "app.toml").write_text("")
    (home / "catalogue.json").write_text('[{"arm_id": "a"}]')
    done = tune("--policy", "lin_ts")
    assert done.exit_code == 1
    assert "features: found none of app shop, expected an encoded log" in done.output
