"""What the decision of a slot knows of its slate: how many slots it has, what stands above, what is asked of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import orjson

from croupier.features.schema import InvalidEvent

MAX_SLOTS = 100
Shown = str | Mapping[str, Any]  # an id, or {"id", "features"} of an arm that its request brought along
_SHAPE = '{"k": slots, "above": [arms], "minimums": [{"arms", "slots"}]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class SlateSoFar:
    """The next slot of a slate of `k`, below those that show the arms `above`, first slot first. Of an arm that its
    request brought along it has the texts and truths among its features, flat: those that tell its category.
    `minimums` are the request's own (minimums.py)."""

    k: int
    above: tuple[Shown, ...] = ()
    minimums: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, k: int, above: Sequence[Shown], minimums: Sequence[Mapping[str, Any]] = ()) -> Self:
        """From arms as they were asked for."""
        asked = [{"arms": sorted(one["arms"]), "slots": one["slots"]} for one in minimums]
        return cls(k=k, above=tuple(map(_slim, above)), minimums=asked)

    @classmethod
    def read(cls, body: Any) -> Self:
        """From JSON that may say anything. Raises InvalidEvent; minimums are read where they are asked for."""
        if not isinstance(body, dict) or not {"k", "above"} <= body.keys() <= {"k", "above", "minimums"}:
            raise InvalidEvent("slate", body, _SHAPE)
        k, above = body["k"], body["above"]
        if type(k) is not int or not 0 < k <= MAX_SLOTS:
            raise InvalidEvent("slate.k", k, f"1 to {MAX_SLOTS} slots")
        if not isinstance(above, list) or not len(above) < k or not all(map(_is_shown, above)):
            raise InvalidEvent("slate.above", above, f'fewer than {k} arms, each an id or {{"id", "features"}}')
        if len({_id(arm) for arm in above}) != len(above):
            raise InvalidEvent("slate.above", above, "each arm once")
        return cls(k=k, above=tuple(above), minimums=body.get("minimums", []))

    @classmethod
    def recorded(cls, text: str) -> Self | None:
        """From a decision's `slate_so_far`; None where it is no slot of a slate."""
        return cls.read(orjson.loads(text)) if text else None

    def to_json(self) -> str:
        """As it travels, and is on record: the same text for the same slate."""
        minimums = {"minimums": self.minimums} if self.minimums else {}
        body = {"k": self.k, "above": self.above} | minimums
        return orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode()

    @property
    def shown(self) -> list[str]:
        """The ids of the arms above."""
        return [_id(arm) for arm in self.above]

    @property
    def features(self) -> list[Mapping[str, Any] | None]:
        """What is known of the features of each arm above; None for an arm of the catalogue."""
        return [None if isinstance(arm, str) else arm["features"] for arm in self.above]


def _id(arm: Shown) -> str:
    return arm if isinstance(arm, str) else str(arm["id"])


def _is_shown(arm: Any) -> bool:
    if not isinstance(arm, dict):
        return isinstance(arm, str)
    return arm.keys() == {"id", "features"} and isinstance(arm["id"], str) and isinstance(arm["features"], dict)


def _slim(arm: Shown) -> Shown:
    return arm if isinstance(arm, str) else {"id": arm["id"], "features": dict(_words(arm.get("features"), ""))}


def _words(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The texts and truths within an arm's features, by their dotted names."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _words(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, str | bool):
        yield name, value
