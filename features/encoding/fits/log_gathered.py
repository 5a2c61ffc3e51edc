"""What a log says of declared features, gathered from its parts: contexts and pairs row by row, inline arms once."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, cast

import orjson

from croupier.features.declared.feature import Feature
from croupier.features.encoding import inline
from croupier.features.encoding.fits.gathered import ScopeGathered
from croupier.features.encoding.validation import Row
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec

if TYPE_CHECKING:
    import polars as pl  # the serving path never loads it

    Log = pl.DataFrame | Iterable[pl.DataFrame]  # interactions (arrow.INTERACTIONS), whole or in parts

SLICE = 4096  # rows whose JSON is objects at a time


def log_gathered(
    interactions: "Log", declared: Mapping[str, Mapping[str, Feature]], spec: AppSpec, arms: Sequence[Arm]
) -> dict[str, ScopeGathered]:
    """Returns what the log, and the arms of the catalogue, say of the `declared` features: scope, name → feature."""
    found = {scope: ScopeGathered(features) for scope, features in declared.items()}
    own = dict[inline.ArmKey, Row]()
    for part in _parts(interactions):
        for some in part.iter_slices(SLICE):
            inline.brought(some, own)
            if found["context"]:
                found["context"].add([orjson.loads(text) for text in some["context"]])
            if found["arm_context"]:
                texts = (orjson.loads(text) for text in some["arm_context"])
                found["arm_context"].add(list(chain.from_iterable(texts)))
    found["arm"].add([*inline.rows_of_arms(spec, arms), *own.values()])
    return found


def _parts(interactions: "Log") -> "Iterable[pl.DataFrame]":
    whole = hasattr(interactions, "iter_slices")  # a frame itself: its own items would be its columns
    return [cast("pl.DataFrame", interactions)] if whole else cast("Iterable[pl.DataFrame]", interactions)
