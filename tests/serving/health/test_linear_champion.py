"""An app whose linear champion fails is told so by terminal, JSON and page, with the expected gain and the features."""

import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features import build, clock, scheduled
from croupier.features.build import Features
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm, Decision, Reward
from croupier.features.store import layout
from croupier.features.utc import HOUR, SECOND, to_us
from croupier.features.workspace import Workspace, get_folder
from croupier.models import training
from croupier.models.policy import load
from croupier.serving.cli import app as cli
from croupier.serving.operate import verdict_release

pytestmark = pytest.mark.medium
START = to_us(datetime(2026, 3, 1, tzinfo=UTC))
ROWS = 2400
APP = """
[reward]
window_seconds = 60
[reward.kinds.click]
[context.age]
type = "numeric"
[context.depth]
type = "numeric"
[context.device]
type = "categorical"
[training]
every = "1h"
[policies]
candidates = ["lin_ts"]
parameters.lin_ts.heads = "per_arm"
"""


def logged():
    """Uniform decisions; arm "left" is liked where age and depth are both high or both low, "right" elsewhere."""
    rng, decisions, rewards = np.random.default_rng(7), [], []
    for i, (age, depth) in enumerate(rng.normal(size=(ROWS, 2)).tolist()):
        arm, at = ("left", "right")[rng.integers(2)], START + i * SECOND
        context = {"age": age, "depth": depth, "device": ("tv", "phone")[i % 2]}
        decisions.append(
            Decision(
                event_id=f"e{i}",
                at=at,
                unit_id=f"u{i:032d}",
                context=context,
                arms=("left", "right"),
                pmf=(0.5, 0.5),
                arm=arm,
                propensity=0.5,
                policy="uniform",
                role="champion",
                release=0,
            )
        )
        if rng.random() < (0.6 if (age * depth > 0) == (arm == "left") else 0.2):
            rewards.append(Reward(event_id=f"e{i}", at=at + SECOND, kind="click", value=1.0))
    return decisions, rewards


def turned():
    """What build_features and train_and_gate do; returns the features' key."""
    build.collect("shop")
    scheduled.validate("shop", None, scheduled.join("shop", None))
    key = scheduled.encode("shop", None)["features"]
    training.judge([training.train(**job) for job in training.plan([("shop", key)])])
    return key


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("linear")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(folder / "var"))
        patch.setenv("CROUPIER_QUALITY_PAGES", "false")
        w = Workspace.open("shop")
        w.home.mkdir(parents=True)
        (w.home / layout.APP_TOML).write_text(APP)
        catalogue.write(w.home / layout.CATALOGUE, [Arm(arm_id=a, features={}) for a in ("left", "right")])
        spool, (decisions, rewards) = w.spool(), logged()
        spool.append_decisions(decisions)
        spool.append_rewards(rewards)
        spool.close()
        with clock.at(START + 2 * HOUR):
            key = turned()
            found = Features.fetch(w.store, key, folder / "features")
            verdict_release.release_policies(
                w,
                champion=load(get_folder(w.store, layout.candidate(key, "lin_ts"), folder / "lin_ts")),
                candidate=None,
                encoder=found.encoder,
                arms=w.arms(),
                meta={"features": key, "declared": found.meta["declared"]},
            )
        yield w, key


def health(*words, at=START + 2 * HOUR):
    with clock.at(at):
        done = CliRunner().invoke(cli, ["health", "--app", "shop", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout


def test_the_terminal_names_what_is_missed_and_what_would_be_earned(shop):
    said = health()
    assert re.search(
        r"linear champion: a linear policy misses how the reward depends on .*(age × depth|depth × age)", said
    )
    gain = re.search(r"try neural_linear, expected gain \+([\d.]+) \[([\d.]+), ([\d.]+)\] a decision \(\+\d+%\)", said)
    gain, low, high = map(float, gain.groups())
    assert low < gain < high
    assert gain == pytest.approx(0.18, abs=0.05), "the best arm earns 0.6, the linear policy the mean of 0.6 and 0.2"
    assert 'add "neural_linear" to [policies] candidates' in said
    assert "device" not in said


def test_json_and_page_say_the_same_and_it_is_examined_once(shop, monkeypatch):
    w, key = shop
    found = json.loads(health("--json"))
    (symptom,) = [s for s in found["symptoms"] if s["cause"] == "linear_failure"]
    assert (symptom["watch"], symptom["level"], symptom["since"]) == ("model", "watch", START)
    assert found["linear"]["failed"] is True
    assert found["linear"]["rows"] == ROWS
    assert symptom["number"] == found["linear"]["bent_loss"] / found["linear"]["loss"]
    assert json.loads(w.store.get(layout.linear_fit(key))) == found["linear"]
    monkeypatch.setattr("croupier.models.health.linear.kept.examine", None)
    page = w.home / "page.html"
    health("--html", str(page))
    text = page.read_text()
    assert "Is a linear model enough" in text
    assert "try neural_linear" in text
    assert "left unexplained by" in text
    worth = f"{found['linear']['growth']:+.3g} [{found['linear']['growth_low']:.3g}, "
    assert f"twice the rows earn a linear policy {worth}" in text


def test_silenced_or_of_no_concern_it_is_not_told(shop):
    w, _ = shop
    toml = w.home / layout.APP_TOML
    toml.write_text(APP.replace('["lin_ts"]', '["lin_ts", "neural_linear"]'))
    assert "neural_linear is trained already" in health()
    toml.write_text(APP)
    with clock.at(START + 2 * HOUR):
        words = ["health", "silence", "--app", "shop", "--watch", "model", "--for", "1h"]
        assert CliRunner().invoke(cli, words).exit_code == 0
    said = health()
    assert "model is silenced until" in said
    assert "\nwatch" not in said
    head = layout.release(1, "champion", layout.POLICY_FILE)
    w.store.put(head, w.store.get(head).replace(b"lin_ts", b"neural_linear"))
    assert json.loads(health("--json"))["linear"] is None
