"""The seam: `Engine.map(function, jobs)` over module-level functions of plain JSON, and the loop that is its default.

What a job comes to depends on the job alone, so it may be computed anywhere, in any order, and twice. Where results are
kept, each is written once, when it is there: a run that was killed goes on with the jobs that are left.
"""

import hashlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import orjson

from croupier.features.engines import torchrun
from croupier.features.store import result_layout
from croupier.features.store.storage import AlreadyExists, Store

Json = Any  # what JSON can say: dicts with names as keys, lists, texts, numbers, true, false and null
Function = Callable[[Json], Json]


class Engine(Protocol):
    """Where jobs are computed."""

    def map(self, function: Function, jobs: Sequence[Json], *, done: Callable[[], object] | None = None) -> list[Json]:
        """Returns what `function` makes of each job, in the order of the jobs. `done` is called after each. An error of
        a job is raised when those that began before have ended. Raises ValueError where the function is not a
        module's own, or a job is not plain JSON."""

    def together(self, function: Function, job: Json, *, workers: int, folder: Path) -> None:
        """Calls `function` with the job in `workers` processes at once, which find each other by the environment that
        torch.distributed reads (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT). Where one dies or fails, all are started
        again, RESTARTS times, so the function goes on from what it keeps in the `folder`, which all of them see. What
        the function returns is not looked at. Raises RuntimeError where it fails for good."""


@dataclass(frozen=True)
class Results:
    """Results in a store below `prefix`, one object a job, named by the function and the job: written once, and never
    changed. Another `prefix` is needed where the same job would come to something else."""

    store: Store
    prefix: str

    def key(self, function: Function, job: Json) -> str:
        """The key of the result of a job."""
        said = orjson.dumps([named(function), job], option=orjson.OPT_SORT_KEYS)
        return result_layout.result(self.prefix, hashlib.sha256(said).hexdigest()[:32])

    def find(self, function: Function, jobs: Sequence[Json]) -> dict[int, Json]:
        """Returns the results that are there, by the job's number."""
        there = set(self.store.list(result_layout.results(self.prefix)))
        keys = {i: self.key(function, job) for i, job in enumerate(jobs)}
        return {i: orjson.loads(self.store.get(key)) for i, key in keys.items() if key in there}

    def keep(self, function: Function, job: Json, result: Json) -> Json:
        """Writes a result unless one is there, and returns the one that is there: that of who was first."""
        key = self.key(function, job)
        with suppress(AlreadyExists):
            self.store.create(key, orjson.dumps(result))
        return orjson.loads(self.store.get(key))


@dataclass(frozen=True)
class LocalEngine:
    """A loop in this process, which is the default."""

    results: Results | None = None

    def map(self, function: Function, jobs: Sequence[Json], *, done: Callable[[], object] | None = None) -> list[Json]:
        """See Engine.map: the jobs one after the other; the first error ends it."""
        return collected(function, jobs, self.results, _loop, done)

    def together(self, function: Function, job: Json, *, workers: int, folder: Path) -> None:
        """See Engine.together: processes of this machine, started and watched by PyTorch's own torchrun."""
        given = plain(job, f"the job of {named(function)}")
        torchrun.launch(named(function), orjson.dumps(given), workers=workers, folder=folder)


def _loop(function: Function, jobs: dict[int, Json]) -> Iterator[tuple[int, Json]]:
    for i, job in jobs.items():
        yield i, plain(function(job), f"{named(function)}: its result")


def collected(
    function: Function,
    jobs: Sequence[Json],
    results: Results | None,
    compute: Callable[[Function, dict[int, Json]], Iterator[tuple[int, Json]]],
    done: Callable[[], object] | None = None,
) -> list[Json]:
    """What engines have in common: jobs whose result is kept are not computed again, and those that are computed are
    kept as they come. `compute` yields (the job's number, its result) in any order."""
    jobs = [plain(job, f"job {i} of {named(function)}") for i, job in enumerate(jobs)]
    found = {} if results is None else results.find(function, jobs)
    for _ in found:
        _ = done and done()
    for i, result in compute(function, {i: job for i, job in enumerate(jobs) if i not in found}):
        found[i] = result if results is None else results.keep(function, jobs[i], result)
        _ = done and done()
    return [found[i] for i in range(len(jobs))]


def named(function: Function) -> str:
    """The function as MODULE:NAME, by which another process finds it. Raises ValueError where none would."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", repr(function))
    there = getattr(importlib.import_module(module), name, None) if module else None
    if there is not function:
        raise ValueError(
            f"function: found {name} of {module or 'no module'}, expected one that its module has by that name: no "
            "lambda, no method and nothing made inside a function, since other processes import it"
        )
    return f"{module}:{name}"


def plain(value: Json, what: str) -> Json:
    """Returns `value` as JSON reads it back. Raises ValueError where JSON cannot say it."""
    try:
        back = orjson.loads(orjson.dumps(value))
    except TypeError as error:
        raise ValueError(f"{what}: found {value!r:.200}, expected plain JSON ({error})") from None
    if back != value:
        raise ValueError(
            f"{what}: found {value!r:.200}, which JSON reads back as {back!r:.200}; expected lists, not tuples, and "
            "finite numbers"
        )
    return back
