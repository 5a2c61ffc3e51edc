"""One turn of every DAG, by the functions that its tasks call, at the time that the virtual clock shows.

    collect_events   collect → restate          build_features   collect → join → validate → encode, for what is due
    train_and_gate   plan → train → judge → publish, when encode found a training due
    watch_rollout    look                           supervisor       releases a catalogue.json that was changed

dags/*.py are thin: tests/serving/simulation/test_month.py holds that each of these functions is what the DAG of that
name calls.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from croupier.features import build, scheduled, upkeep
from croupier.features.encoding import catalogue
from croupier.features.schema import Arm
from croupier.features.workspace import Workspace
from croupier.models import training
from croupier.serving.operate import catalogue_release, promotion, watch


def collect_events(app: str) -> dict[str, Any]:
    """Ships the log and joins again the hours that late events changed."""
    build.collect(app)
    return upkeep.restate(app)


def build_features(app: str) -> str:
    """Builds the hours that are due; the key of the features if a training is due, else ""."""
    build.collect(app)
    scheduled.validate(app, None, scheduled.join(app, None))
    return str(scheduled.encode(app, None)["features"])


def train_and_gate(app: str, features: str) -> dict[str, Any]:
    """Trains, judges and publishes; returns the verdict, with what was published under "published"."""
    jobs = [training.train(**job) for job in training.plan([(app, features)])]
    (verdict,) = training.judge(jobs)
    return verdict | {"published": promotion.publish_verdict(verdict)}


def watch_rollout(app: str) -> dict[str, Any]:
    """Looks at the rollout once."""
    return watch.watch(app)


def change_catalogue(app: str, arms: Sequence[Arm], now: int) -> list[str]:
    """The owner writes today's arms, if they are others than yesterday's, and the supervisor of `croupier serve`, which
    does not need Airflow, releases them. Returns what became of it; [] where nothing had changed."""
    w = Workspace.open(app)
    if w.arms() == list(arms):
        return []
    catalogue.write(w.home / "catalogue.json", arms)
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
