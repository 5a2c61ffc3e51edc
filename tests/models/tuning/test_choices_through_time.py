"""`candidates = "auto"` in a rolling window: a choice stands for its process, and the champion's family stays in."""

import orjson
import pytest

from croupier.models import choosing
from croupier.models.tuning import spaces
from croupier.models.tuning.configuration import Configuration
from croupier.serving.operate import app_diff
from tests.models import turns

pytestmark = pytest.mark.medium
FEW = (
    Configuration("lin_ucb", {"heads": "per_arm", "alpha": 0.3}),
    Configuration("lin_ts", {"heads": "shared", "cross": "none"}),
    Configuration("beta_bernoulli"),
)


def kept(w, key):
    return orjson.loads(w.store.get(f"choices/{key}.json"))


def test_a_choice_stands_until_another_process_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(spaces, "PORTFOLIO", FEW)
    w = turns.opened(tmp_path, monkeypatch, "")
    path = w.home / "app.toml"
    path.write_text(path.read_text().replace('candidates = ["lin_ts"]', 'candidates = "auto"'))
    w = type(w).open("shop")
    turns.log(w, turns.WORLD, 0, 1)
    first, verdict = turns.turn(2)
    chosen = kept(w, first)
    assert "3 trials on 1,080 rows, none of which judges, chose" in chosen["why"]
    assert chosen["on"] == first
    process = choosing.retraining.read_process(w)
    assert set(process.candidates) == set(chosen["candidates"]) == set(verdict["candidates"]) == choosing.names(w)
    judged = verdict["evaluation"]
    assert judged["rows"] == 720  # 1,800 less those that chose
    assert app_diff.diff(w).begins_anew is False

    turns.log(w, turns.WORLD, 2, 1)
    second, _ = turns.turn(4)
    assert second != first
    assert kept(w, second)["candidates"] == chosen["candidates"]
    assert kept(w, second)["why"] == f"goes on as chosen on {first}"
    assert len(choosing.retraining.read_process(w).candidates[next(iter(chosen["candidates"]))]) == 3  # it went on

    turns.released(w, _with_lin_ts(w, second), tmp_path)
    turns.log(w, turns.WORLD, 4, 1)
    third, _ = turns.turn(6)
    anew = kept(w, third)
    assert anew["on"] == third
    assert "lin_ts" in anew["candidates"], "the champion's own family, which is refreshed"
    assert f"shop: auto: {anew['why']}: " in capsys.readouterr().out


def _with_lin_ts(w, key):
    """A training of lin_ts on these features, whatever the log chose."""
    body = kept(w, key)
    if "lin_ts" not in body["candidates"]:
        w.store.delete(f"choices/{key}.json")
        w.store.create(f"choices/{key}.json", orjson.dumps(body | {"candidates": {"lin_ts": {"cross": "none"}}}))
        turns.training.train("shop", key, "lin_ts")
    return key
