"""Inline arms, which requests bring along with their own features: rows behind those of the published catalogue.

Their features are declared as those of the catalogue are, [arm.NAME], and become the same columns. Given to an encoder
arm by arm: `arm_features[i]` is empty, or has one entry per candidate of request i, None for an arm of the catalogue.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate, chain, count, repeat
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import orjson

from croupier.features.batch import I64, Bool, Catalogue
from croupier.features.declared.plain_rows import PlainRows
from croupier.features.encoding.as_sent import flattened, with_numbers
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.encoding.validation import Row
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.spec import AppSpec

if TYPE_CHECKING:
    import polars as pl  # the serving path never loads it

    from croupier.features.encoding.encoder import Encoder
    from croupier.features.slates.log_rules import LogRules

Given = Sequence[Row | None]  # of one request
ArmKey = tuple[str, bytes]  # an id, and its features
COLUMN = "arm_features"


def row_of(arm: str, features: Row) -> Row:
    """An arm's own features; `arm_id` may be declared as one, so that a learner can tell arms apart by name."""
    return {**features, "arm_id": arm}


def row_of_arm(arm: Arm, strings: Collection[str]) -> Row:
    """The features of an arm of a catalogue, flat, declared or not (it may carry titles and links); those named in
    `strings` are numbers that may be written as text. Raises InvalidEvent."""
    return row_of(arm.arm_id, with_numbers(flattened(arm.features, f"catalogue.{arm.arm_id}"), strings))


def rows_of_arms(spec: AppSpec, arms: Sequence[Arm]) -> list[Row]:
    """Returns the features of all arms of a catalogue, read as app.toml declares them. Raises InvalidEvent."""
    strings = [name for name, feature in spec.arm.items() if feature.strings]
    return [row_of_arm(arm, strings) for arm in arms]


def ruled_out(spec: AppSpec, arms: Sequence[Arm]) -> "LogRules | None":
    """The rules, segments and what is asked of slates that app.toml declares, over these arms of a catalogue; None
    where it has none."""
    from croupier.features.slates.held import SlateRules
    from croupier.features.slates.log_rules import LogRules  # reads a log, which serving does not

    segments = list(dict.fromkeys(segment for one in spec.constraints for segment in one.segments))
    if not spec.ruling and not segments:
        return None
    known = {a.arm_id: own for a, own in zip(arms, rows_of_arms(spec, arms), strict=True)}
    return LogRules(spec.rules, known, segments, SlateRules.of(spec, known))


def extended(
    encoder: "Encoder", arms: Sequence[Sequence[str]], given: Sequence[Given], catalogue: Catalogue
) -> tuple[Catalogue, Sequence[int] | I64]:
    """Returns the catalogue with the inline arms of these requests, and the row of each candidate, one request after
    the other. Requests that share their lists (the very same objects) share their rows. Raises InvalidEvent on an arm
    that neither has."""
    if not {PlainRows}.issuperset(map(type, given)):
        return _extended(encoder, arms, given, catalogue)
    lists = {
        (id(ids), id(each)): (ids, each) for ids, each in zip(arms, cast("Sequence[PlainRows]", given), strict=True)
    }
    names, size = list(chain.from_iterable(ids for ids, _ in lists.values())), len(catalogue.ids)
    numbers = np.frombuffer(b"".join([each.values[0] for _, each in lists.values()]), np.float64)
    codes = np.frombuffer(b"".join([each.values[1] for _, each in lists.values()]), np.int64)
    whole = catalogue.with_inline(names, encoder.arm_matrix_of(len(names), numbers, codes))
    if len(lists) == len(given):
        return whole, np.arange(size, size + len(names))
    starts = dict(zip(lists, accumulate((len(ids) for ids, _ in lists.values()), initial=size), strict=False))
    return whole, [
        starts[id(ids), id(each)] + i for ids, each in zip(arms, given, strict=True) for i in range(len(ids))
    ]


def _extended(
    encoder: "Encoder", arms: Sequence[Sequence[str]], given: Sequence[Given], catalogue: Catalogue
) -> tuple[Catalogue, list[int]]:
    """As `extended`, from the features themselves."""
    rows, names, own = list[int](), list[str](), list[Row]()
    placed: dict[tuple[int, int], list[int]] = {}
    for ids, each in zip(arms, given, strict=True):
        mine = placed.get((id(ids), id(each)))
        if mine is None:
            mine = placed[id(ids), id(each)] = _placed(ids, each, catalogue, len(catalogue.ids) + len(names))
            brought = [place for place, features in enumerate(each) if features is not None]
            names += [ids[place] for place in brought]
            own += [each[place] for place in brought]  # type: ignore[misc]
        rows += mine
    return _with(encoder, catalogue, names, own), rows


def _placed(ids: Sequence[str], given: Given, catalogue: Catalogue, start: int) -> list[int]:
    """The rows of one request's candidates, its inline arms numbered from `start`."""
    if given and None not in given:
        return [*range(start, start + len(ids))]
    numbers = count(start)
    pairs = zip(ids, given or repeat(None, len(ids)), strict=True)
    return [_published(arm, catalogue) if own is None else next(numbers) for arm, own in pairs]


def extended_by_log(encoder: "Encoder", df: "pl.DataFrame", catalogue: Catalogue) -> tuple[Catalogue, list[int]]:
    """Returns the catalogue with the inline arms of rows of the log, each with equal features once (news is shown to
    many), and the row of each candidate. Raises InvalidEvent on an arm that neither has."""
    rows, found, seen = list[int](), list[tuple[str, Row]](), dict[ArmKey, int]()
    for arm, own in _items(df["arms"].to_list(), given_in(df)):
        if own is None:
            rows.append(_published(arm, catalogue))
            continue
        place = seen.setdefault(_key(arm, own), len(catalogue.ids) + len(found))
        if place == len(catalogue.ids) + len(found):
            found.append((arm, own))
        rows.append(place)
    return _with(encoder, catalogue, [arm for arm, _ in found], [own for _, own in found]), rows


def _items(arms: Sequence[Sequence[str]], given: Sequence[Given]) -> Iterator[tuple[str, Row | None]]:
    return chain.from_iterable(zip(a, g or repeat(None, len(a)), strict=True) for a, g in zip(arms, given, strict=True))


def _with(encoder: "Encoder", catalogue: Catalogue, names: Sequence[str], rows: Sequence[Row]) -> Catalogue:
    if "arm_id" in encoder.arm.span:
        rows = list(map(row_of, names, rows))
    return catalogue.with_inline(names, encoder.arm_matrix(rows))


def _key(arm: str, features: Row) -> ArmKey:
    return arm, orjson.dumps(features, option=orjson.OPT_SORT_KEYS)


def _published(arm: str, catalogue: Catalogue) -> int:
    if arm not in catalogue.row:
        raise InvalidEvent("arms", arm, "an arm_id of the catalogue (retired arms stay in it), or an arm with features")
    return catalogue.row[arm]


def given_in(df: "pl.DataFrame") -> list[Given]:
    """What each row of the log says of its inline arms; a log of before there were any says nothing."""
    if COLUMN not in df.columns:
        return [()] * len(df)
    return [orjson.loads(text) if len(text) > 2 else () for text in df[COLUMN]]


def brought(df: "pl.DataFrame", found: dict[ArmKey, Row] | None = None) -> dict[ArmKey, Row]:
    """The inline arms of a log, each id of equal features once, in the order in which they came: what an encoder is
    fitted on beside the catalogue. Those of a part of a log go behind what was `found` in the parts before it."""
    found = {} if found is None else found
    if COLUMN in df.columns:
        some = df.filter(df[COLUMN].str.len_bytes() > 2)
        for arm, features in _items(some["arms"].to_list(), given_in(some)):
            if features is not None:
                found.setdefault(_key(arm, features), row_of(arm, features))
    return found


def check(encoder: "Encoder", given: Given, catalogue: Catalogue | None, arms: Sequence[str]) -> None:
    """Validates the inline arms of one logged request. An undeclared name is an error; so is the id of an arm of the
    catalogue, whose features are known. Raises InvalidEvent naming the field."""
    places = [i for i, features in enumerate(given) if features is not None]
    encoder.arm.validation.check_all([given[i] for i in places], "arms", places, ".features")
    refuse_listed(given, catalogue, arms)


def taken(encoder: "Encoder", given: Given, undeclared: Undeclared) -> Given:
    """Returns the features of the inline arms of one request as they are declared, None for the others. Raises
    InvalidEvent naming the field."""
    validation = encoder.arm.validation
    if None not in given:
        return validation.taken_all(given, "arms", undeclared, inside=".features")
    places = [i for i, features in enumerate(given) if features is not None]
    rows = [given[i] for i in places]
    found = dict(
        zip(places, validation.taken_all(rows, "arms", undeclared, places=places, inside=".features"), strict=True)
    )
    return [found.get(i) for i in range(len(given))]


def refuse_listed(given: Given, catalogue: Catalogue | None, arms: Sequence[str]) -> None:
    """Raises InvalidEvent where a request brings an arm of the catalogue along."""
    if catalogue is None or catalogue.row.keys().isdisjoint(arms):
        return
    for i, features in enumerate(given):
        if features is not None and arms[i] in catalogue.row:
            expected = "an id that is not in the catalogue: send the id alone, or name the arm otherwise"
            raise InvalidEvent(f"arms[{i}].id", arms[i], expected)


def of_chunk(arm: I64, mask: Bool, size: int) -> tuple[I64, I64, I64]:
    """How a chunk keeps its inline arms. arm (B, K) rows → the rows of the candidates (n,), inline arms numbered from
    `size` in the order in which they are met; the old row of each (m,); how many each request is the first to have
    (B,)."""
    flat, request = arm[mask], np.nonzero(mask)[0]
    own = np.flatnonzero(flat >= size)
    rows, first, inverse = np.unique(flat[own], return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    number = np.empty(len(rows), np.int64)
    number[order] = np.arange(len(rows))
    flat[own] = size + number[inverse]
    met: Any = np.bincount(request[own[first]], minlength=len(arm))
    return flat, rows[order], met
