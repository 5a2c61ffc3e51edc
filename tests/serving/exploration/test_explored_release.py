"""From a verdict that promotes nothing to a champion that explores toward whom evidence is wanted of."""

import pytest

from croupier.features import build
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.utc import DAY
from croupier.features.workspace import Workspace
from croupier.models import training
from croupier.serving.operate import catalogue_release, succession, verdict_release
from croupier.serving.release import bundle, bundle_store, rollout_store
from croupier.serving.release.exploration.choice import explores_already, wanted
from tests import shop

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"


def declare(w, share):
    """app.toml with this share of ε."""
    path = w.home / "app.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("toward_candidate")]
    at = lines.index("[policies]") + 1
    path.write_text("\n".join([*lines[:at], f"toward_candidate = {share}", *lines[at:]]) + "\n")


@pytest.fixture
def verdict(tmp_path, monkeypatch):
    """The gate's own, of a candidate on too few rows; release 1 serves."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    shop.write(400, seed=3)
    w = Workspace.open("shop")
    verdict_release.bootstrap(w)
    build.collect("shop")
    build.validate("shop", START, END, build.join("shop", START, END))
    key = build.encode("shop", START, END)["features"]
    (found,) = training.judge([training.train("shop", key, "lin_ts")])
    policy = found["evaluation"]["policies"]["lin_ts"]
    assert (found["promoted"], policy["verdict"]) == ("", "not enough evidence")
    return found


@pytest.mark.medium
def test_it_is_released_once_kept_by_what_follows_and_taken_back(verdict):
    w = Workspace.open("shop")
    assert "toward" not in verdict_release.publish_verdict(verdict)
    declare(w, 0.5)
    done = verdict_release.publish_verdict(verdict)
    assert done["release"] == 2
    assert verdict_release.said(done) == ("shop: release 2 was published, the champion alone, exploring toward lin_ts")
    loaded, folder = (bundle.load(w.home / "triton" / "select_arm" / "2"), w.home / "triton" / "select_arm")
    assert (loaded.champion.name, loaded.candidate, loaded.toward.policy.name) == ("uniform", None, "lin_ts")
    assert (loaded.toward.share, loaded.toward.features) == (0.5, verdict["features"])
    assert len(loaded.golden) == 16, "requests of the log, as the champion answers them"
    assert rollout_store.read_state(w.store).stage == "none"
    assert not verdict_release.publish_verdict(verdict)["published"], "once"
    arms = w.arms()
    catalogue.write(w.home / "catalogue.json", [*arms, Arm(arm_id="reel-new", features=arms[3].features)])
    assert catalogue_release.look(w, 2**51) == "release 3"
    assert bundle.load(folder / "3").toward.entry() == loaded.toward.entry()
    assert succession.roll_back(w.store, w.home, 2, triton=None).number == 4
    assert bundle.load(folder / "4").toward is None, "what came back explores uniformly until the next verdict"
    assert verdict_release.publish_verdict(verdict)["toward"] == "lin_ts"
    declare(w, 0.0)
    last = verdict_release.publish_verdict(verdict)
    assert verdict_release.said(last).endswith("release 6 was published, the champion alone, exploring uniformly again")
    assert [row["toward"] for row in bundle_store.listed(w.store)] == ["", "lin_ts", "lin_ts", "", "lin_ts", ""]
    assert not verdict_release.publish_verdict(verdict)["published"]


@pytest.mark.medium
def test_a_rollout_under_way_is_left_alone_and_a_promotion_takes_its_place(verdict):
    w = Workspace.open("shop")
    declare(w, 0.25)
    verdict_release.publish_verdict(verdict)
    done = verdict_release.publish_verdict(verdict | {"promoted": "lin_ts", "kind": "promotion"})
    loaded = bundle.load(w.home / "triton" / "select_arm" / "3")
    assert (done["release"], loaded.candidate.name, loaded.toward) == (3, "lin_ts", None)
    assert verdict_release.publish_verdict(verdict | {"features": verdict["features"]})["release"] == 3
    assert bundle_store.current(w.store) == 3


def of(**policies):
    made = {
        name: {
            "role": "candidate",
            "verdict": said,
            "lift": {"value": lift},
            "conditions": [{"name": "lift_lower", "passed": False}, {"name": "support", "passed": True}, *more],
        }
        for name, (said, lift, *more) in policies.items()
    }
    return {"policies": {"old": {"role": "champion", "verdict": "champion", "lift": None, "conditions": []}} | made}


def test_who_is_wanted_lacks_evidence_that_rows_would_bring():
    open_, leaks = "not enough evidence", {"name": "features_before_decision:pairs", "passed": False}
    unknown = {"name": "estimators_agree", "passed": None}
    assert wanted(of(a=(open_, 0.01), b=(open_, 0.02, unknown), c=("reject", 0.5))) == "b"
    assert wanted(of(a=(open_, 0.3, leaks), b=(open_, -0.1))) == "b", "no number of rows would mend a's"
    assert wanted(of(a=("promote", 0.3), c=(open_, 0.1, leaks))) == ""
    assert wanted(of()) == ""


def test_its_model_is_renewed_once_a_day():
    entry = {"policy": "a", "share": 0.5, "features": "k", "until": 10 * DAY}
    known = {"name": "a", "share": 0.5, "features": "l", "end": 11 * DAY - 1}
    assert explores_already(entry, **known)
    assert not explores_already(entry, **(known | {"end": 11 * DAY}))
    assert not explores_already(entry, **(known | {"end": 0})), "an interval by hand is asked for"
    assert explores_already(entry, **(known | {"end": 0, "features": "k"}))
    for change in ({"name": "b"}, {"share": 0.4}, {"name": ""}):
        assert not explores_already(entry, **(known | change))
    assert explores_already(None, **(known | {"name": ""}))
    assert not explores_already(None, **known)
