"""The package as others install it: one import name, a light base, and nothing in the way of a caller's own modules."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.serving import apps

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("features", "models", "serving", "dags")
HEAVY = (
    "airflow", "boto3", "great_expectations", "jinja2", "matplotlib", "pandas", "polars", "pyarrow", "pydantic", "rich",
    "safetensors", "scipy", "sklearn", "torch", "typer", "vowpalwabbit",
)  # fmt: skip
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CALL = """
import sys
import models, features                      # the caller's own
from croupier import Client
assert models.MINE and features.MINE
with Client(sys.argv[1], deadline_ms=10_000) as client:
    chosen = client.select(unit_id="u1", context={"hour": 3.0}, arms=["reel-01", "reel-02"])
print(chosen.arm, chosen.role, chosen.propensity)
"""


def tracked(*patterns):
    out = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / line for line in out.splitlines() if (ROOT / line).exists()]


def run(code, folder, *arguments, python=sys.executable):
    return subprocess.run([python, "-c", code, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def of_the_caller(folder):
    (folder / "models.py").write_text("MINE = True\n")
    (folder / "features").mkdir()
    (folder / "features" / "__init__.py").write_text("MINE = True\n")
    return folder


def test_nobody_imports_a_room_by_its_bare_name():
    """A module that is loaded under two names is two modules: its classes are not the same, its state is not shared."""
    bare = []
    for path in tracked("*.py", ":!tests/older"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] in ROOMS for name in names) or getattr(node, "level", 0):
                bare.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not bare, bare
    assert "pythonpath" not in PROJECT["tool"]["pytest"]["ini_options"]


def test_no_room_is_importable_by_its_bare_name(tmp_path):
    for room in ROOMS:
        done = run(f"import {room}", tmp_path)
        assert f"No module named '{room}'" in done.stderr


def test_no_test_loaded_a_room_by_its_bare_name():
    assert not [name for name in sys.modules if name.partition(".")[0] in ROOMS]


@pytest.mark.parametrize("line", ["import croupier", "from croupier import AsyncClient, Client, Refused, Request"])
def test_the_client_brings_nothing_heavy(line, tmp_path):
    done = run(f"import sys; {line}; print(sorted({set(HEAVY)} & set(sys.modules)))", of_the_caller(tmp_path))
    assert done.stdout == "[]\n", done.stderr


def test_every_package_is_listed():
    """What is not listed is not in the wheel."""
    inside = {p.parent.relative_to(ROOT).as_posix() for p in tracked("*__init__.py")} - {"."}
    listed = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted({"croupier", *("croupier." + p.replace("/", ".") for p in inside)})
    folders = {p.parent for p in tracked("features/*.py", "models/*.py", "serving/*.py", "dags/*.py")}
    assert {f.relative_to(ROOT).as_posix() for f in folders if not (f / "__init__.py").exists()} == {
        f"serving/triton/{name}" for name in ("record", "reward", "select_arm")
    }, "a folder of modules without __init__.py; Triton's own model.py files are package data"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from what is tracked alone, so that nothing that lies about gets into it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in tracked():
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(out),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = out.glob("*.whl")
    return made


@pytest.mark.medium
def test_the_wheel_holds_one_import_name_and_every_module(wheel):
    names = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    assert {n.partition("/")[0] for n in names} == {"croupier"}
    sources = tracked(
        "__init__.py",
        "frames.py",
        "features/*.py",
        "models/*.py",
        "serving/*.py",
        "dags/*.py",
        "*.proto",
        "*.pbtxt",
        "*.html.j2",
        "*.css",
        "features/quality/pages/*.js",
        "*.openapi.json",
        "serving/monitoring/*.yml",
        "serving/monitoring/*.json",
    )
    assert names == {f"croupier/{p.relative_to(ROOT)}" for p in sources}


@pytest.fixture(scope="module")
def base(wheel, tmp_path_factory):
    """The interpreter of an environment that holds the wheel's base and what it asks for, nothing else."""
    folder, uv = tmp_path_factory.mktemp("base") / "venv", str(Path(sys.executable).with_name("uv"))
    python = str(folder / "bin" / "python")
    make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]  # pip would take four times as long
    install = [uv, "pip", "install", "--quiet", "--python", python, "-c", str(ROOT / "constraints.txt"), str(wheel)]
    for command in (make, install):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
    return python


@pytest.mark.slow
def test_the_base_alone_selects_an_arm_from_a_folder_with_modules_of_its_own(base, tmp_path):
    from croupier.models.baselines import Uniform
    from croupier.serving.triton.server import Ports
    from tests.serving.ended_at_once import EndedAtOnce

    there = run(
        f"from importlib.util import find_spec; print([m for m in {HEAVY} if find_spec(m)])", tmp_path, python=base
    )
    assert there.stdout == "[]\n", there.stderr
    (tmp_path / "home").mkdir()
    (tmp_path / "caller").mkdir()
    apps.write(tmp_path / "home", Uniform())
    with EndedAtOnce(tmp_path / "home", ports=Ports.free()) as triton:
        done = run(CALL, of_the_caller(tmp_path / "caller"), triton.grpc, python=base)
    arm, role, propensity = done.stdout.split() or [done.stderr, "", ""]
    assert (arm in ("reel-01", "reel-02"), role, propensity) == (True, "champion", "0.5"), arm


@pytest.mark.slow
def test_the_command_of_the_base_says_what_to_install(base):
    command = str(Path(base).with_name("croupier"))
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 1
    assert "found no package 'typer'" in done.stderr
    assert "uv tool install --force '.[pipeline]' --constraints constraints.txt" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_of_another_extra_is_named_with_it():
    from croupier.serving.main import missing

    assert "uv tool install --force 'croupier[airflow] @ WHEEL'" in missing("airflow")
    assert "uv tool install --force 'croupier[gateway] @ WHEEL'" in missing("starlette")
    assert "'great_expectations'" in missing("great_expectations")
    assert "uv tool install --force 'croupier[pipeline] @ WHEEL'" in missing("great_expectations")
    assert "uv tool install --force 'croupier[pipeline] @ WHEEL'" in missing("polars")


@pytest.mark.slow
@pytest.mark.parametrize("torch", [False, pytest.param(True, marks=pytest.mark.full)], ids=["without PyTorch", "whole"])
def test_uv_tool_install_of_the_wheel_puts_the_command_on_the_path(wheel, tmp_path, torch):
    """As README.md says it; into folders of this test's own. PyTorch and what it brings are five gigabytes, which nothing
    that is called here imports."""
    env = os.environ | {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    env |= {"CROUPIER_VAR": str(tmp_path / "var")}
    uv = [str(Path(sys.executable).with_name("uv")), "tool", "install", f"croupier[pipeline] @ {wheel}"]
    never = "torch; python_version < '3'\n"
    (tmp_path / "overrides.txt").write_text("" if torch else never)
    asked = [*uv, "--constraints", str(ROOT / "constraints.txt"), "--overrides", str(tmp_path / "overrides.txt")]
    asked += ["--python", sys.executable]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, env=env, timeout=580)
    assert done.returncode == 0, done.stderr[-2000:]

    def croupier(*words):
        command = [str(tmp_path / "bin" / "croupier"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env, cwd=tmp_path)

    assert croupier("--version").stdout == f"croupier {PROJECT['project']['version']}\n"
    (tmp_path / "log.csv").write_text("arm,propensity,reward,device\n" + "a,0.5,1,tv\nb,0.5,0,phone\n" * 30)
    assert croupier("init", "log.csv", "--app", "shop").returncode == 0
    assert "60 new decisions" in croupier("import", "log.csv", "--app", "shop").stdout
    assert croupier("ope", "log.csv", "--policy", "arm:a").returncode == 0
    no_server = croupier("serve", "up", "--app", "shop")
    assert (no_server.returncode, "croupier[triton]" in no_server.stderr) == (1, True), no_server.stderr
