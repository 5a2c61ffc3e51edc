"""How a route reaches the desk: in a thread, since a decision is on disk before it is answered. Calls that come while
others are decided are decided together, with one write to disk."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, ParamSpec, TypeVar, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.store.storage import StoreError
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.problems import CallProblem

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Endpoint = Callable[[Request], Awaitable[Response]]


def route(path: str, endpoint: Endpoint, method: str) -> Route:
    """A path with its one method."""
    return Route(path, endpoint, methods=[method])


def desk_of(request: Request) -> Desk:
    """The desk of this worker."""
    return cast("Desk", request.app.state.desk)


async def call(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs it in a thread. Raises CallProblem, 503 where the log or the store fails."""
    try:
        return await asyncio.get_running_loop().run_in_executor(None, partial(work, *args, **kwargs))
    except SpoolUnavailable as error:
        raise CallProblem.of(f"log: {error}") from None
    except (StoreError, OSError) as error:
        raise CallProblem(503, f"store: {error}") from None


class Gathered(Generic[Item, T]):
    """`work` takes what waits, at most so many at once, and gives a result or a problem for each, in their order.
    Nobody waits for company: the first call begins at once, those that come meanwhile are the next batch. All calls
    come from one event loop."""

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[T | CallProblem]], most: int = 64) -> None:
        self._work, self._most = work, most
        self._waiting: deque[tuple[Item, asyncio.Future[T]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> T:
        """The result for this one. Raises CallProblem, and what `work` raises."""
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, found))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await found

    async def _run(self) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            results: Sequence[T | Exception]
            try:
                results = await call(self._work, [item for item, _ in taken])
            except Exception as error:  # noqa: BLE001 - it is the callers', of all of them alike
                results = [error] * len(taken)
            for (_, found), result in zip(taken, results, strict=True):
                if found.done():
                    continue  # its caller has hung up; what was decided is on record
                if isinstance(result, Exception):
                    found.set_exception(result)
                else:
                    found.set_result(result)
