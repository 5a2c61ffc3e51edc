"""Two trainings of the scheduled loop on a real log: who is judged on what, and what is carried over."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import pytest

from croupier.features import build, scheduled
from croupier.features.batch import concatenate
from croupier.features.build import Features
from croupier.features.encoding import catalogue
from croupier.features.utc import to_us
from croupier.features.workspace import Workspace, get_folder
from croupier.features.worlds.reels import World
from croupier.models import retraining, training
from croupier.models.ope import estimators
from croupier.models.ope.reward_model import cross_fit
from croupier.models.ope.rounds import as_served, rounds_of
from croupier.models.policy import load, make
from croupier.serving.operate import verdict_release

pytestmark = pytest.mark.medium
WORLD = World(seed=5)
APP = """
[training]
every = "1s"
min_rows = 100
[policies]
candidates = ["lin_ts"]
"""


@pytest.fixture(scope="module")
def w(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(tmp_path_factory.mktemp("var")))
        w = Workspace.open("shop")
        w.home.mkdir(parents=True)
        text = WORLD.app_toml(window_seconds=60)
        (w.home / "app.toml").write_text(text[: text.index("[policies]")] + APP)
        catalogue.write(w.home / "catalogue.json", WORLD.arms())
        yield w


def log(w, hours_ago: int, hours: int, seed: int) -> None:
    """400 decisions an hour, from the start of an hour that has passed; the last of them are as mature at the start of an
    hour as at its end."""
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago + 1)
    made, rewards = WORLD.log(400 * hours, seed=seed, start=to_us(start), gap=9_000_000)
    spool = w.spool()
    spool.append_decisions(made)
    spool.append_rewards(rewards)
    spool.close()


def turn() -> tuple[dict, list[dict]]:
    """What build_features and train_and_gate do when they are due."""
    build.collect("shop")
    joined = scheduled.join("shop", None)
    scheduled.validate("shop", None, joined)
    encoded = scheduled.encode("shop", None)
    if not encoded["features"]:
        return encoded, []
    jobs = training.plan([("shop", encoded["features"])])
    return encoded, training.judge([training.train(**{k: j[k] for k in ("app", "features", "policy")}) for j in jobs])


@pytest.fixture(scope="module")
def turned(w, tmp_path_factory):
    """Three turns: the first training, nothing due, and the training after two more hours."""
    log(w, 6, 2, seed=1)
    first = turn()
    nothing = turn()
    log(w, 4, 2, seed=2)
    time.sleep(1.1)  # the cadence of this app
    return first, nothing, turn()


def fetched(w, key, folder) -> Features:
    return Features.fetch(w.store, key, folder)


def test_nothing_new_is_no_reason_to_train(turned):
    _, (encoded, verdicts), _ = turned
    assert encoded["features"] == ""
    assert verdicts == []


def test_the_second_training_reads_both_stretches_and_judges_what_none_of_its_models_had_learnt(w, turned, tmp_path):
    (one, _), _, (two, (verdict,)) = turned
    assert (one["rows"], two["rows"]) == (800, 1600)
    process = retraining.read_process(w)
    k1, k2 = f"candidates/{one['features']}/lin_ts", f"candidates/{two['features']}/lin_ts"
    assert [s.policy for s in process.candidates["lin_ts"]] == [f"{k1}-before", k1, k2]
    assert [s.policy for s in process.champions] == ["uniform"]
    split, end1 = process.start, process.candidates["lin_ts"][1].since
    assert split == one["split_at"]
    assert (
        verdict["evaluation"]["rows"] == 800 - 480 + 800
    )  # the later two fifths of the first, and all that came after

    found = fetched(w, two["features"], tmp_path / "two")
    whole = concatenate(list(found.chunks()))
    rows = whole[whole.at >= split]
    policies = {p: load(get_folder(w.store, p, tmp_path / str(i))) for i, p in enumerate((f"{k1}-before", k1))}
    pmf = np.zeros(rows.pmf.shape)
    for when, prefix in ((rows.at < end1, f"{k1}-before"), (rows.at >= end1, k1)):
        pmf[when] = as_served(policies[prefix], rows.batch[when], 0.02)
    assert 0 < (rows.at < end1).sum() < len(rows)
    q = cross_fit(rows, seed=0)
    lift = estimators.dr(rounds_of(rows, pmf, q)) - estimators.dr(
        rounds_of(rows, as_served(make("uniform"), rows.batch, 0.02), q)
    )
    assert verdict["evaluation"]["policies"]["lin_ts"]["lift"]["value"] == pytest.approx(lift.mean(), rel=1e-9)
    alpha = verdict["evaluation"]["alpha"]
    assert alpha == pytest.approx(0.8 * 0.05)  # of all rows; the second look is paid for by the first


def test_a_model_learnt_every_row_before_its_end_and_the_one_before_only_the_earlier_ones(w, turned, tmp_path):
    (one, _), _, _ = turned
    found = fetched(w, one["features"], tmp_path / "one")
    rows = concatenate(list(found.chunks()))
    assert len(rows) == 800
    assert found.end is not None
    assert rows.at.max() < found.end
    for suffix, n in (("", 800), ("-before", 480)):
        kept = load(get_folder(w.store, f"candidates/{one['features']}/lin_ts{suffix}", tmp_path / f"p{suffix}"))
        assert kept.head.moments.n == n


def test_judging_again_gives_the_same_verdict_and_the_same_process(w, turned):
    _, _, (two, (verdict,)) = turned
    before = retraining.read_process(w)
    job = {"app": "shop", "features": two["features"], "policy": "lin_ts",
           "candidate": f"candidates/{two['features']}/lin_ts"}  # fmt: skip
    (again,) = training.judge([job])
    strip = {"report", "page"}
    assert {k: v for k, v in again.items() if k not in strip} == {k: v for k, v in verdict.items() if k not in strip}
    assert retraining.read_process(w) == before


def test_the_champions_own_family_is_refreshed_when_it_is_shown_not_to_be_worse(w, turned, tmp_path):
    """After a promotion: the first verdict has only the champion itself to judge, the second a retrained model."""
    key = turned[2][0]["features"]
    learnt = load(get_folder(w.store, f"candidates/{key}/lin_ts", tmp_path / "lin_ts"))
    found = fetched(w, key, tmp_path / "features")
    verdict_release.release_policies(
        w,
        champion=learnt,
        candidate=None,
        encoder=found.encoder,
        arms=w.arms(),
        meta={"features": key, "declared": found.meta["declared"]},
    )
    text = (w.home / "app.toml").read_text()
    (w.home / "app.toml").write_text(text + "[refresh]\nevery = '1s'\nmargin = 0.5\n")
    end = found.end
    verdicts = []
    for hours_ago in (2, 1):
        log(w, hours_ago, 1, seed=3 + hours_ago)
        time.sleep(1.1)
        (encoded, (verdict,)) = turn()
        verdicts.append((encoded, verdict))
    process = retraining.read_process(Workspace.open("shop"))
    assert (process.champion, process.start) == ("lin_ts", end)
    assert [s.policy for s in process.champions] == ["releases/000001/champion"]
    (_, first), (_, second) = verdicts
    assert first["evaluation"]["policies"]["lin_ts"]["lift"]["value"] == 0.0  # the same model on both sides
    assert first["kind"] == ""
    report = second["evaluation"]["policies"]["lin_ts"]
    assert second["evaluation"]["rows"] == 800
    (rows,) = (c for c in report["conditions"] if c["name"] == "rows")
    assert not rows["passed"]  # 800 of the 1,000 that [gate] asks for, so no refresh yet
    assert second["kind"] == ""
    (lower,) = (c for c in report["conditions"] if c["name"] == "lift_lower")
    mean = concatenate(list(fetched(w, verdicts[1][0]["features"], tmp_path / "last").chunks()))
    mean = mean[mean.at >= end].reward.mean()
    assert lower["threshold"] == pytest.approx(-0.5 * mean)
    (w.home / "app.toml").write_text(
        text + "[refresh]\nevery = '1s'\nmargin = 0.5\n[gate]\nmin_rows = 500\nmin_ess = 50\n"
    )
    job = {"app": "shop", "features": verdicts[1][0]["features"], "policy": "lin_ts",
           "candidate": f"candidates/{verdicts[1][0]['features']}/lin_ts"}  # fmt: skip
    (again,) = training.judge([job])
    assert lower["passed"]
    assert (again["kind"], again["promoted"]) == ("refresh", "lin_ts")


def test_old_windows_lose_their_rows_and_keep_what_is_small(w, turned):
    key = turned[0][0]["features"]
    assert orjson.loads(w.store.get(f"features/{key}/meta.json"))["rows"] == 800
    for _ in range(2):
        from croupier.features.interactions import window

        window.sweep(w.store, kept=1)
    left = [k for k in w.store.list("features/") if k.endswith("encoded.parquet")]
    assert len(left) == 1
