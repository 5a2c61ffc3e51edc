"""Try a release on the real server before it takes traffic: the same folder, loaded under another model name.

`select_arm_trial` records nothing and obeys the unit id "smoke:candidate" | "smoke:champion" as the role, so golden
requests reach both policies and never enter the log. What it answers must equal, to 1e-5, what was computed offline
when the release was written. Then `select_arm` itself loads the version, without unloading the one before: requests in
between would be refused.
"""

import os
import py_compile
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import orjson
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.store.durable import flush
from croupier.serving.contract.inline_arms import mixed
from croupier.serving.release import bundle, entry
from croupier.serving.release.bundle import LoadedRelease, ReleaseRefused
from croupier.serving.release.golden import Golden
from croupier.serving.triton import admin, repository
from croupier.serving.triton.binary import TritonUnavailable
from croupier.serving.triton.endpoint_security import EndpointSecurity

MODEL = repository.SELECT_ARM
TRIAL = "select_arm_trial"
TOLERANCE = 1e-5
LOAD_SECONDS = 180.0


def run(folder: Path, triton_repository: Path, url: str, expected: LoadedRelease) -> int:
    """Load `folder` as the trial model, compare every golden decision, unload. Returns how many were compared.

    Raises ReleaseRefused naming the first difference, or what the server said when it could not load it.
    """
    home = triton_repository.parent
    shutil.rmtree(triton_repository / TRIAL, ignore_errors=True)
    try:
        install(folder, triton_repository, TRIAL)
        try:
            load_model(url, TRIAL, home)
        except InferenceServerException as error:
            if error.status() == "StatusCode.UNAVAILABLE":  # says nothing of the release: worth another try
                raise TritonUnavailable(f"{url}: no Triton answers there ({error.message()})") from None
            raise ReleaseRefused(
                folder, layout.MODEL_PY, f"not loaded by Triton: {error}", "a model it can load"
            ) from None
        return compare(folder, url, expected)
    finally:
        with suppress(InferenceServerException), EndpointSecurity.of(Settings()).client(url) as client:
            client.unload_model(TRIAL, headers=admin.headers(home), client_timeout=LOAD_SECONDS)
        shutil.rmtree(triton_repository / TRIAL, ignore_errors=True)


def compare(folder: Path, url: str, expected: LoadedRelease) -> int:
    """The served pmf of each golden request against the manifest's."""
    security = EndpointSecurity.of(Settings())
    with security.client(url) as client:
        for i, golden in enumerate(expected.golden):
            served = ask(client, TRIAL, f"smoke:{golden.role}", golden, f"smoke-{i}", headers=security.headers)
            pmf, error = served.as_numpy("pmf")[0][: len(golden.arms)], served.as_numpy("error").item().decode()
            if error or np.abs(pmf - golden.pmf).max() > TOLERANCE:
                found = error or f"pmf {np.round(pmf, 6).tolist()}"
                raise ReleaseRefused(folder, f"golden decision {i} ({golden.role})", found, f"pmf {golden.pmf}")
            if int(served.as_numpy("release").item()) != expected.number:
                raise ReleaseRefused(folder, "release", int(served.as_numpy("release").item()), expected.number)
    return len(expected.golden)


def ask(
    client: triton_grpc.InferenceServerClient,
    model: str,
    unit: str,
    golden: Golden,
    event_id: str,
    *,
    headers: Mapping[str, str] | None = None,
) -> triton_grpc.InferResult:
    """Asks for one selection by the wire contract of `select_arm`."""
    values = {
        "unit_id": unit, "context": orjson.dumps(golden.context),
        "arms": orjson.dumps(mixed(golden.arms, golden.arm_features)),
        "arm_context": orjson.dumps(golden.arm_context) if golden.arm_context else b"", "event_id": event_id,
    }  # fmt: skip
    inputs = []
    for name, value in values.items():
        tensor = triton_grpc.InferInput(name, [1, 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[value.encode() if isinstance(value, str) else value]], dtype=np.object_))
        inputs.append(tensor)
    return client.infer(model, inputs, headers=dict(headers or {}), client_timeout=10.0)


def install(folder: Path, triton_repository: Path, model: str) -> Path:
    """Copy a verified release beside the model's versions and rename it to its number. model.py is compiled, since
    a `__pycache__` that appears later makes the next load re-initialise the version."""
    home = triton_repository / model
    home.mkdir(parents=True, exist_ok=True)
    _configure(home, model)
    target = home / folder.name
    draft = home / f".tmp{folder.name}-{uuid.uuid4().hex[:8]}-{os.getpid()}"
    try:
        shutil.copytree(folder, draft)
        entry.renew(draft, bundle.MODEL)
        py_compile.compile(
            str(draft / layout.MODEL_PY), doraise=True, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
        )
        if not target.exists():
            flush(draft)  # half a version after power loss would be refused, or hang Triton
            draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def remove(version: Path) -> None:
    """Take a version out of the repository by one rename: half of one would be refused, or hang the next load."""
    grave = version.with_name(f".old{version.name}-{uuid.uuid4().hex[:8]}-{os.getpid()}")
    version.rename(grave)
    shutil.rmtree(grave, ignore_errors=True)


def load_model(url: str, model: str, home: Path) -> None:
    """Explicit load, with the secret of `home` and a deadline: a version without model.py would hang it for good."""
    with EndpointSecurity.of(Settings()).client(url) as client:
        client.load_model(model, headers=admin.headers(home), client_timeout=LOAD_SECONDS)


def wait_for_release(url: str, number: int, seconds: float = 30.0) -> None:
    """Waits until `select_arm` has this version ready. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    with EndpointSecurity.of(Settings()).client(url) as client:
        while not client.is_model_ready(MODEL, str(number), client_timeout=5.0):
            if time.monotonic() > deadline:
                raise TimeoutError(f"release {number} is not ready {seconds:.0f} s after Triton loaded it; see its log")
            time.sleep(0.05)


def _configure(home: Path, model: str) -> None:
    """config.pbtxt of `select_arm`, or the same under the trial's name, one instance."""
    target = home / layout.CONFIG_PBTXT
    if target.exists():
        return
    text = (Path(repository.__file__).parent / MODEL / layout.CONFIG_PBTXT).read_text()
    if model != MODEL:
        text = re.sub(r"count: \d+", "count: 1", text.replace(f'name: "{MODEL}"', f'name: "{model}"'))
    target.write_text(text)
