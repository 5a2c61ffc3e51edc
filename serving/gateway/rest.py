"""A REST interface of our own: select and reward, one or many a call, the health and the releases of an app."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from croupier.serving.contract.allocations import AllocateRequest
from croupier.serving.contract.inline_arms import ids
from croupier.serving.contract.requests import Request as Question
from croupier.serving.contract.requests import Selection
from croupier.serving.contract.rewards import REJECTED, Outcome
from croupier.serving.gateway.body import read_object
from croupier.serving.gateway.calls import call, desk_of, route
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.problems import CallProblem, Json
from croupier.serving.release import bundle_store

ROOT = "/v1/apps/{app}"
MOST = 1024  # rows of a batch
ASKED = frozenset(("unit_id", "context", "arms", "arm_context", "event_id"))
ALLOCATED = frozenset(("unit_id", "context", "items", "options", "total", "event_id"))
REWARDED = frozenset(("event_id", "kind", "value", "reward_id", "at"))


async def _select(request: Request) -> Response:
    desk, body = _desk(request), await read_object(request.scope, request.receive)
    if "requests" not in body:
        return Json(await request.app.state.selects(body))
    found = await call(selections, desk, _rows(body, "requests"))
    return Json({"selections": [_told(each) for each in found]})


async def _allocate(request: Request) -> Response:
    desk, body = _desk(request), await read_object(request.scope, request.receive)
    if problem := _shape(body, ALLOCATED):
        raise problem
    return Json(await call(allocated, desk, body))


async def _rewards(request: Request) -> Response:
    desk, body = _desk(request), await read_object(request.scope, request.receive)
    if "rewards" not in body:
        return Json(await request.app.state.outcomes(body))
    found = await call(outcomes, desk, _rows(body, "rewards"))
    return Json({"outcomes": [_told(each) for each in found]})


async def _health(request: Request) -> Response:
    well, found = await call(_desk(request).health)
    return Json(found, 200 if well else 503)


async def _releases(request: Request) -> Response:
    rows = await call(bundle_store.listed, _desk(request).embedded.host.w.store)
    told = [{name: row[name] for name in ("number", "status", "policies", "digest")} for row in rows]
    return Json({"releases": told})


ROUTES: list[BaseRoute] = [
    route(f"{ROOT}/select", _select, "POST"),
    route(f"{ROOT}/allocate", _allocate, "POST"),
    route(f"{ROOT}/rewards", _rewards, "POST"),
    route(f"{ROOT}/health", _health, "GET"),
    route(f"{ROOT}/releases", _releases, "GET"),
]


def _desk(request: Request) -> Desk:
    """Raises CallProblem where the path names another app."""
    desk, app = desk_of(request), request.path_params["app"]
    if app != desk.options.app:
        expected = f"{desk.options.app}, which is served here"
        raise CallProblem(404, f"app: found {app[:80]!r}, expected {expected}", field="app")
    return desk


def _rows(body: dict[str, Any], name: str) -> list[Any]:
    rows = body[name]
    if len(body) != 1 or not isinstance(rows, list) or not 0 < len(rows) <= MOST:
        found = f"{len(rows)} of them" if isinstance(rows, list) else type(rows).__name__
        beside = "" if len(body) == 1 else f", beside {sorted(body.keys() - {name})!r:.80}"
        raise CallProblem(400, f"{name}: found {found}{beside}, expected 1 to {MOST} objects, alone", field=name)
    return rows


def _told(found: dict[str, Any] | CallProblem) -> dict[str, Any]:
    """A row of a batch: what was refused stands among what was not."""
    return {"error": found.body()} if isinstance(found, CallProblem) else found


def _shape(row: Any, names: frozenset[str]) -> CallProblem | None:
    """What is wrong with a row before it is a question."""
    if not isinstance(row, dict):
        return CallProblem(400, f"found a JSON {type(row).__name__}, expected an object")
    if names in (ASKED, ALLOCATED) and row.get("unit_id") is None:
        expected = "the id of whom it is decided for: a user, a session, an account"
        return CallProblem(400, f"unit_id: found nothing, expected {expected}", field="unit_id")
    if unknown := row.keys() - names:
        name = min(unknown)[:80]
        return CallProblem(
            400, f"{name}: found an unknown field, expected some of {', '.join(sorted(names))}", field=name
        )
    return None


def selections(desk: Desk, rows: Sequence[Any]) -> list[dict[str, Any] | CallProblem]:
    """Decides rows as they came: the answer to each, or what is wrong with it, in their order."""
    answers: list[dict[str, Any] | CallProblem | None] = [_shape(row, ASKED) for row in rows]
    every = desk.embedded.arms()
    asked = [(i, _question(row, every)) for i, row in enumerate(rows) if answers[i] is None]
    chosen = desk.embedded.select_batch([question for _, question in asked]) if asked else []
    for (i, question), selection in zip(asked, chosen, strict=True):
        answers[i] = CallProblem.of(selection.error) if selection.error else _selection(question, selection)
    return [a for a in answers if a is not None]


def _question(row: dict[str, Any], every: list[str]) -> Question:
    """Arms that are left out, or null, are all that can be chosen now. What is of a wrong type the selector refuses."""
    arms = row.get("arms")
    return Question(
        unit_id=row.get("unit_id", ""),
        context={} if row.get("context") is None else row["context"],
        arms=every if arms is None else arms,
        arm_context=row.get("arm_context") or (),
        event_id="" if row.get("event_id") is None else row["event_id"],
    )


def _selection(question: Question, selection: Selection) -> dict[str, Any]:
    return {
        "event_id": selection.event_id,
        "arm": selection.arm,
        "propensity": selection.propensity,
        "arms": list(ids(question.arms)),
        "pmf": list(selection.pmf),
        "release": selection.release,
        "role": selection.role,
        "dropped": list(selection.dropped),
    }


def allocated(desk: Desk, body: dict[str, Any]) -> dict[str, Any]:
    """Decides one request to allocate. Raises CallProblem."""
    asked = AllocateRequest(
        unit_id="" if body.get("unit_id") is None else body["unit_id"],
        items=body.get("items") or (),
        total=body.get("total"),
        context=body.get("context"),
        options=body.get("options"),
        event_id="" if body.get("event_id") is None else body["event_id"],
    )
    (found,) = desk.embedded.allocate_batch([asked])
    if found.error:
        raise CallProblem.of(found.error)
    return {name: value for name, value in asdict(found).items() if name != "error"}


def outcomes(desk: Desk, rows: Sequence[Any]) -> list[dict[str, Any] | CallProblem]:
    """Takes rewards as they came: what became of each, or what is wrong with it, in their order."""
    answers: list[dict[str, Any] | CallProblem | None] = [_shape(row, REWARDED) for row in rows]
    places = [i for i, answer in enumerate(answers) if answer is None]
    for i, outcome in zip(places, desk.embedded.reward_batch([rows[i] for i in places]), strict=True):
        answers[i] = _outcome(outcome)
    return [a for a in answers if a is not None]


def _outcome(outcome: Outcome) -> dict[str, Any] | CallProblem:
    return CallProblem.of(outcome.error) if outcome.status == REJECTED else {"status": outcome.status}
