"""`croupier ship`: once, and beside a server until SIGTERM, as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from croupier.features.schema import Reward
from croupier.features.workspace import Workspace
from croupier.serving.cli import app
from tests import shop

pytestmark = pytest.mark.medium
TOML = "[reward.kinds.click]\n"


@pytest.fixture
def w(tmp_path, monkeypatch):
    home = shop.of_commands(tmp_path, monkeypatch)
    home.mkdir(parents=True)
    (home / "app.toml").write_text(TOML)
    return Workspace.open("shop")


def reward(i: int) -> Reward:
    return Reward(event_id=f"e{i}", at=1_772_323_200_000_000 + i, kind="click", value=1.0)


def append(w, *events) -> None:
    spool = w.spool()
    spool.append_rewards(list(events))
    spool.close()


def logged(w) -> int:
    return len(w.store.list("log/rewards/"))


def test_once(w):
    append(w, reward(1), reward(2))
    done = CliRunner().invoke(app, ["ship", "--app", "shop", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found == {"app": "shop", "decisions": 0, "rewards": 2, "rejects": 0, "pruned": 2}, (
        "both are older than a week"
    )
    again = CliRunner().invoke(app, ["ship", "--app", "shop"])
    assert again.stdout.endswith("shop: 0 decisions, 0 rewards, 0 rejects shipped; 0 rows left this host\n")


def test_a_broken_app_toml_keeps_nothing_from_being_shipped(w):
    append(w, reward(1))
    (w.home / "app.toml").write_text("zzz = 1\n")
    done = CliRunner().invoke(app, ["ship", "--app", "shop"])
    assert (done.exit_code, "zzz: found 1" in done.stderr) == (1, True)
    assert logged(w) == 1


@pytest.fixture
def shipper(w):
    """Looks every minute: what is shipped within the test is so at its start, or on SIGTERM."""
    command = [sys.executable, "-m", "croupier.serving.cli", "ship", "--app", "shop", "--every", "60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    yield process
    process.kill()
    process.communicate()


def until(true, process) -> None:
    while not true():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_a_signal_it_ships_once_more_and_ends_well(w, shipper, number):
    append(w, reward(1))
    until(lambda: logged(w) == 1, shipper)
    shipper.stdout.readline()  # the first turn is over
    append(w, reward(2))
    shipper.send_signal(number)
    out, err = shipper.communicate()
    assert (shipper.returncode, err) == (0, "")
    assert out.count("1 rewards") == 1
    assert logged(w) == 2


@pytest.fixture
def store_down(w, shipper):
    """The shipper waits, one reward is in the spool, and the store fails; gives what brings it back."""
    append(w, reward(1))
    until(lambda: logged(w) == 1, shipper)
    shipper.stdout.readline()
    append(w, reward(2))
    log, away = w.home / "store" / "log", w.home / "away"
    log.rename(away)
    log.write_text("a file where a folder should be")

    def back():
        log.unlink()
        away.rename(log)

    return back


def test_the_last_turn_is_tried_again_where_the_store_fails_just_then(w, shipper, store_down):
    shipper.send_signal(signal.SIGTERM)
    assert "store" in shipper.stderr.readline()
    store_down()
    out, _ = shipper.communicate()
    assert (shipper.returncode, out.count("1 rewards"), logged(w)) == (0, 1, 2)


def test_while_the_store_is_down_it_says_so_and_nothing_is_lost(w, shipper, store_down):
    shipper.send_signal(signal.SIGTERM)
    _, err = shipper.communicate()
    assert shipper.returncode == 1, "the last turn could not ship: whoever stops the host must know"
    assert "croupier: " in err
    store_down()
    assert CliRunner().invoke(app, ["ship", "--app", "shop"]).exit_code == 0
    assert logged(w) == 2, "nothing is lost"


@pytest.mark.parametrize("command", [("ship",), ("turn",), ("release", "follow")])
def test_a_pause_that_no_clock_can_count_is_a_wrong_call(w, command):
    done = CliRunner().invoke(app, [*command, "--app", "shop", "--every", "inf"])
    assert (done.exit_code, "'--every'" in done.stderr) == (2, True), done.output


@pytest.mark.parametrize("last", ["1e9d", "999999999999d", "36501d"])
def test_a_time_before_all_dates_is_named(w, last):
    said = f"found '{last}', expected 36,500 days at most\n"
    done = CliRunner().invoke(app, ["turn", "--app", "shop", "--last", last])
    assert (done.exit_code, done.stderr) == (1, f"croupier: --last: {said}")
    words = ["silence", "--app", "shop", "--watch", "reward", "--for", last, "--why", "x"]
    done = CliRunner().invoke(app, ["health", *words])
    assert (done.exit_code, done.stderr) == (1, f"croupier: --for: {said}")
    assert w.store.list("") == ["croupier.json"], "nothing is silenced"
