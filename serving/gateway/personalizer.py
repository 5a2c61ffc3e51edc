"""Azure Personalizer's interface: rank, reward, activate, status, and what can be read of the configuration.

What is not there yet says README.md."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from croupier.serving.gateway.body import read, read_object
from croupier.serving.gateway.calls import Endpoint, call, desk_of, route
from croupier.serving.gateway.problems import PERSONALIZER, CallProblem, Json

VERSIONS = ("v1.0", "v1.1-preview.1", "v1.1-preview.2", "v1.1-preview.3")  # alike in what is there
ROOT = f"{PERSONALIZER}{{version}}"
ONCE = "x-ms-client-request-id"  # tells a reward that is sent again from a second one of the same value


def _of_version(endpoint: Endpoint) -> Endpoint:
    """The endpoint under each version of the interface. Raises CallProblem, 404, under another."""

    async def called(request: Request) -> Response:
        if (version := request.path_params["version"]) not in VERSIONS:
            raise CallProblem(404, f"version: found {version[:40]!r}, expected one of {', '.join(VERSIONS)}")
        return await endpoint(request)

    return called


async def _rank(request: Request) -> Response:
    return Json(await request.app.state.ranks(await read_object(request)), 201)


async def _reward(request: Request) -> Response:
    body, once = await read_object(request), request.headers.get(ONCE, "")
    await call(desk_of(request).reward, request.path_params["event_id"], body, once)
    return Response(status_code=204)


async def _activate(request: Request) -> Response:
    await read(request)  # there is nothing in it
    await call(desk_of(request).activate, request.path_params["event_id"])
    return Response(status_code=204)


async def _status(request: Request) -> Response:
    alive, _ = await call(desk_of(request).health)
    return Json({"isAlive": alive}, 200 if alive else 503)


async def _pages(request: Request) -> Response:
    return Json(await call(desk_of(request).multislot, await read_object(request)), 201)


async def _reward_slots(request: Request) -> Response:
    body, once = await read_object(request), request.headers.get(ONCE, "")
    await call(desk_of(request).reward_slots, request.path_params["event_id"], body, once)
    return Response(status_code=204)


async def _activate_slots(request: Request) -> Response:
    await read(request)
    await call(desk_of(request).activate_slots, request.path_params["event_id"])
    return Response(status_code=204)


async def _service(request: Request) -> Response:
    return Json(await call(desk_of(request).service))


async def _policy(request: Request) -> Response:
    return Json(await call(desk_of(request).policy))


async def _logs(request: Request) -> Response:
    return Json(await call(desk_of(request).logs))


ROUTES: list[BaseRoute] = [
    route(f"{ROOT}/{path}", _of_version(endpoint), method)
    for path, endpoint, method in (
        ("rank", _rank, "POST"),
        ("events/{event_id:path}/reward", _reward, "POST"),
        ("events/{event_id:path}/activate", _activate, "POST"),
        ("multislot/rank", _pages, "POST"),
        ("multislot/events/{event_id:path}/reward", _reward_slots, "POST"),
        ("multislot/events/{event_id:path}/activate", _activate_slots, "POST"),
        ("status", _status, "GET"),
        ("configurations/service", _service, "GET"),
        ("configurations/policy", _policy, "GET"),
        ("logs/properties", _logs, "GET"),
        ("logs/interactions/properties", _logs, "GET"),
    )
]
