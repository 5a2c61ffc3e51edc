"""`croupier migrate personalizer`: from a saved folder to an app that validates, has a release and a log, and whose
features are those that Personalizer's callers send."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features.encoding import catalogue
from croupier.features.workspace import Workspace
from croupier.serving.cli import app
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.gateway.ranking.features import flat

KINDS = {"cappuccino": {"type": "hot", "roast": "dark"}, "cold brew": {"type": "cold", "roast": "light"}}
SERVICE = {"rewardWaitTime": "PT20M", "defaultReward": 0.0, "rewardAggregation": "earliest", "explorationPercentage": 0.3,
           "modelExportFrequency": "PT5M", "logRetentionDays": 90, "learningMode": "Online"}  # fmt: skip
POLICY = {"name": "mine", "arguments": "--cb_explore_adf --squarecb --gamma_scale 20 --epsilon 0.05 --cb_type mtr"}


def sent(i):
    """contextFeatures as a caller sends them."""
    return [
        {"device": {"type": ("phone", "tv")[i % 2], "os": {"name": f"v{i % 3}"}}},
        {"weather": "sunny" * (i % 5 > 1)},
    ]


def event(i, rng, **more):
    """A line as Personalizer wrote it, around what the caller had sent."""
    chosen = int(rng.random() < 0.5)
    cost = -float(rng.random() < (0.6 if chosen else 0.2))
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=30 * i)
    multi = [{"_tag": a, "i": {"constant": 1, "id": a}, "j": [f]} for a, f in KINDS.items()]
    return {
        "_label_cost": cost, "_label_probability": 0.5, "_label_Action": chosen + 1, "_labelIndex": chosen,
        "o": [{"v": -cost, "EventId": f"e{i}", "ActionTaken": False}], "Timestamp": f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z",
        "Version": "1", "EventId": f"e{i}", "a": [chosen + 1, 2 - chosen], "p": [0.5, 0.5],
        "c": {"FromUrl": sent(i), "_multi": multi}, "VWState": {"m": "f"}, "_original_label_cost": cost,
    } | more  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    """Two days' logs in folders of their own, one without an end of line; settings; a model."""
    rng, folder = np.random.default_rng(3), tmp_path / "export"
    lines = [json.dumps(event(i, rng)) for i in range(300)]
    lines[7] = json.dumps(event(7, rng, _skipLearn=True))  # deferred, and never activated
    for day, part in (("01", lines[:150]), ("02", lines[150:])):
        (folder / "2026" / "03" / day).mkdir(parents=True)
        (folder / "2026" / "03" / day / "0.json").write_text("\n".join(part))
    (folder / "service.json").write_text(json.dumps(SERVICE, indent=2))
    (folder / "policy.json").write_text(json.dumps(POLICY))
    (folder / "current.vw").write_bytes(b"\x06\x00\x00\x009.11\x00")
    return folder


def run(*words):
    return CliRunner().invoke(app, ["migrate", "personalizer", *map(str, words)])


@pytest.fixture
def var(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))


@pytest.mark.medium
@pytest.mark.usefixtures("var")
def test_a_folder_becomes_an_app_that_decides(saved):
    done = run("--export", saved, "--app", "cafe", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["log"]["decisions"], found["arms"], found["release"]) == (299, 2, 1)
    assert found["reasons"] == {"_skipLearn": 1}
    assert any(line.startswith("current.vw: not kept: a model of VW") for line in found["settings"])
    spec = Workspace.known("cafe").spec
    assert (spec.reward.window_seconds, spec.policies.floor) == (1200.0, 0.3)
    assert spec.policies.parameters["vw_cb_adf"] == {"preset": "squarecb", "gamma_scale": 20.0, "epsilon": 0.05}
    assert set(spec.context) == set(flat(sent(3), "contextFeatures")) == {"device.type", "device.os.name", "weather"}
    arms = {arm.arm_id: arm.features for arm in Workspace.known("cafe").arms()}
    assert arms == KINDS, "the features that its callers send, under their own names"
    with Embedded("cafe") as croupier:
        chosen = croupier.select(unit_id="u", context=flat(sent(3), "contextFeatures"), arms=list(KINDS))
        new = {"id": "flat white", "features": {"type": "hot", "roast": "light"}}
        brought = croupier.select(unit_id="u", context={}, arms=["cold brew", new])
    assert (chosen.arm in KINDS, chosen.propensity, chosen.release) == (True, 0.5, 1)
    assert (brought.arm in ("cold brew", "flat white"), brought.propensity) == (True, 0.5)


@pytest.mark.medium
@pytest.mark.usefixtures("var")
def test_who_was_an_apprentice_stays_one(saved):
    (saved / "service.json").write_text(json.dumps(SERVICE | {"learningMode": "Apprentice"}))
    done = run("--export", saved, "--app", "cafe")
    assert done.exit_code == 0, done.output
    assert 'learningMode Apprentice → [requests] learning_mode = "apprentice"' in done.output
    assert Workspace.known("cafe").spec.requests.learning_mode == "apprentice"
    with Embedded("cafe") as croupier:
        for arms in (list(KINDS), list(KINDS)[::-1]):
            chosen = croupier.select(unit_id="u", context={}, arms=arms)
            assert (chosen.arm, chosen.propensity, chosen.role) == (arms[0], 1.0, "apprentice")


@pytest.mark.medium
@pytest.mark.usefixtures("var")
def test_for_people_each_setting_has_its_line(saved):
    done = run("--export", saved, "--app", "cafe")
    assert done.exit_code == 0, done.output
    for said in ("rewardWaitTime PT20M → [reward] window_seconds = 1200", "modelExportFrequency: not kept",
                 "--squarecb → [policies.parameters.vw_cb_adf] preset = squarecb", "skipped 1: _skipLearn",
                 "release 1 draws uniformly; 299 decisions", "croupier turn --app cafe"):  # fmt: skip
        assert said in done.output


@pytest.mark.medium
@pytest.mark.usefixtures("var")
def test_an_app_that_is_there_is_left_alone(saved):
    assert run("--export", saved, "--app", "cafe").exit_code == 0
    home = Workspace.known("cafe").home
    before = (home / "app.toml").read_bytes()
    (saved / "service.json").write_text(json.dumps(SERVICE | {"defaultReward": 0.25}))
    done = run("--export", saved, "--app", "cafe")
    assert done.exit_code == 1
    assert "is there already" in done.output
    assert (home / "app.toml").read_bytes() == before
    assert catalogue.read(home / "catalogue.json")


@pytest.mark.usefixtures("var")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: [p.unlink() for p in folder.rglob("0.json")], "found no log of Personalizer"),
        (
            lambda folder: (folder / "a.json").write_text(json.dumps(SERVICE | {"logRetentionDays": 1})),
            "other settings",
        ),
        (
            lambda folder: (folder / "service.json").write_text('{"rewardWaitTime": "soon"}'),
            "rewardWaitTime: found 'soon'",
        ),
        (lambda folder: (folder / "policy.json").write_text('{"arguments": "--epsilon x"}'), "found --epsilon x"),
    ],
)
def test_what_cannot_be_moved_makes_no_app(saved, tmp_path, change, says):
    change(saved)
    done = run("--export", saved, "--app", "cafe")
    assert done.exit_code == 1
    assert says in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "var" / "cafe" / "app.toml").exists()


@pytest.mark.usefixtures("var")
def test_no_folder_is_said(tmp_path):
    done = run("--export", tmp_path / "nowhere", "--app", "cafe")
    assert (done.exit_code, "found no folder" in done.output) == (1, True)
