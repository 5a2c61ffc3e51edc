"""The images of docker-compose.yml, built: every step of each Dockerfile is executed, over stand-ins of the base images."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.compose import interpolated
from tests.rehearsal.given import COMPOSE, tracked, variables
from tests.rehearsal.images import bases


def built(python: Path) -> dict[str, str]:
    """Returns the image of each service that compose builds, by the service's name. What is equal is built once;
    `python` is the prefix of an interpreter of the images' version."""
    images: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        tracked(Path(folder))
        given = variables(Path(folder)) | bases.made(python)
        for name, said in yaml.safe_load(COMPOSE.read_text())["services"].items():
            if "build" not in said:
                continue
            image = interpolated(said["image"], given)
            if image not in images.values():
                print(f"rehearsal: building {image} (some minutes)", flush=True)
                _build(said["build"], image, Path(folder), given)
            images[name] = image
    return images


def _build(said: Mapping[str, Any], image: str, context: Path, given: Mapping[str, str]) -> None:
    arguments = {name: interpolated(str(value), given) for name, value in said.get("args", {}).items()}
    with tempfile.TemporaryDirectory() as folder:
        file = context / said["dockerfile"] if "dockerfile" in said else Path(folder) / "Dockerfile"
        if "dockerfile_inline" in said:
            file.write_text(interpolated(said["dockerfile_inline"], given))
        bases.build(file, image, context, arguments)
