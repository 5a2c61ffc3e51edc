"""How a route reaches the desk: in a thread, since a decision is on disk before it is answered."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.store.storage import StoreError
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.problems import CallProblem

P = ParamSpec("P")
T = TypeVar("T")
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
        return await run_in_threadpool(work, *args, **kwargs)
    except SpoolUnavailable as error:
        raise CallProblem.of(f"log: {error}") from None
    except (StoreError, OSError) as error:
        raise CallProblem(503, f"store: {error}") from None
