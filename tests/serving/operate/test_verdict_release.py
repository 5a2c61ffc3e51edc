"""`publish` of train_and_gate, run again after it failed or died: a release that never served is no success."""

from dataclasses import replace

import orjson
import pytest

from croupier.features import build
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import START as BEGAN
from croupier.models import training
from croupier.serving.learning.fast_loop import FastLoop
from croupier.serving.operate import succession, trial, verdict_release
from croupier.serving.release import bundle, bundle_store, rollout_store
from croupier.serving.triton import repository
from croupier.serving.triton.binary import TritonUnavailable
from croupier.serving.triton.server import Ports
from tests import shop

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"


@pytest.fixture
def verdict(tmp_path, monkeypatch):
    """Of a candidate on too few rows, promoted by hand."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    shop.write(60, seed=3)
    build.collect("shop")
    build.join("shop", START, END)
    key = build.encode("shop", START, END)["features"]
    job = training.train("shop", key, "lin_ts")
    return {
        "app": "shop",
        "features": key,
        "promoted": "lin_ts",
        "candidates": {"lin_ts": job["candidate"]},
        "summary": "by hand",
        "report": "",
    }


def served(w):
    state = rollout_store.read_state(w.store)
    return (
        bundle_store.current(w.store),
        state and (state.release, state.stage),
        repository.versions(w.home / "triton", "select_arm"),
    )


def test_tried_again_once_triton_is_there(verdict, monkeypatch):
    w, nobody = Workspace.open("shop"), f"127.0.0.1:{Ports.free().grpc}"
    monkeypatch.setenv("CROUPIER_TRITON", nobody)
    with pytest.raises(TritonUnavailable, match=rf"^{nobody}: no Triton answers there"):
        verdict_release.publish_verdict(verdict)
    assert served(w) == (None, None, [])
    monkeypatch.delenv("CROUPIER_TRITON")
    done = {"app": "shop", "release": 2, "published": True, "candidate": "lin_ts"}
    assert verdict_release.publish_verdict(verdict) == done
    assert served(w) == (2, (2, "5%"), [2])
    assert verdict_release.publish_verdict(verdict) == {
        "app": "shop",
        "release": 2,
        "published": False,
        "why": "release 2 was made of this verdict before",
    }
    assert [row["status"] for row in bundle_store.listed(w.store)] == ["refused", "current"]


def test_a_release_whose_publisher_died_before_it_served_is_served(verdict):
    """All of it is in the store, and nothing points at it: what `kill -9` leaves between `upload` and `point`."""
    w = Workspace.open("shop")
    verdict_release.publish_verdict(verdict)
    whole = served(w)
    for key in (layout.CURRENT, layout.ROLLOUT):
        w.store.delete(key)
    trial.remove(w.home / "triton" / "select_arm" / "1")
    assert verdict_release.publish_verdict(verdict) == {
        "app": "shop",
        "release": 1,
        "published": True,
        "candidate": "lin_ts",
    }
    assert served(w) == whole == (1, (1, "5%"), [1])
    assert bundle.load(w.home / "triton" / "select_arm" / "1").candidate.name == "lin_ts"


def test_a_refresh_is_published_with_all_that_either_side_has_learnt(verdict):
    """The champion keeps what it learnt since its own release, and the refresh learns from its window's end on."""
    w = Workspace.open("shop")
    first, second = (windowed(w, verdict, end) for end in (BEGAN, BEGAN + 10**10))
    verdict_release.publish_verdict(first)
    entry = {"since": BEGAN}
    assert bundle_store.manifest(w.store, 1)["meta"]["learning"] == {
        "champion": {"apart": True},
        "candidate": entry | {"apart": True},
    }
    succession.promote(w.store, w.home, triton=None)
    loaded = bundle.load(w.home / "triton" / "select_arm" / "2")
    spool = w.spool()
    loop = FastLoop(w.home / layout.HEADS, loaded, spool, w.spec.reward)
    learnt = loop.learn() + loop.close_windows(2**52)
    place = loop._seen
    spool.close()
    assert learnt >= 60
    assert verdict_release.publish_verdict(second | {"kind": "refresh"})["release"] == 3
    champion = bundle.load(w.home / "triton" / "select_arm" / "3").champion
    assert champion.head.step == loaded.champion.head.step + learnt
    assert champion.head.moments.n == loaded.champion.head.moments.n + learnt
    assert bundle_store.manifest(w.store, 3)["meta"]["learning"] == {
        "champion": entry | {"spool": spool.id, "cursor": place.cursor, "closing": place.closing, "apart": True},
        "candidate": {"since": BEGAN + 10**10, "apart": True},
    }


def windowed(w, verdict, end):
    """The same features under another key, as those of a rolling window that ended at `end`."""
    old, key = f"features/{verdict['features']}/", f"window-{end}"
    for found in w.store.list(old):
        w.store.put(found.replace(old, f"features/{key}/"), w.store.get(found))
    meta = orjson.loads(w.store.get(f"{old}meta.json")) | {"end_us": end}
    w.store.put(f"features/{key}/meta.json", orjson.dumps(meta))
    return verdict | {"features": key}


def test_todays_catalogue_is_released_and_not_that_of_the_encoding(verdict):
    """An arm that was retired after the log was encoded does not come back, and one that came since is there, as new."""
    w = Workspace.open("shop")
    verdict_release.bootstrap(w)
    arms, new = w.arms(), Arm(arm_id="reel-new", features=w.arms()[3].features)
    catalogue.write(w.home / "catalogue.json", [replace(arms[0], paused=True), *arms[2:], new])
    assert verdict_release.publish_verdict(verdict)["release"] == 2
    loaded = bundle.load(w.home / "triton" / "select_arm" / "2")
    now = {arm.arm_id: arm for arm in loaded.arms}
    assert now["reel-00"].paused
    assert now["reel-01"].valid_to > 0, "no longer in the file: retired"
    assert (now["reel-new"].valid_to, list(loaded.newcomers.since)) == (0, ["reel-new"])
    assert loaded.newcomers.share == w.spec.arms.new_floor == 0.05
    assert len(loaded.golden) == 32, "16 requests of the log, for champion and candidate"


def test_a_catalogue_that_cannot_be_read_keeps_no_verdict_from_being_published(verdict):
    w = Workspace.open("shop")
    verdict_release.bootstrap(w)
    arms = w.arms()
    (w.home / "catalogue.json").write_text("[{")
    assert verdict_release.publish_verdict(verdict)["release"] == 2
    assert bundle.load(w.home / "triton" / "select_arm" / "2").arms == tuple(arms)


def test_a_log_that_lists_arms_which_left_the_catalogue_is_encoded_all_the_same(verdict):
    w = Workspace.open("shop")
    verdict_release.bootstrap(w)
    arms = w.arms()
    catalogue.write(w.home / "catalogue.json", arms[5:])
    report, _ = build.validate("shop", START, END, build.join("shop", START, END))
    assert report.passed
    encoded = build.encode("shop", START, END)
    kept = catalogue.loads(w.store.get(f"features/{encoded['features']}/catalogue.json"))
    assert encoded["rows"] == 60
    assert [a.arm_id for a in kept if a.valid_to] == [a.arm_id for a in arms[:5]]
