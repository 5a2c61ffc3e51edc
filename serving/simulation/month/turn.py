"""What the virtual month does beside the turns of the loop (operate/loop.py): catalogues, settings, silence."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence

from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.operate import catalogue_release


def change_catalogue(app: str, arms: Sequence[Arm], now: int) -> list[str]:
    """The owner writes today's arms, if they are others than yesterday's, and the supervisor of `croupier serve`, which
    does not need Airflow, releases them. Returns what became of it; [] where nothing had changed."""
    w = Workspace.open(app)
    if w.arms() == list(arms):
        return []
    catalogue.write(w.home / layout.CATALOGUE, arms)
    return [catalogue_release.look(w, now)]


@contextlib.contextmanager
def settings(**variables: str) -> Iterator[None]:
    """Sets environment variables inside the block; an empty text takes a variable away."""
    before = {name: os.environ.pop(name, None) for name in variables}
    os.environ.update({name: value for name, value in variables.items() if value})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Silences Great Expectations, which logs two lines a validation: a month has 720 of them."""
    loud = logging.getLogger("great_expectations")
    before, loud.disabled = loud.disabled, True
    try:
        yield
    finally:
        loud.disabled = before
