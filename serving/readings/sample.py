"""What a reader of figures gives: one value of one metric of metrics.py."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from croupier.features.utc import SECOND
from croupier.features.workspace import Workspace


class Sample(NamedTuple):
    """`labels` beside `app`, which whoever collects it adds."""

    name: str
    value: float
    labels: Mapping[str, str] = MappingProxyType({})


Read = Callable[[Workspace, int], Iterator[Sample]]  # of a workspace at a time (UTC µs)


def age(now: int, at: int) -> float:
    """Seconds since a time in UTC µs; clocks differ, so that what is of another host's future is 0 old."""
    return max(0, now - at) / SECOND
