"""What a client must show: TLS, mutual TLS and the API token, by certificates made here, against the real Triton."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from croupier import AsyncClient, Client, Tls
from croupier.features.settings import Settings
from croupier.models.baselines import Uniform
from croupier.serving.cli import app
from croupier.serving.client.errors import Unavailable
from croupier.serving.operate import deployment, publish, supervisor
from croupier.serving.triton import binary, certificates
from croupier.serving.triton.binary import Binary, TritonUnavailable
from croupier.serving.triton.endpoint_security import ASKED, EndpointSecurity
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

TOKEN = "0123456789abcdef-token"
ASK = {"unit_id": "u", "context": {}, "arms": ["reel-01", "reel-02"]}


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    certificates.make(folder / "ours", ["triton", "127.0.0.1"], ["shop"])
    certificates.make(folder / "foreign", ["triton", "127.0.0.1"], ["shop"])
    return folder


def security(tls, **more):
    ours = tls / "ours"
    return EndpointSecurity(cert=ours / "server.crt", key=ours / "server.key", root=ours / "ca.crt", **more)


def asked(triton, **how):
    with Client(triton.grpc, fallback=None, deadline_ms=10_000, **how) as client:
        try:
            return client.select(**ASK).role
        except Unavailable as error:
            return str(error)


@pytest.mark.slow
def test_without_tls_and_token_nobody_is_served_and_with_both_everybody(tls, tmp_path):
    """Each call in the clear, with a foreign authority, under another name, without a token, with another one."""
    apps.write(tmp_path, Uniform())
    root, foreign = tls / "ours" / "ca.crt", tls / "foreign" / "ca.crt"
    with EndedAtOnce(tmp_path, ports=Ports.free(), security=security(tls, token=TOKEN)) as triton:
        found = {
            "right": asked(triton, tls=Tls(root=root), token=TOKEN),
            "by name": asked(triton, tls=Tls(root=root, name="triton"), token=TOKEN),
            "in the clear": asked(triton, token=TOKEN),
            "foreign authority": asked(triton, tls=Tls(root=foreign), token=TOKEN),
            "another name": asked(triton, tls=Tls(root=root, name="elsewhere"), token=TOKEN),
            "no token": asked(triton, tls=Tls(root=root)),
            "another token": asked(triton, tls=Tls(root=root), token=TOKEN[:-1] + "x"),
        }
        print("call | answer", *(" | ".join(row) for row in found.items()), sep="\n")
        assert [name for name, role in found.items() if role == "champion"] == ["right", "by name"]
        assert all("restricted" in found[name] for name in ("no token", "another token")), found
        assert http(triton, {}) == 403
        assert http(triton, {"croupier-token": TOKEN}) == 200
        assert asyncio.run(awaited(triton, tls=Tls(root=root), token=TOKEN)) == "champion"


async def awaited(triton, **how):
    async with AsyncClient(triton.grpc, fallback=None, deadline_ms=10_000, **how) as client:
        return (await client.select(**ASK)).role


def http(triton, headers):
    value = {"unit_id": "u", "context": "{}", "arms": json.dumps(ASK["arms"])}
    inputs = [{"name": n, "shape": [1, 1], "datatype": "BYTES", "data": [v]} for n, v in value.items()]
    url = f"http://127.0.0.1:{triton.ports.http}/v2/models/select_arm/infer"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, json.dumps({"inputs": inputs}).encode(), headers), timeout=20
        ) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.slow
def test_mutual_tls_lets_in_whom_our_authority_signed(tls, tmp_path):
    apps.write(tmp_path, Uniform())
    ours, foreign = tls / "ours", tls / "foreign"
    with EndedAtOnce(
        tmp_path, ports=Ports.free(), security=security(tls, clients=ours / "ca.crt", token=TOKEN)
    ) as triton:
        mine = Tls(root=ours / "ca.crt", certificate=ours / "shop.crt", key=ours / "shop.key")
        theirs = Tls(root=ours / "ca.crt", certificate=foreign / "shop.crt", key=foreign / "shop.key")
        assert asked(triton, tls=mine, token=TOKEN) == "champion"
        assert "UNAVAILABLE" in asked(triton, tls=theirs, token=TOKEN)
        assert "UNAVAILABLE" in asked(triton, tls=Tls(root=ours / "ca.crt"), token=TOKEN)


@pytest.mark.slow
def test_publish_trial_and_supervisor_come_in_by_the_settings(tls, tmp_path, monkeypatch):
    """`serve up` behind mutual TLS and a token: a release is tried, loaded and served, and the canary is answered."""
    from croupier.features.store.storage import open_store
    from tests.serving.release.test_provenance import build

    ours = tls / "ours"
    given = {
        "TLS_CERT": ours / "server.crt",
        "TLS_KEY": ours / "server.key",
        "TLS_ROOT": ours / "ca.crt",
        "TLS_CLIENTS": ours / "ca.crt",
        "TOKEN": TOKEN,
    }
    for name, value in given.items():
        monkeypatch.setenv(f"CROUPIER_{name}", str(value))
    home, ports = tmp_path / "shop", Ports.free()
    store = open_store(str(tmp_path / "store"))
    monkeypatch.setattr(Ports, "around", classmethod(lambda cls, grpc: ports))
    with EndedAtOnce(home, grpc_port=ports.grpc) as triton:
        done = publish.publish(store, home, build(Uniform()), triton=triton.grpc)
        assert (done.number, done.served) == (1, True)
        assert supervisor.healthy(triton.grpc)
        monkeypatch.delenv("CROUPIER_TOKEN")
        assert not supervisor.healthy(triton.grpc)
    assert deployment.follow(store, tmp_path / "other", triton=None) == 1


def new_server(tmp_path):
    return lambda runtime: Binary(path=tmp_path / "none", backends=tmp_path, environment={}, release="26.07")


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, "no TLS certificate"), ({"token": TOKEN}, "no TLS certificate"), ({"cert": "c", "key": "k"}, "no API token")],
)
def test_a_new_server_binds_loopback_only_without_tls_and_token(tmp_path, monkeypatch, given, found):
    monkeypatch.setattr(binary, "find", new_server(tmp_path))
    with pytest.raises(TritonUnavailable, match=rf"host '0\.0\.0\.0': found {found}, expected CROUPIER_TLS_CERT"):
        TritonServer(tmp_path, ports=Ports.free(), host="0.0.0.0", security=EndpointSecurity(**given)).start()


def test_with_both_it_binds_what_it_is_told_but_http_stays(tmp_path, tls, monkeypatch):
    monkeypatch.setattr(binary, "find", new_server(tmp_path))
    server = TritonServer(tmp_path, ports=Ports.free(), host="0.0.0.0", security=security(tls, token=TOKEN))
    with pytest.raises(FileNotFoundError):  # there is no such program: it was let through to its start
        server.start()
    given = server._arguments(new_server(tmp_path)(None), [])
    addresses = {a for a in given if "-address" in a}
    assert addresses == {"--http-address=127.0.0.1", "--grpc-address=0.0.0.0", "--metrics-address=0.0.0.0"}
    assert {
        "--grpc-use-ssl=true",
        f"--grpc-restricted-protocol={ASKED}:croupier-token={TOKEN}",
        f"--http-restricted-api={ASKED}:croupier-token={TOKEN}",
    } <= set(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"CROUPIER_TLS_CERT": "server.crt"}, "CROUPIER_TLS_CERT, CROUPIER_TLS_KEY: found one of them"),
        ({"CROUPIER_TLS_CERT": "nothing.crt"}, "CROUPIER_TLS_CERT: found no file"),
        ({"CROUPIER_TLS_CLIENTS": "ca.crt"}, "CROUPIER_TLS_CLIENTS: found it without"),
        ({"CROUPIER_TOKEN": "short"}, "CROUPIER_TOKEN: found .* expected 16 or more"),
        ({"CROUPIER_TOKEN": "has a space in it, and a comma"}, "CROUPIER_TOKEN: found .* expected 16 or more"),
    ],
)
def test_half_a_door_is_refused_by_name(tls, monkeypatch, given, said):
    for name, value in given.items():
        monkeypatch.setenv(name, str(tls / "ours" / value) if "TLS" in name else value)
    with pytest.raises(ValueError, match=said):
        EndpointSecurity.of(Settings())


@pytest.mark.parametrize("url", ["192.0.2.7:8001", "triton:8001", "[2001:db8::1]:8001"])
def test_a_token_does_not_cross_a_network_in_the_clear(url):
    with pytest.raises(ValueError, match=r"token: found no TLS to .*expected tls=Tls"):
        Client(url, token=TOKEN)
    for near in ("127.0.0.1:1", "localhost:1", "[::1]:1"):
        Client(near, token=TOKEN).close()


def test_a_certificate_without_its_key_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a certificate without its key, expected both or neither"):
        Tls(certificate=tmp_path / "a.crt")


def test_the_command_makes_certificates_once_and_keys_are_the_owners_alone(tmp_path):
    words = [
        "keys",
        "tls",
        str(tmp_path / "tls"),
        "--host",
        "triton",
        "--host",
        "10.0.0.7",
        "--client",
        "shop",
        "--json",
    ]
    done = CliRunner().invoke(app, words)
    files = [Path(path).name for path in json.loads(done.stdout)["files"]]
    assert files == ["ca.crt", "server.crt", "server.key", "shop.crt", "shop.key"]
    modes = {name: (tmp_path / "tls" / name).stat().st_mode & 0o777 for name in files}
    assert {modes[n] for n in files if n.endswith(".key")} == {0o600}
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 1
    assert "never written over" in again.stderr
