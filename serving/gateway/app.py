"""The gateway as one ASGI application: who may call, which paths there are, and what becomes of a failure."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from croupier.serving.gateway import openapi, personalizer, rest
from croupier.serving.gateway.calls import Gathered, desk_of, route
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.http.workers import end_with_parent
from croupier.serving.gateway.keys import KeyFile
from croupier.serving.gateway.options import Options, loopback
from croupier.serving.gateway.problems import CallProblem, Json
from croupier.serving.triton.processes import settled

log = logging.getLogger(__name__)
THREADS = 40  # calls that block at once: some that wait for a slow store must not keep ranks waiting
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9.-]+)(?::\d+)?")  # name, or address, and port
KEY, BEARER = b"ocp-apim-subscription-key", b"Bearer "


def served() -> "Front":
    """What uvicorn calls in each worker."""
    end_with_parent()
    return application(Options.handed_over(), ready=settled)


def application(options: Options, *, ready: Callable[[], None] = lambda: None) -> "Front":
    """The app opens its desk when the server starts, and then calls `ready`. Raises ValueError where the keys cannot be
    used."""
    keys = KeyFile(Path(options.keys)) if options.keys else None

    @contextlib.asynccontextmanager
    async def opened(app: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        app.state.desk = desk = Desk(options)
        gathered: dict[str, Gathered[Any, Any]] = {
            "ranks": Gathered(desk.ranks),
            "rewards": Gathered(desk.rewards.take),
            "selects": Gathered(partial(rest.selections, desk)),
            "outcomes": Gathered(partial(rest.outcomes, desk)),
        }
        for name, each in gathered.items():
            setattr(app.state, name, each)
        ready()
        try:
            yield
        finally:
            for each in gathered.values():
                each.close()
            desk.close()

    app = Starlette(
        routes=[*personalizer.ROUTES, *rest.ROUTES, route("/openapi.json", _openapi, "GET")],
        exception_handlers={CallProblem: _problem, HTTPException: _http, Exception: _ours},
        lifespan=opened,
    )
    app.router.redirect_slashes = False  # it would send callers to whatever their Host says, and by http
    return Front(app, keys=keys)


class Front:
    """Lets a call in that shows a key; without keys, one that this machine's own programs make. A rank, which is what
    most calls are, goes straight to its endpoint, every other call through `app`."""

    def __init__(self, app: Starlette, *, keys: KeyFile | None) -> None:
        self.app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        answers = self.app.state.desk.answers

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                answers[message["status"]] += 1
            await send(message)

        refused = self._refusal(dict(scope["headers"]))
        if refused is not None:
            return await refused.response(scope["path"])(scope, receive, counted)
        named = personalizer.RANKS.get(scope["path"])
        if named is None or scope["method"] != "POST":
            return await self.app(scope, receive, counted)
        scope["app"], scope["path_params"] = self.app, named
        try:
            return await personalizer.RANK(scope, receive, counted)
        except CallProblem as problem:
            return await problem.response(scope["path"])(scope, receive, counted)
        except Exception as error:
            await _failed(scope, error)(scope, receive, counted)
            raise

    def _refusal(self, headers: Mapping[bytes, bytes]) -> CallProblem | None:
        """`headers` as ASGI has them: lower case; of one that is sent twice the last."""
        if self._keys is None:
            host = headers.get(b"host", b"").decode("latin-1")
            name = _HOST.fullmatch(host)
            if name and loopback(name[1].strip("[]").lower()):
                return None
            # a page of another site whose name was made to point here (DNS rebinding) calls by that name
            return CallProblem(403, f"Host: found {host[:80]!r}, expected this machine's own address, or keys (--keys)")
        bearer = headers.get(b"authorization", b"")
        given = headers.get(KEY, bearer.removeprefix(BEARER) if bearer.startswith(BEARER) else b"")
        if self._keys.known(given.decode("latin-1")):
            return None
        found = "another key than this gateway's" if given else "no key"
        return CallProblem(401, f"Ocp-Apim-Subscription-Key: found {found}, expected one of its keys in this header")


async def _openapi(request: Request) -> Response:
    return Json(openapi.document(desk_of(request).options.app))


def _problem(request: Request, error: Any) -> Response:
    found: Response = error.response(request.scope["path"])
    return found


def _http(request: Request, error: Any) -> Response:
    """Unknown paths and methods, in the shape of their callers."""
    found, headers = f"{request.method} {request.scope['path'][:200]}", error.headers or {}
    expected = f"{headers['Allow']} there" if "Allow" in headers else "a path of /openapi.json"
    expected += ", none of which ends with a slash" * request.scope["path"].endswith("/")
    response = CallProblem(error.status_code, f"path: found {found!r}, expected {expected}").response(
        request.scope["path"]
    )
    response.headers.update(headers)
    return response


def _ours(request: Request, error: Exception) -> Response:
    """What should not happen; Starlette raises it again behind the answer, so that the log has its traceback."""
    return _failed(request.scope, error)


def _failed(scope: Scope, error: Exception) -> Response:
    log.error("%s %s: %s", scope["method"], scope["path"], type(error).__name__)
    said = "found an error of the gateway's own, expected none; its log says more"
    return CallProblem(500, said).response(scope["path"])
