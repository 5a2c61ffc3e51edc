"""Slates that come over the wire: read, decided together, each answered in its place."""

from collections.abc import Sequence
from contextlib import suppress

from croupier.features.log.spool import Spool
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.schema import InvalidEvent
from croupier.serving.contract.raw_slates import RawSlate, decode, raw_field
from croupier.serving.contract.requests import scope_of
from croupier.serving.contract.slates import Slate, SlateRequest
from croupier.serving.slates.selector import SlateSelector


def slates_of(selector: SlateSelector, spool: Spool | None, raws: Sequence[RawSlate]) -> list[Slate]:
    """Returns one slate a request, in order. What cannot be read is refused by name, and counted; without a spool
    nothing is decided, since a slate that is on no record cannot be rewarded."""
    if spool is None:
        return [Slate(slate_id="", slots=(), error="log: this server keeps none")] * len(raws)
    read = list(map(_read, raws))
    found = iter(selector.select_slates([each for each in read if isinstance(each, SlateRequest)], spool))
    refused = [(raw, each) for raw, each in zip(raws, read, strict=True) if isinstance(each, InvalidEvent)]
    if refused:
        _count(selector, spool, refused)
    return [
        next(found) if isinstance(each, SlateRequest) else Slate(slate_id="", slots=(), error=str(each))
        for each in read
    ]


def _read(raw: RawSlate) -> SlateRequest | InvalidEvent:
    try:
        return decode(raw)
    except InvalidEvent as error:
        return error


def _count(selector: SlateSelector, spool: Spool, refused: Sequence[tuple[RawSlate, InvalidEvent]]) -> None:
    for _, error in refused:
        selector.meter.count("croupier_rejects_total", model="select_arm", field=scope_of(error.field))
    now = selector.clock()
    with suppress(SpoolUnavailable):  # they are refused all the same
        spool.append_rejects(
            [("decision", error.field, raw_field(raw, error.field), str(error), now) for raw, error in refused]
        )
