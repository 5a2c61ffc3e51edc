"""Triton's ports: every port that listens, and every call that may change the server, without and with the secret."""

import base64
import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.operate import supervisor
from croupier.serving.triton import admin, binary
from croupier.serving.triton.binary import Binary, TritonUnavailable
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

EVIL = b"import os\nopen(os.environ['CROUPIER_EVIL'], 'w').write('was here')\nclass TritonPythonModel:\n    def execute(self, r): return []\n"
CONFIG = json.dumps({
    "name": "evil", "backend": "python", "max_batch_size": 0, "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [1]}],
    "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [1]}],
})  # fmt: skip


@pytest.fixture(scope="module")
def triton(tmp_path_factory):
    home = tmp_path_factory.mktemp("app")
    apps.write(home, Uniform())
    with EndedAtOnce(home, ports=Ports.free(), environment={"CROUPIER_EVIL": str(home / "evil")}) as server:
        yield server


def load_evil(client, headers):
    client.load_model("evil", headers=headers, config=CONFIG, files={"file:1/model.py": EVIL})


GRPC_CALLS = {
    "load with files": load_evil,
    "load": lambda client, headers: client.load_model("select_arm", headers=headers),
    "unload": lambda client, headers: client.unload_model("evil", headers=headers),
    "index": lambda client, headers: client.get_model_repository_index(headers=headers),
    "system memory": lambda client, headers: client.register_system_shared_memory("s", "/nothing", 8, headers=headers),
    "system memory, end": lambda client, headers: client.unregister_system_shared_memory(headers=headers),
    "system memory, list": lambda client, headers: client.get_system_shared_memory_status(headers=headers),
    "CUDA memory": lambda client, headers: client.register_cuda_shared_memory("s", base64.b64encode(b"x" * 64), 0, 8, headers=headers),
    "CUDA memory, end": lambda client, headers: client.unregister_cuda_shared_memory(headers=headers),
    "trace": lambda client, headers: client.update_trace_settings(settings={"trace_rate": "1000"}, headers=headers),
    "trace of a model": lambda client, headers: client.update_trace_settings("reward", {"trace_rate": "1000"}, headers=headers),
    "log": lambda client, headers: client.update_log_settings({"log_verbose_level": 0}, headers=headers),
}  # fmt: skip

HTTP_CALLS = {
    "load with files": ("v2/repository/models/evil/load", {"parameters": {
        "config": CONFIG, "file:1/model.py": base64.b64encode(EVIL).decode()}}),
    "load": ("v2/repository/models/select_arm/load", {}),
    "unload": ("v2/repository/models/evil/unload", {}),
    "index": ("v2/repository/index", {}),
    "system memory": ("v2/systemsharedmemory/region/s/register", {"key": "/nothing", "offset": 0, "byte_size": 8}),
    "system memory, end": ("v2/systemsharedmemory/unregister", {}),
    "system memory, list": ("v2/systemsharedmemory/status", None),
    "CUDA memory": ("v2/cudasharedmemory/region/s/register", {
        "raw_handle": {"b64": base64.b64encode(b"x" * 64).decode()}, "device_id": 0, "byte_size": 8}),
    "CUDA memory, end": ("v2/cudasharedmemory/unregister", {}),
    "trace": ("v2/trace/setting", {"trace_rate": "1000"}),
    "trace of a model": ("v2/models/reward/trace/setting", {"trace_rate": "1000"}),
    "log": ("v2/logging", {"log_verbose_level": 0}),
}  # fmt: skip


def grpc_answer(triton, call, headers):
    with triton_grpc.InferenceServerClient(triton.grpc) as client:
        try:
            GRPC_CALLS[call](client, headers)
        except InferenceServerException as error:
            return "refused" if "protocol is restricted" in str(error) else f"let in: {error.message()}"
    return "let in"


def http_answer(triton, call, headers):
    path, body = HTTP_CALLS[call]
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{triton.ports.http}/{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30):
            return "let in"
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
        return "refused" if error.code == 403 and "restricted" in text else f"let in: {error.code} {text}"


@pytest.mark.slow
def test_the_administration_is_closed_on_every_port_without_the_secret_and_open_with_it(triton):
    secret = admin.secret(triton.home)
    wrong = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    entries = [("gRPC", call, grpc_answer, admin.GRPC_HEADER) for call in GRPC_CALLS]
    entries += [("HTTP", call, http_answer, admin.HTTP_HEADER) for call in HTTP_CALLS]
    shut = [
        (port, call, ask(triton, call, {}), ask(triton, call, {header: wrong})) for port, call, ask, header in entries
    ]
    print("port | call | without the secret | with a wrong one", *(" | ".join(row) for row in shut), sep="\n")
    assert [row for row in shut if row[2:] != ("refused", "refused")] == []
    assert len(shut) == 24
    assert not (triton.home / "evil").exists(), "foreign code ran"
    opened = [(port, call, ask(triton, call, {header: secret})) for port, call, ask, header in entries]
    print("port | call | with the secret", *(" | ".join(row) for row in opened), sep="\n")
    assert [row for row in opened if row[2] == "refused"] == []
    assert (triton.home / "evil").read_text() == "was here", "the call that is refused above is one that works"
    with Client(triton.grpc, deadline_ms=20_000) as client:  # decisions need no secret
        assert client.select(unit_id="u", context={}, arms=["reel-01"]).role == "champion"


@pytest.mark.slow
def test_every_listening_port_is_known_and_on_loopback(triton):
    """A port that is opened by a newer Triton, or by a model of ours, fails here."""
    group = [p for p in psutil.process_iter() if _group(p.pid) == triton.process.pid]
    found = {
        (c.laddr.ip.removeprefix("::ffff:"), c.laddr.port)
        for p in group
        for c in p.net_connections("inet")
        if c.status == "LISTEN"
    }
    ports = triton.ports
    assert found == {("127.0.0.1", port) for port in (ports.http, ports.grpc, ports.metrics)}


@pytest.mark.slow
def test_metrics_are_all_that_the_metrics_port_answers(triton):
    paths = [path for path, _ in HTTP_CALLS.values()]
    for path in paths:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"http://127.0.0.1:{triton.ports.metrics}/{path}", data=b"{}", timeout=10)
        caught.value.close()
        assert caught.value.code in (400, 404, 405), path


def _group(pid):
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def test_the_secret_is_the_owners_alone_and_stays(tmp_path):
    secret = admin.secret(tmp_path)
    assert (tmp_path / "triton.secret").stat().st_mode & 0o777 == 0o600
    assert len(secret) == 64
    assert admin.secret(tmp_path) == secret != admin.secret(tmp_path / "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".gitignore", "other", "triton.secret"]
    (tmp_path / "triton.secret").chmod(0o644)
    with pytest.raises(ValueError, match=r"found mode 0644, expected 0600"):
        admin.secret(tmp_path)


def old(tmp_path, **kwargs):
    return lambda runtime: Binary(path=tmp_path / "none", backends=tmp_path, environment={}, **kwargs)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "localhost.example", ""])
def test_an_old_server_binds_loopback_only(tmp_path, monkeypatch, host):
    for release in ("", "24.10", "26.06", "nonsense"):
        monkeypatch.setattr(binary, "find", old(tmp_path, release=release))
        with pytest.raises(TritonUnavailable, match=r"expected 26\.07 or later.*--host 127\.0\.0\.1"):
            TritonServer(tmp_path, ports=Ports.free(), host=host).start()
    for release in ("26.07", "26.12", "27.01"):
        binary.refuse_exposure(host, release)
    for loopback in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        binary.refuse_exposure(loopback, "")


def test_the_wheels_server_counts_as_old(tmp_path):
    assert binary.find(tmp_path).release == ""


def test_the_floor_is_the_images():
    text = (Path(supervisor.__file__).parents[2] / ".ci" / "digests").read_text()
    assert f"nvcr.io/nvidia/tritonserver:{binary.FLOOR}-py3" in text
