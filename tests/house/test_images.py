"""Containers by their configuration: who they run as, what they may write, where they come from, which ports they open."""

import re
import subprocess

import pytest

from tests.house.test_compose import COMPOSE, ROOT, SERVICES, TEXT

DIGESTS = (ROOT / ".ci" / "digests").read_text()
DOCKERFILE = (ROOT / "serving" / "triton" / "Dockerfile").read_text()
# service: port inside → (protocol, who may call it, what it asks for). A port that is not here is unknown.
PORTS = {
    "postgres": {5432: "the compose network: password"},
    "redis": {6379: "the compose network: password"},
    "store": {8333: "the compose network: access key; the others of SeaweedFS: the compose network"},
    "airflow-apiserver": {8080: "this host's loopback: login"},
    "airflow-worker": {8793: "the compose network: logs, by a signed token"},
    "airflow-triggerer": {8794: "the compose network: logs, by a signed token"},
    "triton": {8001: "this host's loopback: TLS and token", 8002: "this host's loopback: numbers to read"},
}


def published(service):
    return {int(port.rpartition(":")[2]) for port in service.get("ports", [])}


def test_every_published_port_is_known_and_on_this_hosts_loopback():
    """One more, or one on another address, fails here; Triton's HTTP (8000) stays within its container."""
    assert {name: published(s) for name, s in SERVICES.items() if published(s)} == {
        "airflow-apiserver": {8080},
        "triton": {8001, 8002},
    }
    assert all(port.startswith("127.0.0.1:") for s in SERVICES.values() for port in s.get("ports", []))
    assert all(published(s) <= set(PORTS.get(name, {})) for name, s in SERVICES.items())
    for name, service in SERVICES.items():
        assert not {"expose", "network_mode", "networks", "pid", "ipc", "privileged", "devices", "cap_add"} & set(
            service
        ), name
    assert "networks" not in COMPOSE


def test_every_port_named_in_a_command_or_address_is_known():
    known = {port for ports in PORTS.values() for port in ports}
    named = {int(port) for port in re.findall(r"(?:[a-z0-9}]:|port=)(\d{4,5})\b", TEXT)} - {
        50000,
        1000,
    }  # a user, a group
    assert named - known - {9333} == set(), "9333: SeaweedFS's master, asked by store-init"
    assert {int(p) for line in re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.M) for p in line.split()} <= set(
        PORTS["triton"]
    )


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_container_may_gain_privileges_or_write_its_root(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name not in ("store", "store-init"):  # whose image says nothing of a user
        user = service["user"].partition(":")[0]
        assert user.isdecimal()
        assert int(user) > 0


def test_what_is_written_lies_on_a_volume_or_in_memory():
    """Each folder that a service is told to write to."""
    written = {"triton": ["/croupier/var", "/tmp"], "shipper": ["/croupier/var", "/tmp"], "follower": ["/croupier/var", "/tmp"], "postgres": ["/var/lib/postgresql/data", "/tmp", "/var/run/postgresql"],
               "redis": ["/data"], "store": ["/data", "/tmp"]}  # fmt: skip
    written |= {
        name: ["/croupier/var", "/opt/airflow/logs", "/opt/airflow/run", "/tmp"]
        for name in SERVICES
        if name.startswith("airflow")
    }
    for name, folders in written.items():
        service = SERVICES[name]
        there = {v.split(":")[1] for v in service.get("volumes", []) if not v.endswith(":ro")}
        there |= {t.split(":")[0] for t in service.get("tmpfs", [])}
        assert set(folders) <= there, name
    airflow = COMPOSE["x-airflow"]["environment"]
    assert (airflow["AIRFLOW_HOME"], airflow["AIRFLOW__LOGGING__BASE_LOG_FOLDER"]) == (
        "/opt/airflow/run",
        "/opt/airflow/logs",
    )
    assert SERVICES["redis"]["command"][0] == "redis-server"


def test_images_come_by_digest_alone():
    """Whatever is not built here is named by a variable without a default, and `.ci/digests` fills it with a digest."""
    filled = dict(re.findall(r"^([A-Z0-9]+_IMAGE) (\S+)$", DIGESTS, re.M))
    assert set(re.findall(r"\$\{(\w+_IMAGE):\?", TEXT)) == set(filled)
    for name, service in SERVICES.items():
        built = "build" in service and service["image"].startswith("croupier-")
        assert built or re.fullmatch(r"\$\{\w+_IMAGE:\?[^}]*\}", service["image"]), name
    froms = re.findall(r"^\s*FROM (.*)$", TEXT + "\n" + DOCKERFILE, re.M)
    assert froms == ["$${AIRFLOW_IMAGE}", "${TRITON_IMAGE}"]


@pytest.mark.parametrize(("answer", "code"), [("sha256:" + "a" * 64, 0), ("", 1), ("latest", 1)])
def test_digests_are_written_whole_or_not_at_all(tmp_path, answer, code):
    """With a program in Docker's place that answers as a registry would, and as a broken one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(f"#!/bin/sh\necho '\"{answer}\"'\n")
    (tmp_path / "bin" / "docker").chmod(0o755)
    done = subprocess.run(
        ["bash", ROOT / ".ci" / "digests", tmp_path / "images.env"], capture_output=True, text=True, check=False,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert (tmp_path / "images.env").exists() == (code == 0)
    if code == 0:
        lines = (tmp_path / "images.env").read_text().splitlines()
        assert len(lines) == 5
        assert all(re.fullmatch(r"[A-Z0-9]+_IMAGE=\S+:\S+@sha256:a{64}", line) for line in lines)
    else:
        assert "expected sha256:" in done.stderr
