"""Lists of inline arms, read in one pass by the features that a release declares for its arms.

A list that is right, as nearly all are, becomes ids, numbers and texts without a dict for each arm. Whatever else a
list may be is left to requests.py and inline_arms.py, which say what is wrong with it.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Annotated, Any

import msgspec
from msgspec.structs import astuple

from croupier.features.declared.plain_rows import PlainRows, Values
from croupier.features.schema import MAX_ARMS, MAX_TEXT, InvalidEvent
from croupier.serving.contract.inline_arms import MAX_ID_CHARACTERS
from croupier.serving.contract.requests import check_size

_ID = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARACTERS)]
_TEXT = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]
_REFUSED = (InvalidEvent, msgspec.MsgspecError, UnicodeError, OverflowError)
_write = msgspec.json.Encoder().encode


class TypedArms:
    """Reads the lists of one release, whose arms have these features and no others: `numbers` and `texts`. No inline
    arm has the id of one that is `published`; `values` is Columns.values of its encoder."""

    def __init__(
        self,
        numbers: Sequence[str],
        texts: Sequence[str],
        values: Callable[[Iterable[float], Iterable[str]], Values],
        *,
        published: frozenset[str],
    ) -> None:
        self._numbers, self._width = len(numbers), len(numbers) + len(texts)
        self._values, self._published = values, published
        self._decode = _decoder(tuple(numbers), tuple(texts))

    def read(self, raw: bytes) -> tuple[tuple[str, ...], PlainRows] | None:
        """Returns the ids and the features of a list in which every arm is an inline arm, complete and right; None for
        any other. The JSON that is kept for the log has the features in the order of `numbers` and `texts`."""
        if not raw.startswith(b"[{"):
            return None
        try:
            check_size("arms", raw)
            arms = self._decode(raw)
            ids, features = [arm.id for arm in arms], [arm.features for arm in arms]
            if not self._are_right(raw, ids):
                return None
            return tuple(ids), PlainRows(len(ids), _write(features), self._values(*self._columns(features)))
        except _REFUSED:
            return None

    def _are_right(self, raw: bytes, ids: Sequence[str]) -> bool:
        """True if the ids are distinct, printable, few enough, and of no published arm."""
        distinct = set(ids)
        return (
            len(distinct) == len(ids) <= MAX_ARMS
            and (_is_printable(raw) or "".join(ids).isprintable())
            and self._published.isdisjoint(distinct)
        )

    def _columns(self, features: Sequence[msgspec.Struct]) -> tuple[Iterable[float], Iterable[str]]:
        """The numbers and the texts, one arm after the other."""
        numbers, width = self._numbers, self._width
        flat: list[Any] = list(chain.from_iterable(map(astuple, features)))
        if width - numbers == 1:  # at the least price
            texts = flat[numbers::width]
            del flat[numbers::width]
            return flat, texts
        columns = [flat[j::width] for j in range(width)]
        return _by_arm(columns[:numbers]), _by_arm(columns[numbers:])


def _by_arm(columns: Sequence[Sequence[Any]]) -> Iterable[Any]:
    return chain.from_iterable(zip(*columns, strict=True))


def _is_printable(raw: bytes) -> bool:
    """True only if no text in this JSON holds anything but printable ASCII: control characters stand in it escaped,
    but for the last one of ASCII."""
    return raw.isascii() and b"\\" not in raw and b"\x7f" not in raw


@lru_cache(maxsize=32)
def _decoder(numbers: tuple[str, ...], texts: tuple[str, ...]) -> Callable[[bytes], list[Any]]:
    """Types are made once for all releases that declare the same."""
    types = [(name, int | float) for name in numbers] + [(name, _TEXT) for name in texts]
    fields = [(f"feature_{i}", kind, msgspec.field(name=name)) for i, (name, kind) in enumerate(types)]
    features = msgspec.defstruct("Features", fields, forbid_unknown_fields=True, gc=False)
    arm = msgspec.defstruct("InlineArm", [("id", _ID), ("features", features)], forbid_unknown_fields=True, gc=False)
    return msgspec.json.Decoder(list[arm]).decode  # type: ignore[valid-type]  # a type that is made here
