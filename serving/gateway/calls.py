"""How a route reaches the desk: in a thread, since a decision is on disk before it is answered. Calls that come while
others are decided are decided together, with one write to disk."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Generic, ParamSpec, TypeVar, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.spec import SpecError
from croupier.features.store.storage import StoreError
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.problems import CallProblem

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Endpoint = Callable[[Request], Awaitable[Response]]
Waiting = tuple[Item, asyncio.Future[T]]


def route(path: str, endpoint: Endpoint, method: str) -> Route:
    """A path with its one method."""
    return Route(path, endpoint, methods=[method])


def desk_of(request: Request) -> Desk:
    """The desk of this worker."""
    return cast("Desk", request.app.state.desk)


async def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs it in a thread. Raises CallProblem, 503 where the log, the store or the app's declaration fails."""
    return await asyncio.get_running_loop().run_in_executor(None, partial(_told, work, *args, **kwargs))


def _told(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Raises CallProblem, 503 where the log, the store or the app's declaration fails."""
    try:
        return work(*args, **kwargs)
    except SpoolUnavailable as error:
        raise CallProblem.of(f"log: {error}") from None
    except SpecError as error:
        raise CallProblem(503, f"declaration: {error}") from None
    except (StoreError, OSError) as error:
        raise CallProblem(503, f"store: {error}") from None


class Gathered(Generic[Item, T]):
    """`work` takes what waits, at most so many at once, and gives a result or a problem for each, in their order.
    Nobody waits for company: the first call begins at once, those that come meanwhile are the next batch. All calls
    come from one event loop; the work has a thread of its own, which goes from batch to batch without asking the loop.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[T | CallProblem]], most: int = 64) -> None:
        self._work, self._most = work, most
        self._asked: list[Waiting[Item, T]] = []  # in this turn of the loop
        self._waiting = SimpleQueue[list[Waiting[Item, T]] | None]()
        self._thread: threading.Thread | None = None

    async def __call__(self, item: Item) -> T:
        """The result for this one. Raises CallProblem, and what `work` raises."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[T] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._pass_on, loop)
        self._asked.append((item, found))
        return await found

    def _pass_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """What was asked in one turn of the loop reaches the thread together."""
        self._waiting.put(self._asked)
        self._asked = []
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=[loop], name="gathered", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Returns when the work under way is done; its results are still handed over. No call may come afterwards."""
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        ready = deque[Waiting[Item, T]]()
        while self._filled(ready):
            batch = [ready.popleft() for _ in range(min(self._most, len(ready)))]
            results: Sequence[T | Exception]
            try:
                results = _told(self._work, [item for item, _ in batch])
            except Exception as error:  # noqa: BLE001 - it is the callers', of all of them alike
                results = [error] * len(batch)
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
                loop.call_soon_threadsafe(_hand_over, [found for _, found in batch], results)

    def _filled(self, ready: deque[Waiting[Item, T]]) -> bool:
        """True once `ready` has what waits; False when it was closed and all is done."""
        while not ready or not self._waiting.empty():
            if (asked := self._waiting.get()) is None:
                self._waiting.put(None)  # for the next look: what came before the end is still done
                return bool(ready)
            ready.extend(asked)
        return True


def _hand_over(waiting: Sequence[asyncio.Future[T]], results: Sequence[T | Exception]) -> None:
    for found, result in zip(waiting, results, strict=True):
        if found.done():
            continue  # its caller has hung up; what was decided is on record
        if isinstance(result, Exception):
            found.set_exception(result)
        else:
            found.set_result(result)
