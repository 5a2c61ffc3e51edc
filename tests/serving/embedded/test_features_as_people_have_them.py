"""Nested, listed, null, written as text, undeclared: alike at every door, in the log, in what is trained, in health.

One app, and the same questions to the embedded selector, to our REST interface and Personalizer's (below their routes),
and to Triton's own entries, all in this process: the sockets are not the subject.
"""

import contextlib
import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import polars as pl
import pytest

from croupier import frames
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.health import kept
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import ship
from croupier.features.settings import Settings
from croupier.features.spec import RewardSpec
from croupier.features.workspace import Workspace
from croupier.models.policy import make
from croupier.serving.client.errors import Refused
from croupier.serving.decide.replay import replay
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.gateway import rest
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from croupier.serving.health import examine, told
from croupier.serving.operate.verdict_release import release_policies
from croupier.serving.release import bundle, bundle_store
from croupier.serving.triton.arms import SelectArm
from croupier.serving.triton.outcomes import TakeRecords

pytestmark = pytest.mark.medium
TOML = """
[reward]
window_seconds = 600.0
[reward.kinds.click]
[arms]
source = "both"
[context."device.type"]
type = "categorical"
[context.tags]
type = "tags"
[context.age]
type = "numeric"
strings = true
[context.taste]
type = "embedding"
length = 2
[arm."about.genre"]
type = "categorical"
[arm.labels]
type = "tags"
[arm_context."seen.before"]
type = "categorical"
[[interactions]]
a = "context.tags"
b = "arm.labels"
"""
HOME = {
    "home": {"about": {"genre": "none", "title": "Home"}, "labels": []},
    "shelf": {"about": {"genre": "sport"}, "labels": ["new", "red"]},
}
ASKED = {
    "unit_id": "u", "context": {"device": {"type": "phone", "os": None}, "tags": ["red", "blue"], "age": "31.5", "taste": []},
    "arms": ["home", {"id": "n", "features": {"about": {"genre": "sport"}, "labels": ["red"]}}, "shelf"],
    "arm_context": [{"seen": {"before": True}}, {}, {"seen": {"before": None}}],
}  # fmt: skip
KEPT = {"device.type": "phone", "tags": ["red", "blue"], "age": 31.5}
KEPT_ARMS, KEPT_PAIRS = (None, {"about.genre": "sport", "labels": ["red"]}, None), ({"seen.before": True}, {}, {})
WORDS = ("red", "blue", "green")


def question(i):
    """A reader who likes what is labelled like one of the reader's own tags."""
    rng = np.random.default_rng([3, i])
    tags = [w for w in WORDS if rng.random() < 0.5]
    article = {"id": f"n{i}", "features": {"about": {"genre": "sport"}, "labels": [str(rng.choice(WORDS))]}}
    context = {"device": {"type": str(rng.choice(["phone", "tv"]))}, "tags": tags, "age": str(rng.integers(20, 60))}
    return {"unit_id": f"u{i}", "context": context, "arms": ["home", article, "shelf"], "event_id": f"e{i}"}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app after a day: 400 answers, joined, and a release of a policy that was trained on them."""
    var, patch = tmp_path_factory.mktemp("var"), pytest.MonkeyPatch()
    patch.setenv("CROUPIER_VAR", str(var))
    w = Workspace(Settings(app="news", var=var))
    with Embedded.declared("news", toml=TOML, arms=HOME, var=var) as door:
        for i in range(400):
            asked = question(i)
            chosen = door.select(**asked)
            labels = {"home": [], f"n{i}": asked["arms"][1]["features"]["labels"], "shelf": ["new", "red"]}
            if set(labels[chosen.arm]) & set(asked["context"]["tags"]):
                door.reward(event_id=chosen.event_id, kind="click", value=1.0)
    rows = joined(w)
    encoder = Encoder.fit(w.spec, rows, w.arms())
    log = encode_interactions(rows, encoder, encoder.catalogue(w.arms()))
    release_policies(
        w, champion=make("lin_ts").learn([log], seed=1), candidate=None, encoder=encoder, arms=w.arms(), meta={}
    )
    yield w
    patch.undo()


def joined(w):
    now = datetime.now(UTC)
    with contextlib.closing(w.spool()) as spool:
        ship(spool, w.store, host="h")
    start, end = now - timedelta(hours=2), now + timedelta(hours=1)
    join_interval(w.store, w.spec.reward, start=start, end=end, now=now + timedelta(hours=3))
    return read_interactions(w.store, start=start, end=end)


def released(w, tmp_path):
    bundle_store.download(w.store, 2, tmp_path / "2", app="news")
    return bundle.load(tmp_path / "2")


def test_the_log_has_them_flat_and_typed(app):
    rows = {row["event_id"]: row for row in joined(app).iter_rows(named=True)}
    for i in range(400):
        sent, row = question(i), rows[f"e{i}"]
        expected = {"device.type": sent["context"]["device"]["type"], "age": float(sent["context"]["age"])}
        expected |= {"tags": sent["context"]["tags"]} if sent["context"]["tags"] else {}
        assert orjson.loads(row["context"]) == expected
        own = sent["arms"][1]["features"]
        assert orjson.loads(row["arm_features"])[1] == {"about.genre": "sport", "labels": own["labels"]}


def test_served_is_offline_and_the_replay_derives_it(app, tmp_path):
    release = released(app, tmp_path)
    by_name = dict(zip(release.encoder.arm_names, release.catalogue.features[1].tolist(), strict=True))
    assert {name for name, value in by_name.items() if value} >= {"about.genre=sport", "labels=new", "labels=red"}
    with Embedded("news", var=app.settings.var) as door:
        answer = door.select(**ASKED, event_id="parity")
        assert answer.release == 2
        (found,) = door.host.spool.find(["parity"]).values()
        assert (found.context, found.arm_features, found.arm_context) == (KEPT, KEPT_ARMS, KEPT_PAIRS)
        steps = replay(found, load=lambda _: release, spool=door.host.spool, spec=RewardSpec())
        assert [s.step for s in steps if not s.holds] == []
    batch = release.encoder.encode([KEPT], [found.arms], [KEPT_PAIRS], release.catalogue, [KEPT_ARMS])
    np.testing.assert_allclose(answer.pmf, release.pmf("champion", batch)[0], rtol=0, atol=1e-12)
    assert answer.pmf[1] > answer.pmf[0] + 0.2, "who learnt labels prefers one like the reader's tags"


def test_every_door_gives_the_same_answer(app, tmp_path):
    with Embedded("news", var=app.settings.var) as door:
        own = door.select(**ASKED, event_id="doors")
        kept_row = door.host.spool.find(["doors"])["doors"]
    home = tmp_path / "news"
    shutil.copytree(app.home, home, ignore=shutil.ignore_patterns("*.sqlite*", "spool*"))  # its release 2 with it
    args = {"model_repository": str(home / "triton" / "select_arm"), "model_version": "2", "model_name": "select_arm"}
    told_json = {name: orjson.dumps(ASKED[name]) for name in ("context", "arms", "arm_context")}
    sent = {"unit_id": b"u", "event_id": b"doors", **told_json}
    triton = SelectArm(args)
    (tensors,) = triton.answer([column(sent)])
    assert tensors["error"][0, 0] == b""
    np.testing.assert_allclose(tensors["pmf"][0], own.pmf, rtol=0, atol=1e-6)
    found = triton.spool.find(["doors"])["doors"]
    assert (found.context, found.arm_features, found.arm_context) == (KEPT, KEPT_ARMS, KEPT_PAIRS)
    assert (found.arm, found.pmf) == (kept_row.arm, kept_row.pmf)
    triton.close()
    desk = Desk(Options(app="news"))
    (answer,) = rest.selections(desk, [ASKED | {"event_id": "rest"}])
    np.testing.assert_allclose(answer["pmf"], own.pmf, rtol=0, atol=1e-6)
    theirs = {"contextFeatures": [ASKED["context"]], "eventId": "theirs", "actions": [
        {"id": "home", "features": [HOME["home"], {"seen": {"before": True}}]},
        {"id": "n", "features": [{"about": {"genre": "sport"}}, {"labels": ["red"], "x": None}]},
        {"id": "shelf", "features": [HOME["shelf"]]},
    ]}  # fmt: skip
    desk.rule.ignore = True  # titles, which are the catalogue's own, are no features
    desk.rank(theirs)
    for event in ("rest", "theirs"):
        row = desk.embedded.host.spool.find([event])[event]
        assert (row.context, row.arm_features, row.arm_context) == (KEPT, KEPT_ARMS, KEPT_PAIRS)
    desk.close()


def column(values):
    return {name: np.array([[value]], np.object_) for name, value in values.items()}


def test_a_client_s_own_decision_is_taken_alike_and_brings_no_arm_of_the_catalogue(app, tmp_path):
    home = tmp_path / "news"
    bundle_store.download(app.store, 2, home / "triton" / "select_arm" / "2", app="news")
    records = TakeRecords({"model_repository": str(home / "triton" / "record")})
    now = int(datetime.now(UTC).timestamp() * 1e6)
    sent = {name: orjson.dumps(ASKED[name]) for name in ("context", "arms", "arm_context")} | {
        "unit_id": b"u", "event_id": b"own", "arm": b"n", "pmf": b"[0.25, 0.5, 0.25]", "at": now, "reason": b"down",
    }  # fmt: skip
    listed = [*ASKED["arms"][:2], {"id": "shelf", "features": {"labels": ["green"]}}]
    calls = [column(sent), column(sent | {"event_id": b"mixed", "arms": orjson.dumps(listed)})]
    (taken, mixed) = records.answer(calls)
    assert (taken["status"][0, 0], taken["error"][0, 0]) == (b"accepted", b"")
    row = records.spool.find(["own"])["own"]
    assert (row.context, row.arm_features, row.arm_context) == (KEPT, KEPT_ARMS, KEPT_PAIRS)
    assert mixed["status"][0, 0] == b"rejected"
    assert mixed["error"][0, 0].startswith(b"arms[2].id: found 'shelf', expected an id that is not in the catalogue")
    assert not records.spool.find(["mixed"])
    records.close()


def test_a_frame_is_imported_alike(app):
    table = pl.DataFrame(
        {
            "event_id": ["f0", "f1"], "arm": ["home", "shelf"], "propensity": [0.5, 0.5], "click": [1.0, 0.0],
            "arms": [["home", "shelf"]] * 2, "device": [{"type": "tv"}, {"type": None}], "tags": [["red"], []],
            "age": ["41", "n/a"], "at": [datetime.now(UTC) - timedelta(minutes=5)] * 2,
        }
    )  # fmt: skip
    assert frames.import_log(table, app="news", columns={"reward": "click"}).facts["decisions"] == 2
    with contextlib.closing(app.spool()) as spool:
        found = spool.find(["f0", "f1"])
    assert [found[e].context for e in ("f0", "f1")] == [{"device.type": "tv", "tags": ["red"], "age": 41.0}, {}]


def test_undeclared_features_are_refused_or_left_out_counted_and_said(app, tmp_path):
    odd = ASKED | {"context": ASKED["context"] | {"hue": 7, "device": {"os": "x", "type": "tv"}}}
    with Embedded("news", var=app.settings.var) as door:
        with pytest.raises(Refused, match=r"^context\.device\.os: found 'x', expected a declared feature"):
            door.select(**odd | {"context": {"device": {"os": "x"}}})
        toml = app.home / "app.toml"
        toml.write_text(TOML + '[requests]\nunknown_features = "ignore_and_count"\n')
        for i in range(3):
            door.select(**odd, event_id=f"odd{i}")  # at once, by the process that refused
        door.select(
            **ASKED | {"arms": [{"id": "m", "features": {"colour": "red", "labels": ["x"]}}], "arm_context": []}
        )
        assert door.host.spool.find(["odd0"])["odd0"].context == KEPT | {"device.type": "tv"}
        toml.write_text(TOML)
        with pytest.raises(Refused, match=r"^context\.device\.os"):
            door.select(**odd)
    w, now = Workspace(Settings(app="news", var=app.settings.var)), datetime.now(UTC)
    joined(w)
    kept.keep(w.store, w.spec, start=now - timedelta(hours=2), end=now + timedelta(hours=2))
    hours = kept.read(w.store, start=now - timedelta(hours=2), end=now + timedelta(hours=2))
    assert {"context.hue": 3, "context.device.os": 3, "arm.colour": 1} in [hour.get("left_out") for hour in hours]
    tags = hours[-1]["features"]["context.tags"]
    assert tags["bins"]["red"] > 50
    assert tags["n"] == sum(tags["bins"].values()) + tags["missing"] + tags["others"]
    found = examine.examine(w, now=now + timedelta(hours=2))
    assert found.left_out == {"context.hue": 3, "context.device.os": 3, "arm.colour": 1}
    (line,) = told.left_out(found)
    assert line.startswith(
        "left out of the last day's requests, since app.toml does not declare them: context.device.os"
    )
    assert line in told.lines(found)
