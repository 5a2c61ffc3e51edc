"""Services inside their images: each image's files, environment and folder, as a container engine would take them."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.rehearsal import rooms
from tests.rehearsal.running import Place

AT = "images"  # below the root of the rehearsal
USER = 50000  # whom compose has in all images that it builds


@contextmanager
def mounted(images: Mapping[str, str]) -> Iterator[dict[str, dict[str, Any]]]:
    """What is known of the image of each service, as plain JSON, while podman shows its files."""
    names = list(dict.fromkeys(images.values()))
    try:
        known = {image: _known(image) for image in names}
        yield {service: known[image] for service, image in images.items()}
    finally:
        if names:  # podman takes none for a mistake, and a rehearsal without images needs no podman
            _podman("unmount", *names)


def laid(
    root: Path, known: Mapping[str, dict[str, Any]], names: Iterable[str], volumes: dict[str, Path]
) -> dict[str, Place]:
    """Makes a root file system of each image below `root`, and returns where each service runs, once `root` is /."""
    listed, roots = list(names), dict[str, str]()
    for said in known.values():
        if said["files"] not in roots:
            at = f"{AT}/{len(roots)}"
            roots[said["files"]] = f"/{at}"
            rooms.of_image(Path(said["files"]), root / at, names=listed, volumes=volumes)
    return {
        service: Place(environment=said["environment"], root=roots[said["files"]], folder=said["folder"])
        for service, said in known.items()
    }


def _known(image: str) -> dict[str, Any]:
    files = _podman("mount", image).strip()
    said = json.loads(_podman("inspect", image))[0]["Config"]
    environment = dict(word.split("=", 1) for word in said.get("Env", ()))
    folder = said.get("WorkingDir") or "/"
    return {"files": files, "environment": {"HOME": _home(files)} | environment, "folder": folder}


def _home(files: str) -> str:
    """The home of the user as the image knows it; / where it knows no such user."""
    rows = [line.split(":") for line in Path(files, "etc", "passwd").read_text().splitlines()]
    return next((row[5] for row in rows if row[2] == str(USER)), "/")


def _podman(*words: str) -> str:
    return subprocess.run(["podman", "image", *words], check=True, capture_output=True, text=True).stdout
