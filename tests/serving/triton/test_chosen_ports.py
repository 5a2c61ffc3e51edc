"""Several apps on one host: each has ports of its own, the same at every start."""

import json
import socket
import urllib.request
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from croupier.features.settings import Settings
from croupier.serving.cli import app
from croupier.serving.triton import chosen_ports
from croupier.serving.triton.chosen_ports import FIRST, STEP


@pytest.fixture
def var(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.delenv("CROUPIER_TRITON", raising=False)
    monkeypatch.setattr(chosen_ports, "FIRST", 21001)  # whatever else runs on this machine
    for name in ("shop", "news"):
        (tmp_path / name).mkdir()
    return tmp_path


def ports_of(name):
    return chosen_ports.chosen(Settings(app=name)).grpc


def croupier(*words):
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, json.loads(done.stdout)


def test_the_first_app_has_tritons_usual_ports():
    assert (FIRST, STEP) == (8001, 10)


def test_each_app_has_ports_of_its_own_and_keeps_them(var):
    assert chosen_ports.known(Settings(app="shop")) is None
    assert (ports_of("shop"), ports_of("news"), ports_of("shop")) == (21001, 21011, 21001)
    assert croupier("serve", "status", "--app", "news", "--json") == (
        3,
        {
            "app": "news",
            "running": False,
            "pid": None,
            "ports": {"http": 21010, "grpc": 21011, "metrics": 21012},
            "releases": [],
            "log": str(var / "news" / "triton.log"),
        },
    )


def test_what_a_stranger_listens_on_is_passed_over_at_the_choice_alone(var):
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 21002))  # the metrics port of the first choice
        stranger.listen()
        assert ports_of("shop") == 21011
    assert ports_of("shop") == 21011
    assert ports_of("news") == 21001


def test_nor_is_airflows_port_taken(var, monkeypatch):
    monkeypatch.setenv("CROUPIER_AIRFLOW_PORT", "21000")
    assert ports_of("shop") == 21011


def test_what_is_configured_goes_before_and_is_not_remembered(var, monkeypatch):
    monkeypatch.setenv("CROUPIER_TRITON", "127.0.0.1:23001")
    assert ports_of("shop") == 23001
    assert not (var / "shop" / "ports.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"grpc": "x"}', "null"])
def test_a_memory_that_names_no_port_is_chosen_anew(var, content):
    (var / "shop" / "ports.json").write_text(content)
    assert ports_of("shop") == 21001
    assert json.loads((var / "shop" / "ports.json").read_text()) == {"http": 21000, "grpc": 21001, "metrics": 21002}


@pytest.mark.slow
def test_two_apps_are_served_side_by_side(var):
    try:
        up = {name: croupier("serve", "up", "--app", name, "--json") for name in ("shop", "news")}
        assert [code for code, _ in up.values()] == [0, 0]
        ports = {name: found["ports"] for name, (_, found) in up.items()}
        assert ports == {
            "shop": {"http": 21000, "grpc": 21001, "metrics": 21002},
            "news": {"http": 21010, "grpc": 21011, "metrics": 21012},
        }
        for name, its in ports.items():
            code, found = croupier("serve", "status", "--app", name, "--json")
            assert (code, found["running"], found["ports"]) == (0, True, its)
            assert croupier("serve", "health", "--app", name, "--json")[0] == 0
            with urllib.request.urlopen(f"http://127.0.0.1:{its['http']}/v2/models/reward/ready") as reply:
                assert reply.status == 200
        assert croupier("serve", "down", "--app", "shop", "--json") == (0, {"app": "shop", "stopped": True})
        assert croupier("serve", "status", "--app", "news", "--json")[0] == 0
        again = croupier("serve", "up", "--app", "shop", "--json")[1]
        assert again["ports"] == ports["shop"]
    finally:
        for name in ("shop", "news"):
            CliRunner().invoke(app, ["serve", "down", "--app", name])
    assert asdict(chosen_ports.chosen(Settings(app="shop"))) == {"http": 21000, "grpc": 21001, "metrics": 21002}
