"""Values of a foreign log as `app.toml` declares them: nested objects, numbers written as text, and lists of words.

A list of words is declared as tags; or word by word, `tags.red` as a number: 1 where the list `tags` holds it, else 0.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from croupier.features.encoding.as_sent import flattened, number_in
from croupier.features.encoding.fitted import Fitted
from croupier.features.exchange.cells import unmeasured
from croupier.features.schema import Arm, Decision, InvalidEvent
from croupier.features.spec import AppSpec

SCOPES = ("context", "arm", "arm_context")

_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_CURRENCIES = "€$£¥ \u00a0"


def number_of(value: object) -> float | None:
    """The number that a text writes, digits grouped by commas and with a currency before or behind it, too; None where
    it writes none. Numbers are themselves."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = value.strip().strip(_CURRENCIES).replace("\N{MINUS SIGN}", "-") if isinstance(value, str) else ""
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    return number_in(text)


class DeclaredFeatures:
    """The declared features of each scope, and which values they take."""

    def __init__(self, spec: AppSpec) -> None:
        self.spec = spec
        self._declared = {
            scope: {name: Fitted(name=name, type=f.type, length=f.length) for name, f in getattr(spec, scope).items()}
            for scope in SCOPES
        }

    def decision(self, decision: Decision) -> Decision:
        """The declared features alone, as they are declared. Raises InvalidEvent naming one that is of another type:
        in the log it would stop every training that comes upon it."""
        pairs = tuple(self._row(row, "arm_context") for row in decision.arm_context)
        return replace(
            decision,
            context=self._row(decision.context, "context"),
            arm_context=pairs if any(pairs) else (),
            arm_features=tuple(None if own is None else self._row(own, "arm") for own in decision.arm_features),
        )

    def arms(self, arms: Sequence[Arm]) -> list[Arm]:
        """Returns a catalogue's arms with declared features as declared; what is not declared (titles, links) is
        kept. Raises ValueError naming the arm and the feature."""
        return [replace(arm, features=flattened(arm.features, "arm") | self._of_arm(arm)) for arm in arms]

    def _of_arm(self, arm: Arm) -> dict[str, Any]:
        try:
            return self._row(arm.features, "arm")
        except InvalidEvent as error:  # of a file with a million arms somebody looks for the one
            raise ValueError(f"arm {arm.arm_id}: {error}") from None

    def _row(self, row: Mapping[str, Any], scope: str) -> dict[str, Any]:
        out, row = {}, flattened(row, scope)
        for name, feature in self._declared[scope].items():
            value = _as(row[name], feature.type) if name in row else _holds(row, name)
            if not feature.accepts(value):
                raise InvalidEvent(f"{scope}.{name}", value, feature.expected)
            if value is not None:
                out[name] = value
        return out


def _as(value: Any, kind: str) -> Any:
    if kind in ("embedding", "tags") and isinstance(value, str) and value.lstrip().startswith("["):
        return _list_of(value)
    if kind != "numeric" or not isinstance(value, str):
        return value
    number = number_of(value)
    return number if number is not None else None if unmeasured(value) else value


def _list_of(text: str) -> Any:
    """The list that a cell of a CSV writes as JSON; the text itself where it writes none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _holds(row: Mapping[str, Any], name: str) -> float | None:
    """Tells of a name such as `tags.red` whether the list `tags` holds red; None where there is no such list."""
    whole, dot, word = name.partition(".")
    words = row.get(whole) if dot else None
    return float(word in map(str, words)) if isinstance(words, list) else None
