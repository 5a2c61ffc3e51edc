"""Arms that requests bring along, from the first question to a candidate that the gate promotes, and back by replay."""

import shutil
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from croupier import Client
from croupier.features.encoding.dataset import EncodedLog, encode_interactions
from croupier.features.encoding.dataset import write as write_encoded
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.spool_rows import decision
from croupier.features.settings import Settings
from croupier.features.spec import RewardSpec
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm
from croupier.serving.client.errors import Refused
from croupier.serving.decide.replay import replay
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.operate import loop
from croupier.serving.operate.verdict_release import release_policies
from croupier.serving.release import bundle, bundle_store
from croupier.serving.triton.server import Ports
from tests.serving.embedded import news
from tests.serving.ended_at_once import EndedAtOnce

pytestmark = pytest.mark.slow
BATCHES = 32


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app, and what was answered: uniform at first, then trained, judged and published by one turn of the loop."""
    var, patch = tmp_path_factory.mktemp("var"), pytest.MonkeyPatch()
    patch.setenv("CROUPIER_VAR", str(var))
    rng, answers = np.random.default_rng(1), []
    with Embedded.declared("news", toml=news.TOML, arms=news.HOME, var=var) as door:
        for batch in range(BATCHES):
            asked = news.requests(batch)
            chosen = door.select_batch(asked)
            assert [c.error for c in chosen] == [""] * len(asked)
            answers += list(zip(asked, chosen, strict=True))
            names = [[a["id"] if isinstance(a, dict) else a for a in r.arms] for r in asked]
            likely = [news.truth(r)[n.index(c.arm)] for r, n, c in zip(asked, names, chosen, strict=True)]
            liked = [c for c, p in zip(chosen, likely, strict=True) if rng.random() < p]
            door.reward_batch([{"event_id": c.event_id, "kind": "click", "value": 1.0} for c in liked])
    time.sleep(1.2)
    now = datetime.now(UTC)
    done = loop.turn("news", ((now - timedelta(hours=1)).isoformat(), now.isoformat()))
    yield Workspace(Settings(app="news", var=var)), answers, done
    patch.undo()


def released(w, number, folder):
    bundle_store.download(w.store, number, folder / str(number), app="news")
    return bundle.load(folder / str(number))


def test_the_gate_promotes_who_learns_from_features(app, tmp_path):
    w, _, done = app
    release = released(w, 2, tmp_path)
    assert release.candidate.name == "lin_ts", done
    assert release.manifest["arm_source"] == "both"
    asked = [r for batch in range(900, 910) for r in news.requests(batch)]  # articles that nobody has seen
    worth = np.array([news.truth(r) for r in asked])
    learnt, uniform = (
        float((news.offline(release, asked, role) * worth).sum(axis=1).mean()) for role in ("candidate", "champion")
    )
    assert uniform == pytest.approx(0.2, abs=1e-9)
    assert learnt > 0.4
    assert sum(bool(golden.arm_features) for golden in release.golden) == len(release.golden) > 10


def test_the_log_has_every_decision_with_its_features(app):
    w, answers, _ = app
    start = datetime.now(UTC) - timedelta(hours=2)
    rows = read_interactions(w.store, start=start, end=start + timedelta(hours=3))
    assert len(rows) == len(answers) == BATCHES * 100
    by_event = dict(rows.select("event_id", "arm_features").iter_rows())
    request, chosen = answers[777]
    assert pl.Series([by_event[chosen.event_id]]).str.json_decode(pl.List(pl.Struct({"topic": pl.String})))[
        0
    ].to_list() == [*({"topic": arm["features"]["topic"]} for arm in request.arms[:3]), None]


def test_encoded_and_read_back_they_are_the_same_arrays(app, tmp_path):
    w, _, _ = app
    start = datetime.now(UTC) - timedelta(hours=2)
    rows = read_interactions(w.store, start=start, end=start + timedelta(hours=3))[:500]
    release = released(w, 2, tmp_path)
    log = encode_interactions(rows, release.encoder, release.catalogue)
    batches = rows["event_id"].str.extract(r"e(\d+)").n_unique()
    assert len(log.batch.catalogue.ids) == 1 + 3 * batches  # each article once, however many saw it
    write_encoded(tmp_path / "log.parquet", [log[:200], log[200:]], release.encoder)
    back = list(EncodedLog(tmp_path / "log.parquet", release.catalogue))
    shown = []
    for chunk, part in zip((log[:200], log[200:]), back, strict=True):
        np.testing.assert_array_equal(part.batch.arm_features, chunk.batch.arm_features)
        np.testing.assert_array_equal(part.chosen, chunk.chosen)
        shown += [part.batch.catalogue.ids[row] for row in part.shown[0]]
    assert shown == rows["arm"].to_list()


def test_served_is_offline_and_replay_derives_it_from_the_log_alone(app, tmp_path):
    w, _, _ = app
    release = released(w, 2, tmp_path)
    with Embedded("news", var=w.settings.var) as door:
        assert door.release == 2
        asked = news.requests(500)
        chosen = door.select_batch(asked)
        by_role = {role: news.offline(release, asked, role) for role in ("champion", "candidate")}
        for i, answer in enumerate(chosen):
            np.testing.assert_allclose(answer.pmf, by_role[answer.role][i], rtol=0, atol=1e-6)
        assert {c.role for c in chosen} == {"champion", "candidate"}
        spool = door.host.spool
        logged = {d.event_id: d for d in (decision(body) for _, body in spool.read("decisions", 0, 10_000))}
        for answer in chosen:
            steps = replay(logged[answer.event_id], load=lambda _: release, spool=spool, spec=RewardSpec())
            assert [s.step for s in steps if not s.holds] == []
            assert {"pmf", "draw", "propensity"} <= {s.step for s in steps}
        again = door.select_batch(asked)
        assert again == chosen


def test_triton_answers_alike(app, tmp_path, monkeypatch):
    """Another host with a copy of the app, which has never seen these events. A busy machine is no slow candidate."""
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")
    w, _, _ = app
    shutil.copytree(w.settings.var, tmp_path / "copy")
    home, asked = tmp_path / "copy" / "news", news.requests(600)
    with EndedAtOnce(home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=60_000) as client:
        by_triton = client.select_batch(asked)
        assert client.reward(event_id=by_triton[0].event_id, kind="click", value=1.0).status == "accepted"
        with pytest.raises(Refused, match=r"arms\[0\].features.toppic: found 'sport'"):
            client.select(unit_id="u", context={}, arms=[{"id": "x", "features": {"toppic": "sport"}}])
    with Embedded("news", var=w.settings.var) as door:
        by_itself = door.select_batch(asked)
    assert [a.error for a in by_triton] == [""] * len(asked)
    assert [(a.arm, a.role, a.release) for a in by_itself] == [(a.arm, a.role, a.release) for a in by_triton]
    for own, other in zip(by_itself, by_triton, strict=True):
        np.testing.assert_allclose(own.pmf, other.pmf, rtol=0, atol=1e-6)


WRONG = {
    "arms[0].features.toppic": {"id": "x", "features": {"toppic": "sport"}},
    "arms[0].features.minutes": {"id": "x", "features": {"minutes": "long"}},
    "arms[0].features": {"id": "x"},
    "arms[0].id": {"id": "", "features": {}},
    "arms[0].features.arm_id": {"id": "x", "features": {"arm_id": "y"}},
    "arms[0].price": {"id": "x", "features": {}, "price": 3},
    "arms": 7,
}


def test_what_is_wrong_is_refused_by_name(app):
    w, _, _ = app
    with Embedded("news", var=w.settings.var) as door:
        for field, arm in WRONG.items():
            with pytest.raises(Refused) as refused:
                door.select(unit_id="u", context={"reader": "sport"}, arms=[arm, "home"])
            assert str(refused.value).startswith(f"{field}: found ")
        with pytest.raises(Refused, match=r"arms\[0\].id: found 'home', expected an id that is not in the catalogue"):
            door.select(unit_id="u", context={}, arms=[{"id": "home", "features": {}}])
        assert (
            door.select(unit_id="u", context={}, arms=[{"id": "x", "features": {}}]).arm == "x"
        )  # missing is no error


@pytest.mark.parametrize(
    ("source", "arms", "expected"),
    [
        ("catalogue", [{"id": "x", "features": {}}], r"arms\[0\]: found .* expected the id alone"),
        ("request", [{"id": "x", "features": {}}, "home"], r"arms\[1\]: found 'home', expected .*features"),
        ("request", ["home"], r"arms\[0\]: found 'home', expected .*features"),
    ],
)
def test_an_arm_from_elsewhere_is_refused(tmp_path, source, arms, expected):
    toml = news.TOML.replace('"both"', f'"{source}"')
    door = Embedded.declared("other", toml=toml, arms=news.HOME, var=tmp_path)
    with door, pytest.raises(Refused, match=expected):
        door.select(unit_id="u", context={}, arms=arms)


def test_an_app_without_any_catalogue_decides_and_refuses_a_policy_that_cannot(tmp_path):
    toml = news.TOML.replace('"both"', '"request"')
    with Embedded.declared("bare", toml=toml, arms={}, var=tmp_path) as door:
        arms = [{"id": name, "features": {"topic": name}} for name in ("a", "b")]
        assert door.select(unit_id="u", context={}, arms=arms).pmf == (0.5, 0.5)
    w = Workspace(Settings(app="bare", var=tmp_path))
    encoder = bundle_store_encoder(w, tmp_path)
    with pytest.raises(ValueError, match="champion: found fixed_arm, which refuses arms that are in no catalogue"):
        release_policies(w, champion=FixedArm(arm="a"), candidate=None, encoder=encoder, arms=[], meta={})


def bundle_store_encoder(w, folder):
    bundle_store.download(w.store, 1, folder / "1", app="bare")
    return bundle.load(folder / "1").encoder
