"""What app.toml said when something was made of it, kept beside that, so that a later change can be named.

features/<key>/meta.json   {"spec": …}   by every encoding; a training, and a release, name their key
"""

from collections.abc import Iterator, Mapping
from math import isinf
from typing import Any

from pydantic import ValidationError

from croupier.features.spec import AppSpec


def kept(spec: AppSpec) -> dict[str, Any]:
    """The declaration as JSON values; an infinity, which JSON has not, is text that `read` understands."""
    return dict(_finite(spec.model_dump(mode="python")))


def read(body: Any) -> AppSpec | None:
    """The declaration that `kept` wrote; None where there is none, or where this version does not know its keys."""
    if not isinstance(body, Mapping):
        return None
    try:
        return AppSpec.model_validate(body)
    except ValidationError:
        return None


def changes(was: AppSpec, now: AppSpec) -> dict[str, tuple[Any, Any]]:
    """Dotted key → (what it was, what it is), of every key that differs; None where it is not there."""
    before, after = dict(_flat(kept(was), "")), dict(_flat(kept(now), ""))
    names = [*after, *(name for name in before if name not in after)]
    return {n: (before.get(n), after.get(n)) for n in names if before.get(n) != after.get(n)}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and isinf(value) else value


def _flat(body: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, value in body.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield path + name, value
