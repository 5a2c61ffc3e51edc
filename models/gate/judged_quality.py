"""Whether the hours that an evaluation judges passed their checks, as the condition `data_quality` asks it."""

from collections.abc import Sequence

import numpy as np

from croupier.features.batch import Interactions
from croupier.features.build import Features
from croupier.features.interactions.judged_hours import quality_of
from croupier.features.store.storage import Store
from croupier.features.utc import HOUR, hour_name
from croupier.models.ope.unchecked import Unchecked

SHOWN = 3


def hours_of(log: Interactions) -> list[str]:
    """The hours in which these rows were decided, in order of time."""
    starts = np.unique(log.at // HOUR)
    return [hour_name(int(start) * HOUR) for start in starts]


def quality(store: Store, features: Features, log: Interactions) -> tuple[bool, str, tuple[Unchecked, ...]]:
    """(passed, which did not, what nobody validated). An hour that nobody validated blocks: asking is cheap, and
    nothing else finds what it would have found."""
    found = quality_of(store, features.meta.get("partitions", {}), hours_of(log))
    if found.failed:
        return False, f"{len(found.failed)} hours did not pass: {_some(found.failed)}", ()
    if not found.unknown:
        return True, "", ()
    why = f"{len(found.unknown)} of the hours judged were never validated ({_some(found.unknown)}); run build_features"
    return True, "", (Unchecked(name="data_quality", reason=why, blocks=True),)


def _some(names: Sequence[str]) -> str:
    return "; ".join(names[:SHOWN]) + ("; …" if len(names) > SHOWN else "")
