"""Segments of requests, which constraints are about: those whose context meets declared conditions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from croupier.features.declared.condition import Between, Condition, all_hold

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class RequestSegment:
    """Requests that meet all conditions of `when`: feature → condition. One that lacks a feature of it is of none."""

    when: Mapping[str, Condition]

    @classmethod
    def of(cls, when: Mapping[str, Condition]) -> Self | None:
        """The segment of these conditions; None where there is none: then every request is meant."""
        return cls(when) if when else None

    @cached_property
    def key(self) -> str:
        """By what it is known: its conditions as JSON, in one order."""
        plain = {name: each.model_dump() if isinstance(each, Between) else each for name, each in self.when.items()}
        return json.dumps(plain, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RequestSegment) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def has(self, context: Row) -> bool:
        """True if a request with this context, flat, is of the segment."""
        return all_hold((condition, context.get(name)) for name, condition in self.when.items()) is True
