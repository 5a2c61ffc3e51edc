"""Azure Personalizer's interface, version 1.0: rank, reward, activate, status. What is not there yet says README.md."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from croupier.serving.gateway.body import read, read_object
from croupier.serving.gateway.calls import call, desk_of, route
from croupier.serving.gateway.problems import PERSONALIZER

ROOT = f"{PERSONALIZER}v1.0"
ONCE = "x-ms-client-request-id"  # tells a reward that is sent again from a second one of the same value


async def _rank(request: Request) -> Response:
    return JSONResponse(await call(desk_of(request).rank, await read_object(request)), 201)


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
    return JSONResponse({"isAlive": alive}, 200 if alive else 503)


ROUTES: list[BaseRoute] = [
    route(f"{ROOT}/rank", _rank, "POST"),
    route(f"{ROOT}/events/{{event_id:path}}/reward", _reward, "POST"),
    route(f"{ROOT}/events/{{event_id:path}}/activate", _activate, "POST"),
    route(f"{ROOT}/status", _status, "GET"),
]
