"""A real Prometheus and a real Alertmanager over a real app: faults page within two scrapes, and resolve.

The app decides by its own selector in this process, its log is real, and so is its store; only the time of the loop is
ours, so that half an hour without a shipper passes at once."""

import os
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from croupier import Embedded
from croupier.features import clock
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.ship import ship
from croupier.features.store import layout
from croupier.features.utc import HOUR, MINUTE
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.health import silences
from croupier.serving.health.silences import Silence
from croupier.serving.monitoring.exporter import serve
from croupier.serving.monitoring.reading import AppReader
from croupier.serving.operate import verdict_release, watch
from croupier.serving.triton.server import Ports
from tests.prometheus_here import needs_prometheus, until, watching

TOML = """
[reward]
window_seconds = 60.0
range = [0, 1]
[reward.kinds.click]
[rollout]
stages = [0.5, 1.0]
"""
ARMS = {"red": {}, "blue": {}}
START = 1_790_000_000_000_000 // HOUR * HOUR


class Site:
    """The app "shop" on this host: users, rewards, a shipper, each when we say so."""

    def __init__(self, var):
        self.now, self.seen = START, 0
        with clock.at(self.now):
            self.shop = Embedded.declared("shop", toml=TOML, arms=ARMS, var=var)
            self.w = Workspace.open("shop")
            arms = self.w.arms()
            encoder = Encoder.empty(self.w.spec, arms)
            verdict_release.release_policies(
                self.w,
                champion=Uniform(),
                candidate=FixedArm(arm="red"),
                encoder=encoder,
                arms=arms,
                meta={"verdict": "t"},
            )
            until(lambda: self.shop.release == 2)

    def visits(self, n, rewarded=2):
        """n decisions now, of which every second is rewarded; rewarded=0: none."""
        events = []
        for _ in range(n):
            self.seen += 1
            events.append(self.shop.select(unit_id=f"u{self.seen}").event_id)
        for event in events[::rewarded] if rewarded else ():
            self.reward(event)
        return events

    def reward(self, event):
        self.shop.reward(event_id=event, kind="click", value=1.0, at=self.now)

    def ship(self):
        spool = self.w.spool()
        ship(spool, self.w.store, host="h1")
        spool.close()

    @contextmanager
    def at(self, minutes):
        self.now += minutes * MINUTE
        with clock.at(self.now):
            yield


@pytest.fixture
def site(tmp_path, monkeypatch):
    for name, value in (("VAR", tmp_path / "var"), ("HOST", "h1"), ("DURABILITY", "NORMAL")):
        monkeypatch.setenv(f"CROUPIER_{name}", str(value))
    made = Site(tmp_path / "var")
    yield made
    made.shop.close()


def paged(seen, name, figure, threshold):
    """Waits until people are told; returns how many scrapes had shown the fault by the time that the alarm fired."""
    until(lambda: seen.webhook.heard(name, "firing"))
    first = seen.firing(name)[0]
    return sum(value > threshold for at, value in seen.samples(figure) if at <= first)


def resolved(seen, name, figure, threshold, after=0):
    """Waits until people are told that it is over; returns how many scrapes had shown so while the alarm still
    fired."""
    until(lambda: seen.webhook.heard(name, "resolved", after))
    firing, scrapes = seen.firing(name), seen.samples(figure)
    last_bad = max(at for at, value in scrapes if value > threshold)
    return sum(last_bad < at <= firing[-1] for at, _ in scrapes)


SHIPPER = ("CroupierShipperStopped", "croupier_log_unshipped_age_seconds", 1800)
FEED = ("CroupierRewardFeedSilent", "croupier_log_expected_rewards", 20)
BREAKER = ("CroupierBreakerOpen", "croupier_breaker_open", 0)


@pytest.mark.slow
@needs_prometheus
def test_faults_page_within_two_scrapes_and_resolve(site, tmp_path, monkeypatch):
    ports = Ports.free()
    server = serve([AppReader("shop")], "127.0.0.1:0")
    target = f"127.0.0.1:{server.server_address[1]}"
    try:
        with site.at(0), watching(tmp_path, target, (ports.http, ports.grpc)) as seen:
            site.visits(200)
            site.ship()
            until(lambda: len(seen.samples("croupier_up")) >= 3)
            assert {value for _, value in seen.samples("croupier_up")} == {1}
            assert seen.webhook.told == [], "all is well"
            _a_stopped_shipper(site, seen)
            _a_silent_feed(site, seen)
            _a_tripped_breaker(site, seen, monkeypatch)
            assert {name for name, _, _ in seen.webhook.told} == {SHIPPER[0], FEED[0], BREAKER[0]}
    finally:
        server.shutdown()
        server.server_close()


def _a_stopped_shipper(site, seen):
    site.visits(20)
    with site.at(31):
        assert paged(seen, *SHIPPER) <= 2
        alert = seen.webhook.heard(SHIPPER[0], "firing")
        assert (alert["labels"]["app"], alert["labels"]["host"], alert["labels"]["severity"]) == (
            "shop",
            "h1",
            "critical",
        )
        assert alert["annotations"]["summary"] == "the log of h1 is not shipped: decisions of shop have waited 31m 0s"
        assert alert["annotations"]["page"].endswith("/croupier/shop/")
        site.ship()
        assert resolved(seen, *SHIPPER) <= 2


def _a_silent_feed(site, seen):
    with site.at(5):
        events = site.visits(100, rewarded=0)
        site.ship()
    with site.at(2):
        assert paged(seen, *FEED) <= 2
        summary = seen.webhook.heard(FEED[0], "firing")["annotations"]["summary"]
        assert summary == "no reward comes any more for shop: 50 were due since the last one"
        silences.begin(site.w.store, Silence(watch="reward", since=site.now, until=site.now + HOUR, by="ann"))
        until(lambda: seen.webhook.heard(FEED[0], "resolved"))
        assert seen.samples(FEED[1])[-1][1] > FEED[2], "it is silenced, not over"
        told = len(seen.webhook.told)
        silences.end(site.w.store, "reward", now=site.now)
        until(lambda: seen.webhook.heard(FEED[0], "firing", told))
        site.reward(events[-1])
        assert resolved(seen, *FEED, told) <= 2


def _a_tripped_breaker(site, seen, monkeypatch):
    def broken(self, batch):
        raise RuntimeError("out of memory")

    with site.at(1), monkeypatch.context() as patch:
        patch.setattr(FixedArm, "pmf", broken)
        site.visits(40)
        assert (site.w.home / layout.BREAKER).exists()
        assert paged(seen, *BREAKER) <= 2
        watch.watch("shop")  # judges: the rollout is aborted, so that the breaker has done its work
        assert resolved(seen, *BREAKER) <= 2


@pytest.mark.medium
def test_the_command_serves_metrics_until_it_is_stopped(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app.toml").write_text(TOML)
    command = [str(Path(sys.executable).parent / "croupier"), "exporter", "--app", "shop", "--listen", "127.0.0.1:0"]
    environment = os.environ | {"CROUPIER_VAR": str(tmp_path), "CROUPIER_HOST": "h1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            said = run.stdout.readline()
            address = said.rpartition(" at ")[2].strip()
            with urllib.request.urlopen(address, timeout=30) as answer:
                text = answer.read().decode()
            run.send_signal(signal.SIGINT)
            _, error = run.communicate(timeout=60)
        finally:
            run.kill()
    assert said.startswith("metrics of shop at http://127.0.0.1:")
    assert 'croupier_up{app="shop"} 1.0\n' in text
    assert (run.returncode, "Traceback" in error) == (130, False)
