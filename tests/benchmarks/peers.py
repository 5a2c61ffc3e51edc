"""The libraries we are measured against, each in an environment of its own under var/bench/, made on first use.

A peer runs in a process of its own, on arrays we give it, on one thread, and prints what it took as JSON.
"""

import json
import os
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np

HOME = Path(__file__).resolve().parents[2] / "var" / "bench"
PACKAGES = {
    "calvera": ("torch==2.13.0", "calvera==1.0.2"),  # torch first, by its pin: its CPU build
    "bayesianbandits": ("bayesianbandits==1.5.0",),
    "mabwiser": ("mabwiser==2.7.4",),
}
UNWANTED = {"calvera": ("torchvision", "torchaudio")}  # built for another torch, and imported where they are found
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def python(peer: str) -> Path:
    """The interpreter of the peer's environment. Raises RuntimeError with pip's last words where it cannot be made."""
    home = HOME / peer
    if not (home / "made").exists():
        venv.create(home, with_pip=True, clear=True)
        pip = [home / "bin" / "python", "-m", "pip", "install", "-q", *PACKAGES[peer]]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{peer}: found no way to install {PACKAGES[peer]}: {done.stderr.strip()[-400:]}")
        if peer in UNWANTED:
            subprocess.run([*pip[:3], "uninstall", "-q", "-y", *UNWANTED[peer]], capture_output=True, check=False)
        (home / "made").touch()
    return home / "bin" / "python"


def run(peer: str, script: str, **arrays: Any) -> Any:
    """What `script` printed as JSON; it finds `arrays` in the .npz file that is its only argument."""
    with tempfile.TemporaryDirectory() as folder:
        data, file = Path(folder, "data.npz"), Path(folder, "peer.py")
        np.savez(data, **arrays)
        file.write_text(script)
        done = subprocess.run(
            [python(peer), file, data], capture_output=True, text=True, check=False, env=os.environ | ONE_THREAD
        )
    if done.returncode:
        raise RuntimeError(f"{peer}: {done.stderr.strip()[-600:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
