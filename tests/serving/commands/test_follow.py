"""`croupier release follow --every`: beside a server that shares nothing with the publisher but the store, and as the
first process of a container."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.operate import publish
from croupier.serving.release import bundle, rollout_state, rollout_store
from croupier.serving.release.rollout_mirror import RolloutReader
from tests import shop
from tests.faults.proxy import Proxy
from tests.moto_server import moto_server

pytestmark = pytest.mark.medium
ARMS = [Arm(arm_id=name, features={}) for name in ("a", "b")]


def build(folder, number):
    policies = {"champion": Uniform(), "candidate": FixedArm(arm="a")}
    encoder = Encoder.empty(AppSpec(), ARMS)
    bundle.write_release(folder, number=number, **policies, encoder=encoder, arms=ARMS, floor=0.1, meta={})


@pytest.fixture
def s3():
    """(the store as the publisher sees it, a proxy through which the host sees it)"""
    with moto_server() as (_, url):
        bucket = f"b-{uuid4().hex}"
        store = open_store(f"s3://{bucket}/shop", endpoint=f"http://{url}")
        boto3.client("s3", endpoint_url=f"http://{url}").create_bucket(Bucket=bucket)
        proxy = Proxy(url)
        yield store, proxy
        proxy.close()


def started(*words, before=()):
    command = [*before, sys.executable, "-c", "from croupier.serving.main import main; main()", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


@pytest.fixture
def host(tmp_path, monkeypatch, s3):
    """The folder of a host that has no app.toml, and looks five times a second."""
    (tmp_path / "host").mkdir()
    home = shop.of_commands(tmp_path / "host", monkeypatch)
    monkeypatch.setenv("CROUPIER_STORE", s3[0].url)
    monkeypatch.setenv("CROUPIER_S3_ENDPOINT", f"http://{s3[1].url}")
    return home


def until(true, process, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "not within a minute"
        time.sleep(0.05)


def share(home):
    return RolloutReader(home / layout.ROLLOUT_MIRROR, every=0.0).view(1).share


def advance(store):
    rollout_store.change(store, lambda s: rollout_state.advance(s, "up", now=s.since + 1, by="me"))


def test_a_host_without_an_app_toml_follows_and_outlives_the_stores_absence(host, s3, tmp_path):
    store, proxy = s3
    proxy.set("reset")  # the host comes up before its store
    process = started("release", "follow", "--every", "0.2")
    try:
        assert "StoreUnavailable" in process.stderr.readline()
        publish.publish(store, tmp_path / "publisher" / "shop", build, triton=None)
        proxy.set("pass")
        until(lambda: share(host) == 0.05, process)
        assert process.stdout.readline() == "release 1 deployed\n"
        assert bundle.load(layout.served(host, 1)).candidate.arm == "a"
        proxy.set("reset")
        advance(store)
        process.stderr.readline()  # it has seen that the store is away
        assert share(host) == 0.05
        proxy.set("pass")
        until(lambda: share(host) == 0.2, process)
    finally:
        process.terminate()
        out, err = process.communicate()
    assert (out, err.count("\n") <= 2) == ("", True), (out, err)


def test_a_release_that_is_refused_here_keeps_no_abort_from_being_mirrored(host, s3, tmp_path):
    store, _ = s3
    publish.publish(store, tmp_path / "publisher" / "shop", build, triton=None)
    process = started("release", "follow", "--every", "0.2")
    try:
        until(lambda: share(host) == 0.05, process)
        spoilt = layout.release(2, layout.MANIFEST)
        process.send_signal(signal.SIGSTOP)  # it never sees the release whole
        publish.publish(store, tmp_path / "publisher" / "shop", build, triton=None)
        manifest = json.loads(store.get(spoilt))
        store.put(spoilt, json.dumps(manifest | {"digest": "0" * 64}).encode())
        process.send_signal(signal.SIGCONT)
        assert "ReleaseRefused" in process.stderr.readline()
        rollout_store.change(store, lambda s: rollout_state.abort(s, "harm", now=s.since + 1, by="me"), insist=True)
        mirror = host / layout.ROLLOUT_MIRROR
        until(lambda: b'"aborted"' in mirror.read_bytes(), process)
        assert share(host) == 0.0
    finally:
        process.terminate()
        process.communicate()


def test_the_mirror_grows_old_when_nobody_watches_the_rollout(host, s3, tmp_path):
    store, _ = s3
    publish.publish(store, tmp_path / "publisher" / "shop", build, triton=None)
    mirror = host / layout.ROLLOUT_MIRROR
    process = started("release", "follow", "--every", "0.1")
    try:
        until(mirror.exists, process)
        old = mirror.stat().st_mtime - 1800.0
        os.utime(mirror, (old, old))
        time.sleep(1.0)  # many looks
        assert mirror.stat().st_mtime == old, "a look renews nothing by itself"
        rollout_store.note_watched(store, 1)
        until(lambda: mirror.stat().st_mtime > old, process)
    finally:
        process.terminate()
        process.communicate()


def asks_for(pid, number):
    """True if the process has a handler of its own for a signal."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigCgt"], 16) >> (number - 1) & 1)


CAN_UNSHARE = (
    os.geteuid() == 0
    and subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True, check=False).returncode == 0
)


@pytest.mark.skipif(not CAN_UNSHARE, reason="no namespace of processes may be made here (root, `unshare --pid`)")
@pytest.mark.parametrize("words", [("release", "follow", "--every", "60"), ("turn", "--every", "60")])
def test_as_the_first_process_of_a_container_it_ends_on_sigterm(tmp_path, monkeypatch, words):
    """The kernel drops signals that process 1 of a namespace does not ask for: without it, a pod waits out its grace."""
    home = shop.of_commands(tmp_path, monkeypatch)
    home.mkdir(parents=True)
    (home / "app.toml").write_text("[reward.kinds.click]\n")
    (home / "catalogue.json").write_text('[{"arm_id": "a"}, {"arm_id": "b"}]')
    process = started(*words, before=("unshare", "--pid", "--fork", "--kill-child"))
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: children.read_text().strip(), process)
        first = int(children.read_text())
        until(lambda: asks_for(first, signal.SIGTERM), process)
        os.kill(first, signal.SIGTERM)
        assert process.wait(30.0) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.communicate()
