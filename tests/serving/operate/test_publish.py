"""Publishing: numbers taken once, whole or absent, the pointer never back, the repository never more than two."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import orjson
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.ids import hash_unit
from croupier.features.schema import Arm
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec
from croupier.features.store import unit_key
from croupier.features.store.storage import open_store
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.operate import deployment, publish, succession, trial
from croupier.serving.release import bundle, bundle_store, rollout_mirror, rollout_state, rollout_store
from croupier.serving.release.bundle import ReleaseRefused
from croupier.serving.release.golden import Golden
from croupier.serving.release.rollout_state import in_candidate
from croupier.serving.triton import repository
from croupier.serving.triton.binary import TritonUnavailable
from croupier.serving.triton.server import Ports

SPEC = AppSpec.model_validate({"context": {"age": {"type": "numeric"}}, "arm": {"price": {"type": "numeric"}}})
ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(4)]
GOLDEN = [{"context": {"age": float(i)}, "arms": ["a0", "a1", "a2"][: 1 + i % 3]} for i in range(5)]


def build(champion=None, candidate=None, **kwargs):
    def written(folder, number):
        bundle.write_release(
            folder,
            number=number,
            champion=champion or Uniform(),
            candidate=candidate,
            encoder=Encoder.empty(SPEC, ARMS),
            arms=ARMS,
            floor=0.1,
            golden=GOLDEN,
            meta={},
            **kwargs,
        )

    return written


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_publish_numbers_keeps_installs_and_begins_the_rollout(store, home):
    first = publish.publish(store, home, build(), triton=None)
    second = publish.publish(store, home, build(candidate=FixedArm(arm="a1")), triton=None)
    assert (first.number, second.number, second.served) == (1, 2, False)
    assert bundle_store.current(store) == 2
    assert [(r["number"], r["status"]) for r in bundle_store.listed(store)] == [(1, "past"), (2, "current")]
    assert deployment.verify(store, home, 2)["digest"] == second.digest
    assert bundle.load(home / "triton" / "select_arm" / "2").candidate.arm == "a1"
    state = rollout_store.read_state(store)
    assert (state.release, state.stage) == (2, "5%")
    assert rollout_mirror.RolloutReader(home / "rollout.json").view(2).share == 0.05
    assert list((home / "publish").iterdir()) == []


def test_the_repository_keeps_two_versions_and_no_drafts(store, home):
    for _ in range(4):
        publish.publish(store, home, build(), triton=None)
    assert repository.versions(home / "triton", "select_arm") == [3, 4]
    names = {p.name for p in (home / "triton" / "select_arm").iterdir()}
    assert names == {"3", "4", "config.pbtxt"}
    assert (home / "triton" / "select_arm" / "4" / "__pycache__").is_dir(), "compiled before Triton looks"


def test_a_release_that_is_not_its_manifest_is_refused_and_the_old_one_stays(store, home):
    publish.publish(store, home, build(), triton=None)

    def tampered(folder, number):
        build()(folder, number)
        (folder / "champion" / "policy.json").write_text("{}")

    with pytest.raises(ReleaseRefused, match=r"champion/policy\.json"):
        publish.publish(store, home, tampered, triton=None)
    assert bundle_store.current(store) == 1
    assert [r["number"] for r in bundle_store.listed(store)] == [1]
    assert publish.publish(store, home, build(), triton=None).number == 3, "a claimed number is not given again"


def test_a_release_spoilt_in_the_store_is_refused_by_every_host(store, home, tmp_path):
    publish.publish(store, home, build(), triton=None)
    store.put("releases/000001/golden.json", b"[]")
    with pytest.raises(ReleaseRefused, match=r"golden\.json"):
        deployment.deploy(store, tmp_path / "another", 1, triton=None)
    assert not (tmp_path / "another" / "triton").exists()
    store.delete("releases/000001/golden.json")
    with pytest.raises(ReleaseRefused, match=r"golden\.json: found nothing"):
        deployment.verify(store, home, 1)
    with pytest.raises(KeyError, match="no release 9"):
        deployment.verify(store, home, 9)


def test_publishers_on_one_host_try_their_releases_one_after_the_other(store, home, monkeypatch):
    """There is one trial model and one repository: they took each other's away."""
    inside, most = [], []

    def tried(folder, *_):
        inside.append(folder.name)
        most.append(len(inside))
        time.sleep(0.02)
        inside.remove(folder.name)

    monkeypatch.setattr(trial, "run", tried)
    monkeypatch.setattr(trial, "load_model", lambda *_: None)
    monkeypatch.setattr(trial, "wait_for_release", lambda *_: None)
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(publish.publish, store, home, build(), triton="nobody:1") for _ in range(4)]
        numbers = [d.result().number for d in done]
    assert sorted(numbers) == [1, 2, 3, 4]
    assert most == [1, 1, 1, 1]
    assert bundle_store.current(store) == 4
    assert repository.versions(home / "triton", "select_arm")[-1] == 4


def test_a_triton_that_dies_between_trial_and_load_is_named_and_leaves_nothing_installed(store, home, monkeypatch):
    nobody = f"127.0.0.1:{Ports.free().grpc}"
    monkeypatch.setattr(trial, "run", lambda *_: None)
    with pytest.raises(TritonUnavailable, match=rf"^{nobody}: release 1 was not loaded"):
        publish.publish(store, home, build(), triton=nobody)
    assert repository.versions(home / "triton", "select_arm") == []
    assert bundle_store.current(store) is None


def test_a_half_uploaded_release_does_not_exist(store, home, tmp_path, monkeypatch):
    publish.publish(store, home, build(), triton=None)
    put = store.put

    def full(key, data):
        if key.endswith("golden.json"):
            raise OSError("disk full")
        put(key, data)

    monkeypatch.setattr(store, "put", full)
    with pytest.raises(OSError, match="disk full"):
        publish.publish(store, home, build(), triton=None)
    assert [r["number"] for r in bundle_store.listed(store)] == [1]
    assert bundle_store.current(store) == 1


def test_two_publishers_never_get_one_number(store):
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: bundle_store.claim(store), range(64)))
    assert sorted(numbers) == list(range(1, 65))


def test_the_pointer_never_goes_back(store):
    barrier = threading.Barrier(8)

    def point(number):
        barrier.wait()
        return bundle_store.point(store, number, f"digest-{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(point, range(1, 9)))
    assert bundle_store.current(store) == 8
    assert bundle_store.point(store, 3, "late") == 8
    assert orjson.loads(store.get("releases/current")) == {"number": 8, "digest": "digest-8"}


def test_promote_makes_the_candidate_champion_and_roll_back_brings_the_old_one(store, home):
    publish.publish(store, home, build(candidate=FixedArm(arm="a1")), triton=None)
    assert succession.promote(store, home, triton=None).number == 2
    promoted = bundle.load(home / "triton" / "select_arm" / "2")
    assert (promoted.champion.arm, promoted.candidate) == ("a1", None)
    assert promoted.manifest["meta"]["from_release"] == 1
    np.testing.assert_allclose(promoted.golden[2].pmf, [0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3])
    back = succession.roll_back(store, home, 1, triton=None)
    assert bundle.load(home / "triton" / "select_arm" / str(back.number)).champion.name == "uniform"
    assert rollout_store.read_state(store).share == 0.0
    with pytest.raises(ValueError, match="no candidate to promote"):
        succession.promote(store, home, triton=None)


def test_another_host_follows_release_and_stage(store, home, tmp_path):
    other = tmp_path / "other"
    assert deployment.follow(store, other, triton=None) is None
    publish.publish(store, home, build(candidate=FixedArm(arm="a1")), triton=None)
    assert deployment.follow(store, other, triton=None) == 1
    assert deployment.follow(store, other, triton=None) is None
    rollout_store.change(store, lambda s: rollout_state.advance(s, "up", now=s.since + 1, by="me"), home=home)
    deployment.follow(store, other, triton=None)
    assert rollout_mirror.RolloutReader(other / "rollout.json").view(1).share == 0.2
    assert bundle.load(other / "triton" / "select_arm" / "1").candidate.arm == "a1"


def test_prune_keeps_the_newest_the_current_and_where_it_came_from(store, home):
    for _ in range(4):
        publish.publish(store, home, build(candidate=FixedArm(arm="a1")), triton=None)
    succession.roll_back(store, home, 1, triton=None)
    assert bundle_store.prune(store, keep=2) == [2, 3]
    assert [r["number"] for r in bundle_store.listed(store)] == [1, 4, 5]
    assert store.list("releases/000002/") == ["releases/000002/claim"]
    assert publish.publish(store, home, build(), triton=None).number == 6
    assert deployment.verify(store, home, 1)["number"] == 1


@pytest.mark.slow
def test_a_real_triton_serves_the_good_release_and_never_the_bad_one(store, home):
    from tests.serving.ended_at_once import EndedAtOnce

    publish.publish(store, home, build(candidate=FixedArm(arm="a1")), triton=None)
    with EndedAtOnce(home, ports=Ports.free()) as server:
        good = publish.publish(store, home, build(candidate=FixedArm(arm="a2")), triton=server.grpc)
        assert served(server.grpc, of_the_champion(store, home)) == (good.number, pytest.approx([1 / 3] * 3))

        def other_floor(folder, number):
            """Its golden decisions were computed with another floor than the one it serves with."""
            build(champion=FixedArm(arm="a0"))(folder, number)
            manifest = bundle.read_manifest(folder)
            body = {k: v for k, v in manifest.items() if k != "digest"} | {"floor": 0.5}
            (folder / "manifest.json").write_bytes(bundle._dump(bundle._sealed(body)))

        with pytest.raises(ReleaseRefused, match="golden decision"):
            publish.publish(store, home, other_floor, triton=server.grpc)
        assert served(server.grpc)[0] == good.number
        assert bundle_store.listed(store)[-1]["status"] == "refused"
        assert not (home / "triton" / trial.TRIAL).exists()
        last = publish.publish(store, home, build(), triton=server.grpc)
        assert served(server.grpc)[0] == last.number
        back = succession.roll_back(store, home, 1, triton=server.grpc)
        assert served(server.grpc)[0] == back.number
        assert back.seconds < 60, "seconds on an idle machine"


def of_the_champion(store, home):
    """A unit that no rollout here has given to a candidate: the server's process draws salt and key of its own."""
    assert unit_key.known(Settings(), home), "the server has made it"
    key, state = unit_key.unit_key(Settings(), home), rollout_store.read_state(store)
    return next(u for u in map("u{}".format, range(99)) if not in_candidate(state.salt, hash_unit(key, u), 0.05))


def served(url, unit="ann"):
    import tritonclient.grpc as triton_grpc

    golden = Golden(context={"age": 1.0}, arms=("a0", "a1", "a2"), arm_context=(), role="", pmf=())
    with triton_grpc.InferenceServerClient(url) as client:
        answer = trial.ask(client, "select_arm", unit, golden, "")
    return int(answer.as_numpy("release").item()), answer.as_numpy("pmf")[0].tolist()
