"""What the gate foretold beside what the rollout found, by value."""

import orjson
import pytest
from typer.testing import CliRunner

from croupier.features.store import layout
from croupier.models.baselines import FixedArm
from croupier.serving.cli import app
from croupier.serving.evidence import foretold
from croupier.serving.operate import rollout_page
from croupier.serving.release import rollout_store

pytestmark = pytest.mark.medium


def foretells(h, features, candidate, lift):
    """A release that a verdict made, which foretold this lift, ± .05; its rollout goes on until it is decided."""
    bounds = {"value": lift, "lower": lift - 0.05, "upper": lift + 0.05}
    verdict = {"promoted": "fixed_arm", "evaluation": {"policies": {"fixed_arm": {"lift": bounds}}}}
    h.store.put(layout.verdict(features), orjson.dumps(verdict))
    h.release(candidate, meta={"features": features, "kind": "promotion"})
    h.until_decided()
    return [e["evidence"] for e in rollout_store.read_state(h.store).history if "difference" in e["evidence"]][-1]


def test_each_rollout_that_a_verdict_began_is_held_against_it(house, tmp_path, monkeypatch):
    """The first releases have no verdict; a2 is worth .2 more than uniform, and a0 .15 less."""
    h = house(FixedArm(arm="a1"), stages=(0.5, 1.0))
    h.until_decided()
    assert foretold.past(h.store) == []
    assert (foretold.sentence([]), foretold.told([])["rollouts"]) == ("", 0)
    good = foretells(h, "f2", FixedArm(arm="a2"), 0.2)
    bad = foretells(h, "f3", FixedArm(arm="a0"), 0.3)
    rows = foretold.past(h.store)
    assert [(r.kind, r.lift, r.lift_lower, r.lift_upper) for r in rows] == [
        ("promotion", 0.2, pytest.approx(0.15), 0.25),
        ("promotion", 0.3, pytest.approx(0.25), pytest.approx(0.35)),
    ]
    assert [(r.difference, r.lower, r.upper) for r in rows] == [
        (e["difference"], e["lower"], e["upper"]) for e in (good, bad)
    ]
    assert rows[0].difference == pytest.approx(0.2, abs=0.1)
    assert (rows[1].stage, rows[1].difference < 0) == ("aborted", True)
    gaps = [0.2 - good["difference"], 0.3 - bad["difference"]]
    known = foretold.told(rows)
    assert known["foretold_too_much"] == pytest.approx(sum(gaps) / 2)
    assert known["standard_error"] == pytest.approx(abs(gaps[0] - gaps[1]) / 2)
    assert known["below_the_gates_bound"] == (good["difference"] < 0.15) + 1
    assert foretold.sentence(rows).startswith(f"Over 2 rollouts the gate foretold {sum(gaps) / 2:.4f} more a decision")
    page = rollout_page.write(h.store, h.home, h.spec, now=h.now).read_text()
    assert foretold.sentence(rows) in page


def test_the_command_says_so_before_there_is_anything(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app.toml").write_text("[reward.kinds.click]\n")
    said = CliRunner().invoke(app, ["rollout", "past", "--app", "shop"])
    assert (said.exit_code, "no candidate has been compared" in said.output) == (0, True)
    found = CliRunner().invoke(app, ["rollout", "past", "--app", "shop", "--json"])
    assert orjson.loads(found.stdout)["rollouts"] == 0
