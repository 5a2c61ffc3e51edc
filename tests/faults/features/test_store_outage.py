"""The store goes away in five ways while decisions go on at 300 a second: nothing is lost, nothing is doubled, and when
the spool reaches its cap meanwhile, decided = logged + thinned, exactly."""

import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import boto3
import pytest

from croupier.features.ids import uuid7
from croupier.features.log.ship import ship
from croupier.features.log.shipped import EVENT, open_log
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision
from croupier.features.store.storage import FolderStore, S3Store, StoreUnavailable
from tests.faults.durability import Found, judge
from tests.faults.proxy import Proxy
from tests.moto_server import moto_server

FAULTS = ("refuse", "black_hole", "reset", "errors 500", "full disk")


@pytest.fixture(scope="module")
def moto():
    with moto_server() as (_, address):
        yield address


class Always500(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_HEAD = do_POST = answer

    def log_message(self, *_):
        pass


class Outage:
    """A store that can be broken in one way, and mended."""

    def __init__(self, fault, moto, folder):
        self.fault, self.closing = fault, []
        if fault == "full disk":
            folder.mkdir()
            made = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=12m", "none", folder], capture_output=True, check=False
            )
            if made.returncode:
                pytest.skip("no right to mount a tmpfs")
            self.closing.append(lambda: subprocess.run(["umount", "-l", folder], check=True))
            self.store, self.ballast = FolderStore(str(folder / "store")), folder / "ballast"
            return
        bucket = f"b-{uuid4().hex}"
        boto3.client("s3", endpoint_url=f"http://{moto}").create_bucket(Bucket=bucket)
        self.proxy = Proxy(moto)
        self.closing.append(self.proxy.close)
        self.store = S3Store(f"s3://{bucket}/p", endpoint=f"http://{self.proxy.url}", timeout_seconds=0.5)

    def start(self):
        if self.fault == "full disk":
            with self.ballast.open("wb", buffering=0) as file:
                try:
                    while file.write(b"x" * 65536):
                        pass
                except OSError:
                    return
        elif self.fault == "errors 500":
            self.broken = ThreadingHTTPServer(("127.0.0.1", 0), Always500)
            threading.Thread(target=self.broken.serve_forever, daemon=True).start()
            self.proxy.set("reset")  # ends what is open
            self.good, self.proxy.target = self.proxy.target, self.broken.server_address
            self.proxy.set("pass")
        elif self.fault == "refuse":
            self.proxy.set("reset")
            self.good, self.proxy.target = self.proxy.target, ("127.0.0.1", 1)
            self.proxy.set("pass")
        else:
            self.proxy.set(self.fault)

    def end(self):
        if self.fault == "full disk":
            self.ballast.unlink()
            return
        if self.fault in ("errors 500", "refuse"):
            self.proxy.set("reset")
            self.proxy.target = self.good
        self.proxy.set("pass")
        if self.fault == "errors 500":
            self.broken.shutdown()
            self.broken.server_close()

    def close(self):
        for close in self.closing:
            close()


class Producer(threading.Thread):
    """300 decisions a second in calls of three, until stopped; what was acknowledged."""

    def __init__(self, spool):
        super().__init__()
        self.spool, self.acknowledged, self.stopped = spool, [], threading.Event()

    def run(self):
        due = time.monotonic()
        while not self.stopped.is_set():
            asked = [decision() for _ in range(3)]
            self.acknowledged += [d.event_id for d in self.spool.append_decisions(asked)]
            due += 0.01
            time.sleep(max(0.0, due - time.monotonic()))


def decision():
    return Decision(
        event_id=uuid7(),
        at=time.time_ns() // 1000,
        unit_id="u" * 32,
        context={"x": "y" * 500},
        arms=("a", "b"),
        pmf=(0.5, 0.5),
        arm="a",
        propensity=0.5,
        policy="p",
        role="champion",
        release=1,
    )


def live_through(outage, spool, seconds):
    """Ships before, during and after; returns acknowledged ids, logged ids, and how many shipments failed."""
    producer, shipping, failed = Producer(spool), Spool(spool.path, max_bytes=spool.max_bytes), 0
    producer.start()
    try:
        time.sleep(0.3)
        ship(shipping, outage.store, host="h")
        outage.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                ship(shipping, outage.store, host="h")
            except StoreUnavailable:
                failed += 1
            time.sleep(0.1)
        outage.end()
    finally:
        producer.stopped.set()
        producer.join()
    ship(shipping, outage.store, host="h")
    shipping.close()
    with open_log(outage.store) as log:
        logged = log.read("decisions", log.hours("decisions"), EVENT)["event_id"].to_list()
    return producer.acknowledged, logged, failed


SECONDS = [1.5, pytest.param(60, marks=pytest.mark.full)]


@pytest.mark.timeout(3600)
@pytest.mark.slow
@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_an_outage_of_the_store_loses_nothing(moto, tmp_path, fault, seconds):
    spool, outage = Spool(tmp_path / "log.db"), Outage(fault, moto, tmp_path / "disk")
    try:
        acknowledged, logged, failed = live_through(outage, spool, seconds)
    finally:
        outage.close()
        spool.close()
    assert failed >= 1, "the outage was none"
    assert len(acknowledged) > 100 * seconds
    assert judge(asked=acknowledged, acknowledged=acknowledged, logged=logged) == Found((), (), ())


@pytest.mark.slow
@pytest.mark.parametrize("seconds", SECONDS)
def test_at_the_cap_the_account_is_exact(moto, tmp_path, seconds):
    spool = Spool(tmp_path / "log.db", max_bytes=int(seconds * 100_000))
    outage = Outage("refuse", moto, tmp_path / "disk")
    try:
        acknowledged, logged, _ = live_through(outage, spool, seconds)
        thinned = spool.counts()["thinned"]
    finally:
        outage.close()
        spool.close()
    assert thinned > 0.05 * len(acknowledged)
    assert len(logged) + thinned == len(acknowledged)
    assert judge(asked=acknowledged, acknowledged=logged, logged=logged) == Found((), (), ())
