"""Several apps in one run of `train_and_gate`: what is broken in one keeps no other back, and is told by name.

A run that the asset wakes is for every app whose features came meanwhile. One app.toml that cannot be read, one
training that fails each time, would else stop the trainings of all apps for good.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

log = logging.getLogger(__name__)


class EachApp:
    """Does something for each app. `failed`: why it failed, by app. `again`: whether the task has tries left."""

    def __init__(self, *, again: bool = False) -> None:
        self.failed: dict[str, Exception] = {}
        self._again = again

    def done(self, do: Callable[[Any], Any], of: Iterable[tuple[str, Any]]) -> list[Any]:
        """What `do` returned for each (app, what is given), but for those that failed. Raises what the first of them
        raised where all failed; or where one may not fail when the task is tried again: what is wrong with a value
        (ValueError) stays wrong."""
        results = []
        for app, given in of:
            try:
                results.append(do(given))
            except Exception as error:  # whatever it is, it is that app's
                log.exception("%s failed", app)
                self.failed[app] = error
        passing = [e for e in self.failed.values() if self._again and not isinstance(e, ValueError)]
        for first in passing if results else self.failed.values():
            raise first
        return results

    def or_raise(self) -> None:
        """Raises what it was for one app, or RuntimeError naming all that failed, if any did."""
        if len(self.failed) == 1:
            raise next(iter(self.failed.values()))
        if self.failed:
            raise RuntimeError(_sentences(self.said()))

    def said(self) -> dict[str, str]:
        """What failed, by app, in words."""
        return {app: f"{type(error).__name__}: {error}" for app, error in self.failed.items()}


def trained_whole(
    planned: Sequence[Mapping[str, str]] | None, trained: Iterable[Mapping[str, str]] | None
) -> list[tuple[str, list[dict[str, str]]]]:
    """(app, its trained jobs) of each app all of whose policies were trained. A family that is missing would end the
    process that judges the others, and its error would be spent anew. None: the task before came to no end."""
    planned = planned or []
    found: dict[str, list[dict[str, str]]] = {job["app"]: [] for job in planned}
    for job in trained or []:
        found[job["app"]].append(dict(job))
    asked = {app: sum(job["app"] == app for job in planned) for app in found}
    return [(app, jobs) for app, jobs in found.items() if len(jobs) == asked[app]]


def or_raise(
    planned: Sequence[Mapping[str, str]] | None,
    done: Iterable[Mapping[str, Any]] | None,
    failed: Iterable[Mapping[str, str]],
) -> None:
    """Raises RuntimeError naming each app that came to no end, and why, where it is known."""
    if planned is None:
        raise RuntimeError("no app came to an end: `plan` failed, its log says why")
    why = {job["app"]: "a training failed: the logs of `train` say why" for job in planned}
    why = {app: text for app, text in why.items() if app not in {outcome["app"] for outcome in done or []}}
    for each in failed:
        why |= each
    if why:
        raise RuntimeError(_sentences(why))


def _sentences(why: Mapping[str, str]) -> str:
    return "; ".join(f"{app}: {text}" for app, text in sorted(why.items()))
