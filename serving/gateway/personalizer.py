"""Azure Personalizer's interface: rank, reward, activate, status, and what can be read of the configuration.

What is not there yet says README.md."""

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from croupier.features.schema import InvalidEvent
from croupier.serving.gateway.body import read, read_object
from croupier.serving.gateway.calls import Endpoint, call, desk_of, route
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.problems import PERSONALIZER, CallProblem, Json
from croupier.serving.gateway.ranking import multislot, rank
from croupier.serving.gateway.ranking.rewards import ONCE, GivenReward, RewardCall, of_event

VERSIONS = ("v1.0", "v1.1-preview.1", "v1.1-preview.2", "v1.1-preview.3")  # alike in what is there
ROOT = f"{PERSONALIZER}{{version}}"
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")  # of a path: a % that begins no byte


def _of_version(endpoint: Endpoint) -> Endpoint:
    """The endpoint under each version of the interface."""

    async def called(request: Request) -> Response:
        _check_version(request.path_params["version"])
        return await endpoint(request)

    return called


def _check_version(version: str) -> None:
    """Raises CallProblem, 404, where it is none of the interface's."""
    if version not in VERSIONS:
        raise CallProblem(404, f"version: found {version[:40]!r}, expected one of {', '.join(VERSIONS)}")


class _Rank:
    """An application of its own, to which app.py hands a call as it is: what starlette makes of one for an endpoint
    costs as much as a sixth of a decision."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises CallProblem."""
        _check_version(scope["path_params"]["version"])
        answer = await scope["app"].state.ranks(await read_object(scope, receive))
        raw = orjson.dumps(answer)
        headers = [(b"content-length", b"%d" % len(raw)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": raw})


def _event_id(request: Request) -> str:
    """The event that a path names, as it was ranked. Raises CallProblem, 400, for bytes that name none: they would be
    put on record as another event, of which nobody knows."""
    raw = request.scope.get("raw_path", b"")
    try:
        if broken := _ESCAPE.search(raw):
            found = raw[broken.start() :][:3].partition(b"/")[0].decode("ascii", "replace")
            raise InvalidEvent("eventId", found, "%25 in a path, where the id has a %: ids are percent-encoded there")
        unquote_to_bytes(raw).decode()
        return rank.no_event_of_ours(str(request.path_params["event_id"]))
    except UnicodeDecodeError as error:
        found = "".join(f"%{each:02X}" for each in error.object[error.start : error.end])
        problem = InvalidEvent("eventId", found, "an id in UTF-8, percent-encoded")
        raise CallProblem(400, str(problem), field="eventId") from None
    except InvalidEvent as error:
        raise CallProblem(400, str(error), field="eventId") from None


def _rewarded(read: Callable[[Mapping[str, Any], str], list[GivenReward]]) -> Endpoint:
    """The endpoint of rewards whose bodies `read` takes apart."""

    async def called(request: Request) -> Response:
        body, once = await read_object(request.scope, request.receive), request.headers.get(ONCE, "")
        event_id = _event_id(request)
        await request.app.state.rewards(RewardCall(event_id=event_id, body=body, reward_id=once, read=read))
        return Response(status_code=204)

    return called


def _activated(which: Callable[[Desk], Callable[[str], None]]) -> Endpoint:
    """The endpoint of activations of `which` the desk takes."""

    async def called(request: Request) -> Response:
        await read(request.scope, request.receive)  # there is nothing in it
        await call(which(desk_of(request)), _event_id(request))
        return Response(status_code=204)

    return called


async def _status(request: Request) -> Response:
    alive, _ = await call(desk_of(request).health)
    return Json({"isAlive": alive}, 200 if alive else 503)


async def _pages(request: Request) -> Response:
    return Json(await call(desk_of(request).multislot, await read_object(request.scope, request.receive)), 201)


async def _service(request: Request) -> Response:
    return Json(await call(desk_of(request).service))


async def _policy(request: Request) -> Response:
    return Json(await call(desk_of(request).policy))


async def _logs(request: Request) -> Response:
    return Json(await call(desk_of(request).logs))


RANK = _Rank()
RANKS = {f"{PERSONALIZER}{version}/rank": {"version": version} for version in VERSIONS}  # path → what stands in it
ROUTES: list[BaseRoute] = [
    Route(f"{ROOT}/rank", RANK, methods=["POST"]),
    *(
        route(f"{ROOT}/{path}", _of_version(endpoint), method)
        for path, endpoint, method in (
            ("events/{event_id:path}/reward", _rewarded(of_event), "POST"),
            ("events/{event_id:path}/activate", _activated(attrgetter("activate")), "POST"),
            ("multislot/rank", _pages, "POST"),
            ("multislot/events/{event_id:path}/reward", _rewarded(multislot.rewards), "POST"),
            ("multislot/events/{event_id:path}/activate", _activated(attrgetter("activate_slots")), "POST"),
            ("status", _status, "GET"),
            ("configurations/service", _service, "GET"),
            ("configurations/policy", _policy, "GET"),
            ("logs/properties", _logs, "GET"),
            ("logs/interactions/properties", _logs, "GET"),
        )
    ),
]
