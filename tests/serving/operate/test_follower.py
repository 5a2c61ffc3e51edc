"""What `croupier serve` does beside keeping Triton up: a changed catalogue.json is released, by a process of its own."""

import threading
import time

import pytest

from croupier.features.clock import now_us
from croupier.serving.operate.follower import CatalogueFollower
from croupier.serving.release import bundle_store
from tests.serving.arm_shop import ARMS, NEW, Shop


@pytest.fixture
def shop(tmp_path, monkeypatch):
    made = Shop(tmp_path / "var", monkeypatch)
    yield made
    made.spool.close()


def until(holds, seconds=120):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_changed_file_is_released_and_a_broken_one_said(shop, capfd, monkeypatch):
    monkeypatch.setattr("croupier.serving.operate.follower.AGAIN_SECONDS", 0.1)
    follower = CatalogueFollower(shop.w.home, every=0.05)
    try:
        shop.write([*ARMS, NEW])
        until(lambda: bundle_store.current(shop.w.store) == 2)
        (shop.w.home / "catalogue.json").write_text("[{")
        said = []
        until(lambda: said.append(capfd.readouterr().out) or "InvalidEvent: catalogue: found" in "".join(said))
        shop.write(ARMS)
        until(lambda: bundle_store.current(shop.w.store) == 3)
    finally:
        follower.close()
    assert "catalogue: release 2\n" in "".join(said)
    shop.follow()
    shop.now = now_us()  # as the process has it
    answer = shop.ask(1, ["a0", "n0"])[0]
    assert (answer.release, answer.dropped) == (3, ("n0",))


def test_it_ends_with_its_supervisor_and_needs_no_catalogue(tmp_path):
    before = threading.active_count()
    follower = CatalogueFollower(tmp_path, every=0.01)
    time.sleep(0.05)
    follower.close()
    assert threading.active_count() == before
