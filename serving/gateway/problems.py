"""How a call to the gateway fails, in the two shapes that its callers read.

    CallProblem(RuntimeError)   a status, a sentence (found …, expected …, what to do), and the field where there is one

Personalizer's clients read {"error": {"code", "message", "target", "details"}}; ours read RFC 9457's problem+json.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Self

import orjson
from starlette.responses import Response

PERSONALIZER = "/personalizer/"
_CODES = {401: "Unauthorized", 404: "ResourceNotFound"}


class _Nothing:
    """Shown as what was found where a field is missing."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()


class Json(Response):
    """A JSON answer; orjson writes it several times as fast as Python's own writer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """UTF-8."""
        return orjson.dumps(content)


class CallProblem(RuntimeError):
    """An answer that is no success."""

    def __init__(self, status: int, detail: str, *, field: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail, self.field = status, detail, field

    @classmethod
    def of(cls, said: str) -> Self:
        """The problem behind a refusal "field: found …, expected …". Where the log failed it is ours, and 503."""
        head, found, _ = said.partition(": found ")
        if said.startswith("log: "):
            return cls(503, said)
        return cls(400, said, field=head if found else "")

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Returns this problem under the name that its caller has for the field; `names`: ours → theirs."""
        if self.field not in names or not self.detail.startswith(self.field):
            return self
        mine = names[self.field]
        return type(self)(self.status, mine + self.detail.removeprefix(self.field), field=mine)

    def response(self, path: str) -> Response:
        """The answer, in the shape that callers of this path read."""
        if path.startswith(PERSONALIZER):
            return Json({"error": self._error()}, self.status)
        return Json(self.body(), self.status, media_type="application/problem+json")

    def body(self) -> dict[str, Any]:
        """RFC 9457, with the field as an extension."""
        title = HTTPStatus(self.status).phrase
        whole = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        return whole | ({"field": self.field} if self.field else {})

    def _error(self) -> dict[str, Any]:
        code = "InternalServerError" if self.status >= 500 else _CODES.get(self.status, "BadRequest")
        return {"code": code, "message": self.detail, "target": self.field or None, "details": []}
