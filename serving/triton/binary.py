"""Where a tritonserver is: NVIDIA's own installation (their image), else inside the PyPI wheel `nvidia-pytriton`.

The wheel's server (2.51.0 = 24.10) is for demo, development and CI, on loopback only: it predates a dozen security
bulletins. Its python backend needs a stub for this very minor version of Python, and numpy < 2: with numpy 2 it
answers OK with empty tensors. Nothing in site-packages is touched: the backend is put together in a folder of ours.
"""

import ctypes
import importlib.util
import os
import platform
import re
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from croupier.serving.client.secure import loopback

IMAGE_ROOT = Path("/opt/tritonserver")
FLOOR = "26.07"  # the first of NVIDIA's releases without a published vulnerability when this was written


class TritonUnavailable(RuntimeError):
    """No Triton can run here, or it did not come up. The message says what was found and what to do."""


@dataclass(frozen=True, kw_only=True)
class Binary:
    """`path` of the executable, its `backends` folder, what it needs in its environment, and NVIDIA's release
    (YY.MM; "" where nothing says which: the wheel's is an old one)."""

    path: Path
    backends: Path
    environment: dict[str, str]
    release: str = ""


def find(runtime: Path) -> Binary:
    """The server to run; `runtime` is a folder of ours for the parts of the wheel's. Raises TritonUnavailable."""
    installed = IMAGE_ROOT / "bin" / "tritonserver"
    if installed.exists():
        return Binary(
            path=installed,
            backends=IMAGE_ROOT / "backends",
            environment={},
            release=os.environ.get("NVIDIA_TRITON_SERVER_VERSION", ""),
        )
    return _from_wheel(runtime)


def require() -> None:
    """Raises TritonUnavailable where there is no server to start, before anything is started to look for it."""
    if not (IMAGE_ROOT / "bin" / "tritonserver").exists():
        _package()


def refuse_exposure(host: str, release: str) -> None:
    """Raises TritonUnavailable where a server older than FLOOR, or of unknown age, would listen beyond this machine."""
    if loopback(host) or (re.fullmatch(r"\d\d\.\d\d", release) and release >= FLOOR):
        return
    raise TritonUnavailable(
        f"host {host!r}: found Triton {release or 'of the PyPI wheel (24.10)'}, expected {FLOOR} or later: what lies "
        "before has published vulnerabilities; use --host 127.0.0.1, or NVIDIA's image (docker-compose.yml)"
    )


def _package() -> Path:
    """The folder of the wheel's package."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        found = f"{sys.platform} {platform.machine()}"
        raise TritonUnavailable(f"Triton runs on Linux x86-64, found {found}: use NVIDIA's image there")
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise TritonUnavailable(
            "no tritonserver found: install croupier[triton] (in a checkout: uv tool install --force "
            "'.[airflow,triton]' --constraints constraints.txt), or use NVIDIA's image"
        )
    return Path(spec.origin).parent


def _from_wheel(runtime: Path) -> Binary:
    package = _package()
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = package / "tritonserver" / "python_backend_stubs" / minor / "triton_python_backend_stub"
    if not stub.exists():
        raise TritonUnavailable(f"the wheel has no backend for Python {minor}: use Python 3.11 or 3.12")
    _refuse_numpy_2()
    backends = _assemble(package / "tritonserver", stub, runtime)
    libraries = os.pathsep.join([str(package.parent / "nvidia_pytriton.libs"), *libpython(minor)])
    # The stub takes its interpreter's home from the first python3 on PATH: ours must be that one.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return Binary(
        path=runtime / "tritonserver", backends=backends, environment={"LD_LIBRARY_PATH": libraries, "PATH": path}
    )


def libpython(minor: str) -> list[str]:
    """Folders that the stub's shared `libpython` is in: this interpreter's own, where it came with one, since another
    build of the same version may lie on the system's path. Empty: the system's. Raises TritonUnavailable."""
    name = f"libpython{minor}.so.1.0"
    own = [sysconfig.get_config_var("LIBDIR") or "", str(Path(sys.base_prefix) / "lib")]
    if found := [folder for folder in own if (Path(folder) / name).exists()]:
        return found[:1]
    try:
        ctypes.CDLL(name)
    except OSError:
        raise TritonUnavailable(
            f"found no {name} beside {sys.executable}, Triton's Python backend needs it: install it (Debian: "
            f"libpython{minor}), or use a Python built with --enable-shared: make PYTHON=/path/to/python{minor}"
        ) from None
    return []


def _refuse_numpy_2() -> None:
    import numpy as np

    if int(np.__version__.split(".")[0]) >= 2:
        raise TritonUnavailable(f"found numpy {np.__version__}: this Triton answers empty tensors with it; use numpy<2")


def _assemble(server: Path, stub: Path, runtime: Path) -> Path:
    """Copy what must be executable or lie side by side; each lands by rename, so a killed copy leaves no half file."""
    python = runtime / "backends" / "python"
    python.mkdir(parents=True, exist_ok=True)
    sources = [*(server / "backends" / "python").glob("*.*"), stub]
    for source in sources:
        _copy(source, python / source.name)
    _copy(server / "bin" / "tritonserver", runtime / "tritonserver")
    return python.parent


def _copy(source: Path, target: Path) -> None:
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, partial)
    partial.chmod(0o755)
    partial.replace(target)
