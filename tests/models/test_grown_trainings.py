"""Categories that came after the first training: they enter at a later one, and nothing that was judged begins anew."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from croupier.features import build, scheduled
from croupier.features.batch import concatenate
from croupier.features.build import Features
from croupier.features.encoding import catalogue
from croupier.features.schema import CHAMPION, Arm, Decision, Reward
from croupier.features.store import layout
from croupier.features.utc import to_us
from croupier.features.workspace import Workspace, get_folder
from croupier.models import retraining, training
from croupier.models.earlier import ReadsEarlier
from croupier.models.policy import load
from croupier.serving.operate import succession, verdict_release
from croupier.serving.release import bundle, bundle_store

pytestmark = pytest.mark.medium
APP = """
[context.city]
type = "categorical"
[arm.arm_id]
type = "categorical"
[[interactions]]
a = "context.city"
b = "arm.arm_id"
[reward]
window_seconds = 60.0
[reward.kinds.click]
how = "first"
[training]
every = "1s"
min_rows = 100
[refresh]
every = "1s"
[policies]
candidates = ["lin_ts"]
"""
LIKES = {"Graz": "a", "Wien": "b", "Linz": "b", "Rom": "a"}
HOUR = 1500


def log(w, hours_ago, cities, seed):
    """An hour of uniform decisions; a city's people click on what they like."""
    rng = np.random.default_rng(seed)
    start = to_us(datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago))
    spool, decisions, rewards = w.spool(), [], []
    for i in range(HOUR):
        city, arm = str(rng.choice(cities)), str(rng.choice(["a", "b"]))
        decisions.append(
            Decision(
                event_id=f"e{seed}-{i}",
                at=start + i * 2_000_000,
                unit_id=f"{seed:08x}{i:08x}{0:016x}",
                context={"city": city},
                arms=("a", "b"),
                arm=arm,
                propensity=0.5,
                pmf=(0.5, 0.5),
                policy="uniform",
                role=CHAMPION,
                release=0,
                stage="",
            )
        )
        if rng.random() < (0.7 if LIKES[city] == arm else 0.2):
            rewards.append(Reward(event_id=f"e{seed}-{i}", at=start + i * 2_000_000, kind="click", value=1.0))
    spool.append_decisions(decisions)
    spool.append_rewards(rewards)
    spool.close()


def turn():
    time.sleep(1.1)  # the cadence of this app
    build.collect("shop")
    scheduled.validate("shop", None, scheduled.join("shop", None))
    encoded = scheduled.encode("shop", None)
    jobs = training.plan([("shop", encoded["features"])])
    trained = [training.train(**{k: j[k] for k in ("app", "features", "policy")}) for j in jobs]
    return encoded["features"], training.judge(trained)[0]


def released(w, number, folder):
    bundle_store.download(w.store, number, folder / str(number), app="shop")
    return bundle.load(folder / str(number))


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    """Two cities, then a third (champion: a LinTS that knows two), then a fourth, and what each turn led to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(tmp_path_factory.mktemp("var")))
        patch.setenv("CROUPIER_QUALITY_PAGES", "false")
        w = Workspace.open("shop")
        w.home.mkdir(parents=True)
        (w.home / "app.toml").write_text(APP)
        catalogue.write(w.home / "catalogue.json", [Arm(arm_id=a, features={}) for a in ("a", "b")])
        w = Workspace.open("shop")
        log(w, 12, ["Graz", "Wien"], 1)
        log(w, 11, ["Graz", "Wien"], 2)
        one, verdict = turn()
        assert verdict["promoted"] == "lin_ts", verdict["summary"]
        verdict_release.publish_verdict(verdict)
        succession.promote(w.store, w.home, triton=None)
        log(w, 10, ["Graz", "Wien", "Linz"], 3)
        log(w, 9, ["Graz", "Wien", "Linz"], 4)
        two, again = turn()
        process = retraining.read_process(w)
        log(w, 8, ["Graz", "Wien", "Linz", "Rom"], 5)
        three, verdict = turn()
        published = verdict_release.publish_verdict(verdict)
        yield w, (one, two, three), process, verdict, published, again


def names(w, key):
    return build.encoder_at(w, layout.features(key, layout.ENCODER)).context_names


def test_new_categories_enter_at_the_next_training(turns):
    w, keys, *_ = turns
    known = {"city=Graz", "city=Wien", "city=<unk>"}
    assert [set(names(w, key)) for key in keys] == [known, known | {"city=Linz"}, known | {"city=Linz", "city=Rom"}]


def test_the_process_goes_on_and_its_alpha_is_not_whole_again(turns):
    w, keys, before, verdict, *_ = turns
    now = retraining.read_process(w)
    assert (now.start, now.champion) == (before.start, "lin_ts")
    assert [s.policy for s in now.candidates["lin_ts"]][-3:] == [
        f"candidates/{keys[1]}/lin_ts-before", f"candidates/{keys[1]}/lin_ts", f"candidates/{keys[2]}/lin_ts"
    ]  # fmt: skip
    assert now.encoder == build.encoder_at(w, layout.features(keys[2], layout.ENCODER)).digest != before.encoder
    assert verdict["evaluation"]["failed"] == {}


def test_each_model_is_judged_on_its_own_columns(turns, tmp_path):
    """The champion that knows two cities decides on the judged rows as it does on rows that its own encoder wrote."""
    w, keys, *_ = turns
    features = Features.fetch(w.store, keys[2], tmp_path / "f")
    rows = concatenate(list(features.chunks()))
    wrote = build.encoder_at(w, layout.release(2, layout.ENCODER))
    champion = load(get_folder(w.store, layout.release(2, CHAMPION), tmp_path / "c"))
    read = retraining._loaded(w, layout.release(2, CHAMPION), tmp_path, features.encoder)
    assert isinstance(read, ReadsEarlier)
    cities = {"city=Graz": "Graz", "city=Wien": "Wien", "city=Linz": "Linz", "city=Rom": "Rom"}
    at = [features.encoder.context_names[k] for k in rows.batch.context.argmax(axis=1)]
    arms = catalogue.read(tmp_path / "f" / "catalogue.json")
    ids = rows.batch.catalogue.ids
    offered = [[ids[k] for k in row] for row in rows.batch.arm]
    own = wrote.encode([{"city": cities[name]} for name in at], offered, [()] * len(at), wrote.catalogue(arms))
    np.testing.assert_array_equal(read.pmf(rows.batch), champion.pmf(own))


def test_the_release_serves_the_champion_as_before_beside_a_candidate_that_knows_the_new_ones(turns, tmp_path):
    w, keys, _, verdict, published, _ = turns
    assert (verdict["kind"], published["published"]) == ("refresh", True), verdict["summary"]
    old, new = released(w, 2, tmp_path), released(w, published["release"], tmp_path)
    assert new.encoder.digest == build.encoder_at(w, layout.features(keys[2], layout.ENCODER)).digest
    assert new.manifest["policies"] == {"champion": "lin_ts", "candidate": "lin_ts"}
    contexts = [{"city": city} for city in (*LIKES, "Oslo")]
    asked = [contexts, [["b", "a"]] * 5, [()] * 5]
    before, now = (r.encoder.encode(*asked, r.catalogue) for r in (old, new))
    np.testing.assert_array_equal(new.pmf("champion", now), old.pmf("champion", before))
    likes_b = dict(zip((*LIKES, "Oslo"), new.pmf("candidate", now)[:, 0], strict=True))
    assert likes_b["Linz"] > 0.9
    assert likes_b["Rom"] < 0.1
    unknown = old.pmf("champion", before)
    np.testing.assert_array_equal(unknown[2], unknown[4])  # Linz and Oslo are one to it
    succession.promote(w.store, w.home, triton=None)
    promoted = released(w, published["release"] + 1, tmp_path)
    assert not isinstance(promoted.champion, ReadsEarlier)
    assert replace(promoted, number=0).encoder.digest == new.encoder.digest
