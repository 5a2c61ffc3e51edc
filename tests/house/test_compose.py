"""docker-compose.yml without an engine: the schema, its references, its secrets, its interpolation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.rehearsal.compose import TOKEN, Missing, interpolated, required, services
from tests.rehearsal.compose import seconds as compose_seconds

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|FERNET|TOKEN|_KEY$")
OPTIONAL = {"CROUPIER_SIGNING_KEY", "CROUPIER_VERIFY_KEY"}  # files of keys, where releases are signed


def by_schema(path):
    tool = Path(sys.executable).parent / "check-jsonschema"
    command = [tool, "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_is_valid_by_the_compose_schema():
    done = by_schema(ROOT / "docker-compose.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_check_can_fail(tmp_path):
    (tmp_path / "docker-compose.yml").write_text(TEXT.replace("restart: unless-stopped", "restarts: always", 1))
    assert by_schema(tmp_path / "docker-compose.yml").returncode == 1


def test_every_part_is_there():
    assert set(SERVICES) == {
        "postgres",
        "redis",
        "store",
        "store-init",
        "airflow-init",
        "airflow-apiserver",
        "airflow-scheduler",
        "airflow-dag-processor",
        "airflow-triggerer",
        "airflow-worker",
        "triton",
        "shipper",
        "follower",
    }
    commands = {name: service.get("command") for name, service in SERVICES.items()}
    assert commands["airflow-apiserver"] == ["airflow", "api-server"]
    assert commands["triton"] == ["croupier", "serve", "run", "--host", "0.0.0.0"]


def test_dependencies_and_volumes_exist_and_what_is_waited_for_has_a_health():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES, (name, other)
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], (name, other)
        for volume in service.get("volumes", []):
            if volume.endswith(":/croupier/tls:ro"):
                continue  # the one folder of the host
            assert volume.split(":")[0] in COMPOSE["volumes"], (name, volume)


def test_no_secret_has_a_default():
    values = {name for name, kind, _ in TOKEN.findall(TEXT) if SECRET.search(name)} - OPTIONAL
    images = {name for name, kind, _ in TOKEN.findall(TEXT) if name.endswith("_IMAGE")}
    assert values | images | {"CROUPIER_TLS_DIR"} == required(TEXT)
    assert (len(values), len(images)) == (10, 5)


@pytest.mark.parametrize("name", sorted(required(TEXT)))
def test_a_missing_secret_stops_it_and_says_which(name):
    given = dict.fromkeys(required(TEXT) - {name}, "x")
    with pytest.raises(Missing, match=name):
        interpolated(TEXT, given)


def test_interpolated_it_has_no_token_left_and_every_service_shares_one_store():
    text = interpolated(TEXT, {name: f"value-of-{name}" for name in required(TEXT)})
    others = ("${AIRFLOW_ADMIN_PASSWORD}", "${AIRFLOW_IMAGE}")
    assert all(text.count(other) == 1 for other in others), (
        "dollars that the shell and the builder resolve, not compose"
    )
    assert TOKEN.findall(text.replace(others[0], "").replace(others[1], "")) == []
    services = yaml.safe_load(text)["services"]
    ours = [env for s in services.values() if "CROUPIER_STORE" in (env := s.get("environment", {}))]
    assert {env["CROUPIER_STORE"] for env in ours} == {"s3://croupier/default"}
    assert {env["CROUPIER_UNIT_KEY"] for env in ours} == {"value-of-CROUPIER_UNIT_KEY"}
    database = services["airflow-worker"]["environment"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert "value-of-POSTGRES_PASSWORD@postgres" in database


def test_every_setting_named_is_one_of_ours():
    from croupier.features.settings import Settings

    known = {f"CROUPIER_{field.upper()}" for field in Settings.model_fields}
    named = {key for s in SERVICES.values() for key in s.get("environment", {}) if key.startswith("CROUPIER_")}
    assert named
    assert named <= known


def test_nothing_is_open_to_the_network_but_on_loopback():
    ports = [port for s in SERVICES.values() for port in s.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_triton_runs_the_command_that_runs_natively():
    import json

    from typer.testing import CliRunner

    from croupier.serving.cli import app

    build = SERVICES["triton"]["build"]
    image = (ROOT / build["context"] / build["dockerfile"]).read_text()
    last = [line for line in image.splitlines() if line.startswith("CMD ")][-1]
    assert json.loads(last.removeprefix("CMD ")) == SERVICES["triton"]["command"]
    _, *arguments = SERVICES["triton"]["command"]
    shown = CliRunner().invoke(app, [*arguments, "--help"], env={"COLUMNS": "100"})
    assert shown.exit_code == 0, shown.output
    assert "--host" in shown.output


def test_the_sidecars_of_the_server_are_it_but_for_their_command():
    """The same image, settings and volumes; the server is stopped first, so that the shipper has its last rows to ship."""
    triton = SERVICES["triton"]
    commands = {
        "shipper": ["croupier", "ship", "--every", "60"],
        "follower": ["croupier", "release", "follow", "--every", "1"],
    }
    for name, command in commands.items():
        service = SERVICES[name]
        assert service["command"] == command
        same = ("image", "environment", "volumes", "user", "build", "restart", "tmpfs")
        assert {key: service[key] for key in same} == {key: triton[key] for key in same}, name
    assert triton["depends_on"]["shipper"] == {"condition": "service_started"}, "who depends is stopped before"
    assert "triton" not in SERVICES["shipper"]["depends_on"]


def test_what_hosts_share_is_the_redis_of_compose_with_its_password():
    text = interpolated(TEXT, dict.fromkeys(required(TEXT), "value"))
    urls = {
        n: s["environment"]["CROUPIER_REDIS"]
        for n, s in yaml.safe_load(text)["services"].items()
        if "CROUPIER_REDIS" in s.get("environment", {})
    }
    assert {"triton", "shipper", "follower", "airflow-worker"} <= set(urls), (
        "who publishes refuses what a fleet cannot learn"
    )
    assert set(urls.values()) == {"redis://:value@redis:6379/1"}
    broker = COMPOSE["x-airflow"]["environment"]["AIRFLOW__CELERY__BROKER_URL"]
    assert broker.endswith("@redis:6379/0"), "Celery's database is another one"
    assert SERVICES["redis"]["command"][1] == "--requirepass"
    assert SERVICES["triton"]["depends_on"]["redis"] == {"condition": "service_healthy"}
    assert SERVICES["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]
    assert "REDISCLI_AUTH" in SERVICES["redis"]["environment"], (
        "without the password a ping is answered NOAUTH, exit code 0"
    )


def test_who_shares_a_volume_may_write_it():
    """A named volume belongs to the first container that mounts it: airflow-init, as Airflow's user 50000."""
    for name, service in SERVICES.items():
        if any(volume.startswith("home:") for volume in service.get("volumes", [])):
            assert service.get("user", "50000:0") == "50000:0", name
            assert name == "airflow-init" or "airflow-init" in service["depends_on"], name
    assert "mkdir -p -m 775 /croupier/var" in COMPOSE["x-airflow"]["build"]["dockerfile_inline"]


def test_the_doors_are_those_of_the_native_form(tmp_path, monkeypatch):
    """The container runs `croupier serve run`: its Triton gets the same restrictions, with a secret on the volume that
    Airflow's worker, who publishes, shares; TLS and the token are set, as it listens beyond loopback."""
    from croupier.serving.commands.servers.serve import triton
    from croupier.serving.triton import admin, endpoint_security
    from croupier.serving.triton.binary import Binary

    token = "a-token-of-16-and-more"
    given = yaml.safe_load(interpolated(TEXT, dict.fromkeys(required(TEXT), token)))["services"]["triton"][
        "environment"
    ]
    for name, value in given.items():
        if value and ("TLS" in name or name == "CROUPIER_TOKEN"):
            here = tmp_path / Path(value).name if value.startswith("/croupier/tls/") else value
            if value.startswith("/croupier/tls/"):
                here.touch()
            monkeypatch.setenv(name, str(here))
    server = triton(host=SERVICES["triton"]["command"][-1])
    server.home = tmp_path
    server.security.refuse_exposure("0.0.0.0")
    arguments = server._arguments(Binary(path=tmp_path, backends=tmp_path, environment={}), [])
    secret = admin.secret(tmp_path)
    closed = f"model-repository,shared-memory,trace,logging:croupier-admin={secret}"
    asked = f"{endpoint_security.ASKED}:croupier-token={token}"
    for each in (closed, asked):
        assert {f"--http-restricted-api={each}", f"--grpc-restricted-protocol={each}"} <= set(arguments)
    assert {"--grpc-use-ssl=true", "--http-address=127.0.0.1", "--grpc-address=0.0.0.0"} <= set(arguments)
    assert "home:/croupier/var" in SERVICES["triton"]["volumes"]
    assert "home:/croupier/var" in SERVICES["airflow-worker"].get("volumes", COMPOSE["x-airflow"]["volumes"])


def ignored(path):
    """Docker's rule: a pattern covers what it names and everything below; ** is any number of folders."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    above = [str(each) for each in (Path(path), *Path(path).parents)]
    forms = [re.escape(p).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*") for p in patterns]
    return any(re.fullmatch(form, each) for form in forms for each in above)


@pytest.mark.parametrize("secret", [
    ".env", ".env.production", "var/shop/unit.key", "var/shop/triton.secret", "var/airflow/jwt.secret", "unit.key",
    "deep/down/server.key", "tls/server.pem", ".git/config", ".venv/bin/python",
])  # fmt: skip
def test_no_secret_and_no_run_time_data_enters_an_image(secret):
    assert ignored(secret)


def test_what_an_image_needs_enters_it():
    out = subprocess.run(
        ["git", "ls-files", "features", "models", "serving", "dags", "pyproject.toml", "locks"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(out) > 150
    assert [path for path in out if ignored(path)] == []


def test_what_the_rehearsal_starts_is_what_stands_there():
    """Commands, environments, users and waits, with anchors merged and variables in their places."""
    given = {name: f"<{name}>" for name in required(TEXT)} | {"CROUPIER_APP": "shop"}
    found = services(ROOT / "docker-compose.yml", given)
    assert set(found) == set(SERVICES)
    worker, triton, init = found["airflow-worker"], found["triton"], found["airflow-init"]
    assert (worker.command, worker.user, worker.restarts) == (["airflow", "celery", "worker"], "50000:0", True)
    assert worker.environment["DUMB_INIT_SETSID"] == "0"
    assert worker.environment["AIRFLOW__CELERY__BROKER_URL"] == "redis://:<REDIS_PASSWORD>@redis:6379/0"
    assert worker.environment["CROUPIER_STORE"] == "s3://croupier/shop"
    assert worker.waits == {
        "airflow-init": "completed_successfully", "postgres": "healthy", "redis": "healthy",
        "airflow-apiserver": "healthy", "store-init": "completed_successfully",
    }  # fmt: skip
    assert triton.command == ["croupier", "serve", "run", "--host", "0.0.0.0"]
    assert triton.health == ["croupier", "serve", "health"]
    assert triton.waits["shipper"] == "started"
    assert (triton.grace, found["shipper"].grace, worker.grace, found["redis"].grace) == (30.0, 60.0, 600.0, 10.0)
    assert (init.command[:2], init.restarts) == (["/bin/bash", "-c"], False)
    assert '--password "${AIRFLOW_ADMIN_PASSWORD}"' in init.command[2], "a dollar that compose leaves to the shell"
    with pytest.raises(Missing, match="POSTGRES_PASSWORD: password of the database"):
        services(ROOT / "docker-compose.yml", given | {"POSTGRES_PASSWORD": ""})


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30.0), ("1m30s", 90.0), ("2h", 7200.0), ("10m", 600.0)])
def test_a_duration(text, seconds):
    assert compose_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "a while", "1s1m"])
def test_what_is_no_duration_is_named(text):
    with pytest.raises(ValueError, match=f"stop_grace_period: found '{text}'"):
        compose_seconds(text)
