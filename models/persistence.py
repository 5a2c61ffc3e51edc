"""How policies are kept: `policy.json` (name, parameters, facts) beside `arrays.safetensors`. Never pickle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

Arrays = dict[str, NDArray[Any]]


def write(folder: Path, name: str, parameters: dict[str, Any], arrays: Arrays, **facts: Any) -> None:
    """Equal input gives equal bytes. `parameters` are the constructor's keywords, `facts` what learning found out."""
    head = {"policy": name, "parameters": parameters, "facts": facts}
    (folder / "policy.json").write_text(json.dumps(head, sort_keys=True, indent=1, allow_nan=False) + "\n")
    if arrays:
        save_file({key: np.ascontiguousarray(a) for key, a in sorted(arrays.items())}, folder / "arrays.safetensors")


def read(folder: Path) -> tuple[dict[str, Any], Arrays, dict[str, Any]]:
    """Returns (parameters, arrays, facts) as `write` was given them."""
    head = json.loads((folder / "policy.json").read_text())
    path = folder / "arrays.safetensors"
    return head["parameters"], load_file(path) if path.exists() else {}, head["facts"]
