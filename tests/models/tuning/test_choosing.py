"""`candidates = "auto"` on a small log: what is tried never sees the judging rows, and what is left is trained."""

import json

import orjson
import pytest

from croupier.features import build
from croupier.features.engines.engine import LocalEngine, Results
from croupier.features.spec import AppSpec, SpecError
from croupier.features.workspace import Workspace
from croupier.models import choosing, training
from croupier.models.tuning import earlier_tunings, spaces
from croupier.models.tuning import trial as trials
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.tuner import Tuner
from croupier.serving.operate import app_check
from tests import shop

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"
DECLARED = 'candidates = ["vw_cb_adf", "neural_linear"]'
pytestmark = pytest.mark.medium


def chooses(w):
    text = (w.home / "app.toml").read_text()
    assert DECLARED in text
    (w.home / "app.toml").write_text(text.replace(DECLARED, 'candidates = "auto"'))


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """The key of an encoded log, in an app whose log chooses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(tmp_path_factory.mktemp("var")))
        w = shop.write(1500, seed=3)
        chooses(w)
        build.collect("shop")
        build.join("shop", START, END)
        yield build.encode("shop", START, END)["features"]


def test_the_log_chooses_once_and_the_gate_shares_alpha_by_what_is_left(encoded, capsys, monkeypatch):
    w = Workspace.open("shop")
    quick = [c for c in spaces.PORTFOLIO if c.policy in {"vw_cb_adf", "lin_ts"}]
    monkeypatch.setattr(spaces, "PORTFOLIO", tuple(quick))
    jobs = training.plan([("shop", encoded)])
    kept = orjson.loads(w.store.get(f"choices/{encoded}.json"))
    assert [job["policy"] for job in jobs] == list(kept["candidates"])
    assert 1 <= len(jobs) <= 2
    assert "shop: auto: 6 trials on 900 rows, none of which judges, chose: " in capsys.readouterr().out
    assert [len(rung) for rung in kept["rungs"]] == [6]
    best = kept["rungs"][-1][0]
    assert (best["learnt"], best["rows"]) == (450, [450, 450])  # half learn, and half judge
    assert kept["candidates"][best["policy"]] == best["parameters"]
    assert best["value"] == max(each["value"] for each in kept["rungs"][-1])
    assert training.plan([("shop", encoded)]) == jobs  # chosen once
    assert capsys.readouterr().out == ""
    trained = [training.train(**job) for job in jobs]
    head = orjson.loads(w.store.get(f"candidates/{encoded}/{best['policy']}/policy.json"))
    assert best["parameters"].items() <= head["parameters"].items()
    (verdict,) = training.judge(trained)
    assert verdict["evaluation"]["alpha"] == pytest.approx(w.spec.gate.alpha / len(jobs), rel=0.5)
    assert set(verdict["candidates"]) == set(kept["candidates"])


def test_what_an_earlier_tuning_came_to_is_tried_too(encoded, monkeypatch):
    w = Workspace.open("shop")
    features = tuner_features(w, encoded)
    monkeypatch.setattr(spaces, "PORTFOLIO", (Configuration("lin_ts"), Configuration("vw_cb_adf")))
    before = choosing._chosen(w, features, LocalEngine())
    known = [row for row in before["rungs"][0] if row["policy"] == "lin_ts"]
    tuned = Configuration("lin_ts", {"prior_variance": 0.123})
    rung = [tuned.to_json() | {"value": 9.0}, *(row | {"value": 0.1} for row in known)]
    earlier_tunings.keep(w, "another", before["data"], [rung])
    after = choosing._chosen(w, features, LocalEngine())
    tried = [{(row["policy"], json.dumps(row["parameters"])) for row in body["rungs"][0]} for body in (before, after)]
    assert tried[1] - tried[0] == {("lin_ts", json.dumps(tuned.parameters))}


def test_no_trial_sees_a_row_that_judges(encoded):
    w = Workspace.open("shop")
    split, seen = build.meta_of(w.store, encoded)["split_at"], []

    class Watching(LocalEngine):
        def map(self, function, jobs, *, done=None):
            seen.extend(jobs)
            return super().map(function, jobs, done=done)

    tuner = Tuner(w, encoded, choosing.judged_from(w, tuner_features(w, encoded)), Watching(), compares=True)
    tuner.narrow([Configuration("lin_ts"), Configuration("lin_ucb"), Configuration("uniform")])
    tuner.compared([Configuration("lin_ts")])
    assert len(seen) >= 4
    for job in seen:
        (since, until), (first, last) = job["learnt"], job["judged"]
        assert since < until <= first < last <= split
    assert max(job["judged"][1] for job in seen[:-1]) <= seen[-1]["judged"][0]  # what is compared had judged nothing


def tuner_features(w, key):
    return trials.fetched("shop", key, str(w.home)).features


def test_a_trial_values_the_uniform_policy_as_the_log_and_says_why_one_failed(encoded):
    w = Workspace.open("shop")
    tuner = Tuner(w, encoded, choosing.judged_from(w, tuner_features(w, encoded)), LocalEngine())
    uniform, broken = tuner._judged([Configuration("uniform"), Configuration("lin_ts", {"colour": 1})], 300)
    _, first, last, _ = tuner.edges
    by = trials.judging("shop", encoded, str(w.home), tuple(tuner._between((first, last))), w.spec.policies.seed)
    assert uniform["rows"] == [300, len(by.log)]
    assert uniform["value"] == pytest.approx(by.log.reward.mean(), abs=4 * uniform["se"])
    assert sum(uniform["sums"]) / len(by.log) == pytest.approx(uniform["value"])
    assert broken.keys() == {"failed"}
    assert "colour" in broken["failed"]
    json.dumps([uniform, broken])


def test_trials_that_are_kept_are_not_made_again(encoded, monkeypatch):
    w = Workspace.open("shop")
    engine = LocalEngine(Results(w.store, choosing.RESULTS))
    before = choosing.judged_from(w, tuner_features(w, encoded))
    first = Tuner(w, encoded, before, engine).narrow([Configuration("lin_ts")])
    monkeypatch.setattr(trials, "make", None)  # whoever learns now fails
    assert Tuner(w, encoded, before, engine).narrow([Configuration("lin_ts")])[0][0].found == first[0][0].found


def test_too_few_rows_train_what_would_do_and_say_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = shop.write(300, seed=3)
    chooses(w)
    build.collect("shop")
    build.join("shop", START, END)
    key = build.encode("shop", START, END)["features"]
    with pytest.raises(ValueError, match=f"auto: found no choice for features {key}"):
        training.train("shop", key, "lin_ts")
    assert [job["policy"] for job in training.plan([("shop", key)])] == ["vw_cb_adf", "lin_ts"]
    assert "180 rows are too few to choose by, 400 would do" in capsys.readouterr().out
    tuner = Tuner(Workspace.open("shop"), key, choosing.judged_from(w, tuner_features(w, key)), LocalEngine())
    with pytest.raises(ValueError, match=r"tune: found 180 matured rows .* expected at least 400"):
        tuner.narrow([Configuration("lin_ts")])


def test_the_word_stands_alone_and_limits_hold(tmp_path):
    def read(text):
        (tmp_path / "app.toml").write_text(text)
        return AppSpec.read(tmp_path / "app.toml")

    assert read('[policies]\ncandidates = "auto"\n').policies.auto
    assert read('[policies]\ncandidates = ["auto"]\n').policies.auto
    assert not read("").policies.auto
    with pytest.raises(SpecError, match='expected "auto" by itself, or names of policies'):
        read('[policies]\ncandidates = ["auto", "lin_ts"]\n')
    spec = read('[policies]\ncandidates = "auto"\n[safety]\nnever_dominated = true\n')
    assert app_check._untrainable(spec.policies) == []
    assert choosing.fitting.allowed(["vw_cb_adf", "lin_ts"], spec.allocation, spec.safety) == ["lin_ts"]
