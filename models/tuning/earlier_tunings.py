"""What tunings of this and of other apps have come to: what each log was like, and in which order its configurations
came out. A tuning leaves such a record in its app's store; a choice of `candidates = "auto"` has one in it.
"""

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import orjson

from croupier.features.settings import Settings
from croupier.features.store import layout, result_layout
from croupier.features.store.storage import AlreadyExists, StoreError
from croupier.features.workspace import Workspace
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.spaces import distinct

Rungs = Sequence[Sequence[Mapping[str, Any]]]  # trials of each rung, as tuner.said tells them


@dataclass(frozen=True, kw_only=True)
class EarlierTuning:
    """A tuning on features `on` of an app, whose log was like `data` (data_features.py), and its `order` of
    configurations, the best first."""

    app: str
    on: str
    data: Mapping[str, float]
    order: tuple[Configuration, ...]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Reads a record. A configuration that learnt more rows came out before one that learnt fewer, then the higher
        value before the lower; a failed one is behind all of its rung. Raises ValueError where a part is missing."""
        try:
            trials = [trial for rung in reversed(body["rungs"]) for trial in _best_first(rung)]
            return cls(
                app=body["app"],
                on=body["on"],
                data={name: float(value) for name, value in body["data"].items()},
                order=tuple(distinct(Configuration.from_json(trial) for trial in trials)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"tuning: found {body!r:.200}, expected app, on, data and rungs ({error!r})") from None

    def only(self, policies: Container[str]) -> Self:
        """This tuning, as if it had tried configurations of these policies alone."""
        return replace(self, order=tuple(each for each in self.order if each.policy in policies))


def _best_first(rung: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rung, key=lambda trial: -float(trial.get("value", -float("inf"))))


def keep(w: Workspace, on: str, data: Mapping[str, float], rungs: Rungs) -> None:
    """Leaves the record of a tuning in the app's store, once."""
    told = [[{k: v for k, v in trial.items() if k != "cpu_seconds"} for trial in rung] for rung in rungs]
    raw = orjson.dumps({"app": w.settings.app, "on": on, "data": dict(data), "rungs": told})
    with suppress(AlreadyExists):
        w.store.create(result_layout.tuning(on, hashlib.sha256(raw).hexdigest()[:16]), raw)


def known() -> tuple[list[EarlierTuning], dict[str, str]]:
    """Returns the records of every app below CROUPIER_VAR, each log of an app once, the one that tried most; and of
    apps that could not be read, why."""
    found, unread = dict[tuple[str, str], EarlierTuning](), dict[str, str]()
    for app in sorted(path.parent.name for path in Settings().var.glob(layout.DECLARED_APPS)):
        try:
            for each in _of_app(Workspace.open(app)):
                place = (each.app, each.on)
                found[place] = max(found.get(place, each), each, key=lambda tuning: len(tuning.order))
        except (StoreError, ValueError, OSError) as error:
            unread[app] = str(error)
    return list(found.values()), unread


def _of_app(w: Workspace) -> Iterable[EarlierTuning]:
    for key in w.store.list(result_layout.TUNINGS):
        yield EarlierTuning.of(orjson.loads(w.store.get(key)))
    for key in w.store.list(result_layout.CHOICES):
        body = orjson.loads(w.store.get(key))
        if body.get("data"):  # not of an earlier version, nor of a log with too few rows to choose by
            yield EarlierTuning.of(body | {"app": w.settings.app})
