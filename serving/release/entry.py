"""The Triton entry point that a release carries, and the one that runs.

A release keeps, sealed, the model.py of the version that published it. What runs is always this version's own, since a
former one names modules as they were called then; it takes the place of former ones only, never of foreign code.
"""

import hashlib
import shutil
from pathlib import Path

from croupier.features.store import layout

FORMER_MODELS = frozenset({  # SHA-256 of select_arm/model.py as earlier versions wrote it
    "062870a1c0822d411cdb4ca3779acedd1251bfe79b931f53d9faa2db8eb33746",
    "1078c099ee69c6fb80a1d68cb1501fd3eaf4f282c7b3a5fc3d4f5c200befff15",
    "5cb1eb872110fc34daa71498536cbbae75ae4e5880ac749f08d4fc200d0feacb",
    "e228ce7f25c767a67e48a3c671f1745dca811a287503f51123c17538fac660ed",
    "fc2d5f53eba507c3dfb9155017eddf47c43a58804ccd3116b1db602e0ad32af8",
})  # fmt: skip


def renew(folder: Path, own: Path) -> None:
    """Put `own`, this version's entry point, in the place of a former one that `folder` carries; its bytecode goes
    too."""
    file = folder / layout.MODEL_PY
    if _digest(file) in FORMER_MODELS and _digest(file) != _digest(own):
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        partial = folder / ".model.py.tmp"
        shutil.copyfile(own, partial)
        partial.replace(file)


def stands_for(file: Path, sealed: str, own: Path) -> bool:
    """True if `file` is this version's own entry point and the manifest's seal is on a former one."""
    return sealed in FORMER_MODELS and _digest(file) == _digest(own)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
