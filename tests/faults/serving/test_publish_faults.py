"""Publishing through kill -9, full disks and races: the old release or the new one, always whole, never two of a number.

A disk is full for real: a small tmpfs (root only, else skipped). S3 is a moto server over HTTP.
"""

import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import boto3
import numpy as np
import orjson
import pytest

from croupier.features.clock import now_us
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.store.storage import StoreError, open_store
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.operate import deployment, publish, watch
from croupier.serving.release import bundle, bundle_store, rollout_state, rollout_store
from croupier.serving.triton import repository
from tests.faults.killed import killed
from tests.moto_server import moto_server

SPEC = AppSpec.model_validate({"context": {"age": {"type": "numeric"}}, "arm": {"price": {"type": "numeric"}}})
ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(40)]
ENCODER = Encoder.empty(SPEC, ARMS)


def build(folder, number):
    bundle.write_release(
        folder,
        number=number,
        champion=Uniform(),
        candidate=FixedArm(arm=f"a{number % 40}"),
        encoder=ENCODER,
        arms=ARMS,
        floor=0.1,
        meta={},
        golden=[{"context": {"age": 1.0}, "arms": ["a0", "a1"]}],
    )


def check(store, home):
    """Everything that a reader can see is whole. Returns the newest number claimed."""
    numbers = [row["number"] for row in bundle_store.listed(store)]
    for number in numbers:
        assert deployment.verify(store, home, number)["number"] == number
    current = bundle_store.current(store)
    assert current is None or current in numbers
    for number in repository.versions(home / "triton", "select_arm") if (home / "triton").exists() else []:
        loaded = bundle.load(home / "triton" / "select_arm" / str(number))
        assert (loaded.number, loaded.candidate.arm) == (number, f"a{number % 40}")
        assert (home / "triton" / "select_arm" / str(number) / "model.py").is_file()
    state = rollout_store.read_state(store)
    assert state is None or state.release in numbers
    return max((int(k.split("/")[1]) for k in store.list("releases/") if k.endswith("/claim")), default=0)


def publishing(store, home):
    while True:
        publish.publish(store, home, build, triton=None)
        yield


@pytest.mark.parametrize("trials", [30, pytest.param(500, marks=pytest.mark.full)])
def test_killed_at_any_moment_the_old_or_the_new_release_is_whole(tmp_path, trials):
    store, home, rng = open_store(str(tmp_path / "store")), tmp_path / "home", np.random.default_rng(0)
    began = time.monotonic()
    publish.publish(store, home, build, triton=None)
    usual = time.monotonic() - began
    newest = bundle_store.current(store)
    for _ in range(trials):
        passes = int(rng.integers(3))
        killed(publishing, store, home, passes=passes, later=rng.uniform(0, usual))
        check(store, home)
        before, newest = newest, bundle_store.current(store)
        assert newest >= before + passes, "the pointer never goes back"
        bundle_store.prune(store, keep=3)
    last = publish.publish(store, home, build, triton=None)
    assert bundle_store.current(store) == last.number
    assert len(repository.versions(home / "triton", "select_arm")) <= 2


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("trials", [25, pytest.param(500, marks=pytest.mark.full)])
def test_on_a_disk_that_fills_up_anywhere_the_old_or_the_new_release_is_whole(small_disk, tmp_path, trials):
    """Store and home are on the full disk, in turn: the store, the home, both."""
    rng, refused = np.random.default_rng(1), 0
    for trial in range(trials):
        where = [("store", "home"), ("store", None), (None, "home")][trial % 3]
        root = tmp_path / f"run{trial}"
        store = open_store(str((small_disk if where[0] else root) / f"store{trial}"))
        home = (small_disk if where[1] else root) / f"home{trial}"
        publish.publish(store, home, build, triton=None)
        room = os.statvfs(small_disk)
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * max(0, room.f_bavail * room.f_frsize - int(rng.integers(0, 90_000))))
        try:
            publish.publish(store, home, build, triton=None)
        except (OSError, StoreError):
            refused += 1
        filler.unlink()
        check(store, home)
        current = bundle_store.current(store)
        assert watch.tick(store, home, SPEC, now_us()).release == current, "a lost beginning is made up"
        again = publish.publish(store, home, build, triton=None)
        assert bundle_store.current(store) == again.number
        subprocess.run(["rm", "-rf", str(small_disk / f"store{trial}"), str(small_disk / f"home{trial}")], check=True)
    assert 0 < refused < trials, "some fitted, some did not"


class OneByOne:
    """S3 compares and writes in one step; moto's threads look first and write later, and let two win. With one request
    at a time moto keeps S3's promise, and the clients still race between their reads and their writes."""

    def __init__(self, app):
        self.app, self.turn = app, threading.Lock()

    def __call__(self, environ, start_response):
        with self.turn:
            return [b"".join(self.app(environ, start_response))]


@pytest.fixture(scope="module")
def s3():
    with moto_server() as (server, address):
        server._server.app = OneByOne(server._server.app)
        bucket = f"b-{uuid4().hex}"
        boto3.client("s3", endpoint_url=f"http://{address}").create_bucket(Bucket=bucket)
        yield f"s3://{bucket}/app", f"http://{address}"


@pytest.mark.parametrize("races", [20, pytest.param(200, marks=pytest.mark.full)])
def test_on_s3_two_who_race_for_a_number_get_two_numbers(s3, races):
    url, endpoint = s3
    with ThreadPoolExecutor(2) as pool:
        for race in range(races):
            batch, turn = divmod(race, 20)  # moto takes long to list many
            stores = [open_store(f"{url}/claims{races}-{batch}", endpoint=endpoint) for _ in range(2)]
            assert sorted(pool.map(bundle_store.claim, stores)) == [2 * turn + 1, 2 * turn + 2]


@pytest.mark.parametrize("races", [20, pytest.param(200, marks=pytest.mark.full)])
def test_on_s3_the_pointer_and_the_rollout_have_one_winner(s3, races):
    url, endpoint = s3
    stores = [open_store(f"{url}/pointer{races}", endpoint=endpoint) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for race in range(1, races + 1):
            numbers = (2 * race, 2 * race + 1)
            after = list(
                pool.map(lambda pair: bundle_store.point(pair[0], pair[1], "d"), zip(stores, numbers, strict=True))
            )
            assert bundle_store.current(stores[0]) == numbers[1] == max(after)
            rollout_store.begin(stores[0], rollout_state.start(race, now=race))

            def advance(store):
                with suppress(rollout_state.RolloutRefused):
                    return rollout_store.change(
                        store, lambda s: rollout_state.advance(s, "x", now=s.since + 1, by=str(id(store)))
                    )

            moved = [m for m in pool.map(advance, stores) if m is not None]
            state = rollout_store.read_state(stores[0])
            assert len(state.history) == 1 + len(moved), "one change for each who thinks he made one"
            assert state.history[-1]["by"] == moved[-1].history[-1]["by"] or len(moved) == 2


def test_on_s3_a_release_is_published_and_comes_back_whole(s3, tmp_path):
    url, endpoint = s3
    store = open_store(f"{url}/whole", endpoint=endpoint)
    number = publish.publish(store, tmp_path / "a", build, triton=None).number
    deployment.deploy(store, tmp_path / "b", number, triton=None)
    assert bundle.load(tmp_path / "b" / "triton" / "select_arm" / "1").number == 1
    store.put("releases/000001/golden.json", store.get("releases/000001/golden.json")[:-1])
    with pytest.raises(bundle.ReleaseRefused, match=r"golden\.json"):
        deployment.deploy(store, tmp_path / "c", number, triton=None)
    assert orjson.loads(store.get("releases/current"))["number"] == 1
