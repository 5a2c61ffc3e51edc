"""How well is learnt, of an app that was trained twice: terminal, JSON and page have the champion's predictions of what came
after its training, its posterior, the training loss by release, and what features say; looked at once."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.features import clock
from croupier.features.build import Features
from croupier.features.encoding import catalogue
from croupier.features.schema import CHAMPION, Arm, Decision, Reward
from croupier.features.store import layout, released
from croupier.features.utc import HOUR, SECOND
from croupier.features.workspace import Workspace, get_folder
from croupier.models.health.learning.condition import condition_number
from croupier.models.health.learning.information import information
from croupier.models.health.learning.predicted import expected
from croupier.models.policy import load
from croupier.serving.cli import app as cli
from croupier.serving.operate import verdict_release
from tests.page_words import unscripted
from tests.serving.health.test_linear_champion import APP, ROWS, START, turned

pytestmark = pytest.mark.medium
DAYS_AFTER = START + 2 * HOUR
SIDE = '[arm.side]\ntype = "categorical"\n'


def decided(first, seed, sign):
    """Uniform decisions from `first` on; arm "left" is liked the more the older one is, or the less (`sign`)."""
    rng, decisions, rewards = np.random.default_rng(seed), [], []
    for i, (age, depth) in enumerate(rng.normal(size=(ROWS, 2)).tolist()):
        arm, at, event = ("left", "right")[rng.integers(2)], first + i * SECOND, f"e{first}-{i}"
        context = {"age": age, "depth": depth, "device": ("tv", "phone")[i % 2]}
        decisions.append(
            Decision(
                event_id=event,
                at=at,
                unit_id=f"u{first + i:032d}",
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
        if rng.random() < 0.5 + sign * 0.4 * np.tanh(2 * age) * (1 if arm == "left" else -1):
            rewards.append(Reward(event_id=event, at=at + SECOND, kind="click", value=1.0))
    return decisions, rewards


def shop_in(folder, patch, later):
    """Trained and released on a first hour; trained again on a later one, where tastes have the sign `later`."""
    patch.setenv("CROUPIER_VAR", str(folder / "var"))
    patch.setenv("CROUPIER_QUALITY_PAGES", "false")
    w = Workspace.open("shop")
    w.home.mkdir(parents=True)
    (w.home / layout.APP_TOML).write_text(APP + SIDE + "[health]\nfalse_alarms = 0.5\n")
    catalogue.write(w.home / layout.CATALOGUE, [Arm(arm_id=a, features={"side": a[0]}) for a in ("left", "right")])
    keys = []
    for first, sign in ((START, 1), (DAYS_AFTER, later)):
        spool, (decisions, rewards) = w.spool(), decided(first, len(keys), sign)
        spool.append_decisions(decisions)
        spool.append_rewards(rewards)
        spool.close()
        with clock.at(first + 2 * HOUR):
            keys.append(turned())
            if first == START:
                verdict = json.loads(w.store.get(layout.verdict(keys[0]))) | {"promoted": "lin_ts", "kind": "promotion"}
                released_now(w, verdict, folder)
    return w, keys


def released_now(w, verdict, folder):
    """Releases what was promoted as a candidate, and then, as after its rollout, as the champion."""
    verdict_release.publish_verdict(verdict)
    number = released.current(w.store)
    key, found = verdict["features"], Features.fetch(w.store, verdict["features"], folder / "features")
    candidate = load(get_folder(w.store, layout.release(number, "candidate"), folder / "candidate"))
    meta = released.manifest(w.store, number)["meta"] | {"features": key, "training_loss": {}}
    verdict_release.release_policies(
        w, champion=candidate, candidate=None, encoder=found.encoder, arms=w.arms(), meta=meta
    )


def health(*words):
    with clock.at(DAYS_AFTER + 2 * HOUR):
        done = CliRunner().invoke(cli, ["health", "--app", "shop", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.stdout


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield shop_in(tmp_path_factory.mktemp("sound"), patch, 1)


def champion_and_later(w, key, folder):
    """The champion, and the rows after its training."""
    policy = load(get_folder(w.store, layout.release(released.current(w.store), CHAMPION), folder / "champion"))
    (log,) = Features.fetch(w.store, key, folder / "features").chunks()
    return policy, log[log.at >= DAYS_AFTER]


def test_the_champions_predictions_are_held_against_the_rows_after_its_training(sound, tmp_path):
    w, (_, key) = sound
    found = json.loads(health("--json"))["learning"]
    policy, later = champion_and_later(w, key, tmp_path)
    champion = found["champion"]
    assert (champion["who"], champion["rows"], len(champion["bins"])) == ("the champion, lin_ts", ROWS, 10)
    p, r = expected(policy, later), later.reward
    assert champion["skill"] == pytest.approx(1 - np.mean((r - p) ** 2) / r.var())
    assert champion["sharpness"] == pytest.approx(p.var() / r.var())
    assert champion["skill"] > 0.2
    assert champion["useless"] is False
    assert found["reward_model"]["rows"] == 2 * ROWS
    conditions = {head["who"]: head for head in found["conditions"]}
    assert set(conditions) == {"the champion, lin_ts", "the candidate lin_ts"}
    worst = max(map(condition_number, policy.heads.arms.values()))
    assert conditions["the champion, lin_ts"]["number"] == pytest.approx(worst)
    assert json.loads(w.store.get(layout.features(key, layout.LEARNING)))["champion"] == champion


def test_the_training_loss_is_told_by_release(sound):
    w, (key, _) = sound
    (loss,) = json.loads(health("--json"))["learning"]["losses"]
    kept = json.loads(w.store.get(f"{layout.candidate(key, 'lin_ts')}/{layout.LOSS}"))
    assert loss == kept | {"release": 1, "policy": "lin_ts"}, "release 2 brought no new policy"
    assert 0 < loss["loss"] < loss["of_mean"]


def test_the_page_shows_it_and_it_is_looked_at_once(sound, monkeypatch):
    w, _ = sound
    said = json.loads(health("--json"))["learning"]
    monkeypatch.setattr("croupier.serving.health.learnt.cross_fit", None)
    path = w.home / "page.html"
    health("--html", str(path))
    page = unscripted(path.read_text())
    for words in (
        "<h2>Learning</h2>",
        "Reliability: the champion, lin_ts",
        "Training loss by release",
        "Nearly the same",
    ):
        assert words in page
    assert f'<td class="n">{said["champion"]["skill"]:.3g}</td>' in page
    assert f'<td class="n">{said["losses"][0]["loss"]:.4g}</td>' in page
    (age,) = [f for f in said["features"] if f["name"] == "context.age"]
    assert age["nats_now"] is not None
    assert f'<th scope="row">context.age</th><td class="n">{age["r"]:.3f}</td>' in page
    (side,) = [f for f in said["features"] if f["name"] == "arm.side"]
    made = [decided(first, k, 1) for k, first in enumerate((START, DAYS_AFTER))]
    decisions, rewarded = [d for part, _ in made for d in part], {r.event_id for _, part in made for r in part}
    shown = [[d for d in decisions if d.arm == arm] for arm in ("left", "right")]
    counted = [[len(part), sum(d.event_id in rewarded for d in part)] for part in shown]
    assert side["nats_now"] == max(information(np.array(counted, float).T), 0.0)
    assert side["r"] is None


def test_a_champion_whose_world_turned_over_is_watched(tmp_path, monkeypatch):
    shop_in(tmp_path, monkeypatch, -1)
    found = json.loads(health("--json"))
    (told,) = [s for s in found["symptoms"] if s["cause"] == "poor_prediction"]
    assert (told["watch"], told["level"], told["about"]) == ("model", "watch", "predictions of the champion, lin_ts")
    assert told["number"] == found["learning"]["champion"]["skill"] < 0
    assert "squared error is" in told["says"]
