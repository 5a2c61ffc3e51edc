"""The model repository on disk: which models and versions are there, and are they whole.

    <home>/triton/select_arm/config.pbtxt   <home>/triton/select_arm/<release>/  model.py + the release's own files
    <home>/triton/reward/config.pbtxt       <home>/triton/reward/1/model.py        and the same for `record`

A version directory without model.py hangs Triton's load call for good, and later loads too, so it is
refused here, before the server sees it. Files are rewritten only when they differ: a touched file re-inits a model.
"""

import py_compile
from pathlib import Path

from croupier.serving.release import entry

SELECT_ARM = "select_arm"
REWARD, RECORD = "reward", "record"
MODELS = (SELECT_ARM, REWARD, RECORD)
_SOURCES = Path(__file__).parent


def prepare(repository: Path) -> list[str]:
    """Write our models' files, and return the names that can be loaded: `select_arm` only once a release is there."""
    for name in MODELS:
        _write(repository / name / "config.pbtxt", (_SOURCES / name / "config.pbtxt").read_bytes())
    for name in (REWARD, RECORD):
        _write(repository / name / "1" / "model.py", model_file(name))
    for name in MODELS:
        for version in versions(repository, name):
            folder = repository / name / str(version)
            if not (folder / "model.py").is_file():
                raise ValueError(f"{folder}: found no model.py; Triton would hang on it: remove the folder")
            entry.renew(folder, _SOURCES / name / "model.py")
            precompile(folder)
    return [REWARD, RECORD, *([SELECT_ARM] if versions(repository, SELECT_ARM) else [])]


def precompile(folder: Path) -> None:
    """Write model.py's bytecode now: the stub writes it when it is missing (it ignores PYTHONDONTWRITEBYTECODE), and
    a file that appears in a version's folder makes the next load start that version over."""
    checked = py_compile.PycInvalidationMode.CHECKED_HASH  # valid whatever the file's time stamp
    if not (folder / "__pycache__").exists():
        py_compile.compile(str(folder / "model.py"), doraise=True, invalidation_mode=checked)


def model_file(name: str) -> bytes:
    """The thin model.py of one of MODELS, to be copied into each version's directory."""
    return (_SOURCES / name / "model.py").read_bytes()


def versions(repository: Path, name: str) -> list[int]:
    """Numbers of the version directories, ascending. Half-written ones start with a dot and do not count."""
    folder = repository / name
    inside = folder.iterdir() if folder.exists() else ()
    return sorted(int(each.name) for each in inside if each.is_dir() and each.name.isdigit())


def _write(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_bytes(content)
    partial.replace(path)
