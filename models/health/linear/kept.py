"""What the rows of the last training say of linear models: examined once, and kept beside its features.

features/<key>/linear.json    the fit (failure.py) as JSON; null where rows were too few
"""

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import orjson

from croupier.features.batch import Interactions, concatenate
from croupier.features.build import Features
from croupier.features.interactions import window
from croupier.features.store import layout
from croupier.features.store.storage import AlreadyExists
from croupier.features.workspace import Workspace
from croupier.models.health.linear.failure import ROWS, LinearFit, examine


def of_last_training(w: Workspace) -> LinearFit | None:
    """Returns the fit; None before a training has come to a verdict, where its rows are too few, or where retention or
    `croupier forget` deleted them before anybody asked."""
    key = window.last_features(w.store)
    if not key:
        return None
    raw, version = w.store.read(layout.linear_fit(key))
    if version is None:
        try:
            raw = orjson.dumps(_examined(w, key))
        except (KeyError, ValueError):
            return None
        with suppress(AlreadyExists):  # whoever was quicker looked at the same rows
            w.store.create(layout.linear_fit(key), raw)
    found = orjson.loads(raw)
    return LinearFit.from_dict(found) if found else None


def _examined(w: Workspace, key: str) -> dict[str, object] | None:
    with tempfile.TemporaryDirectory() as scratch:
        features = Features.fetch(w.store, key, Path(scratch))
        encoder = features.encoder
        log = concatenate(tail(features.chunks(), ROWS))
    fit = examine(log, [*encoder.context_names, *encoder.pair_names], seed=w.spec.policies.seed)
    return fit.to_dict() if fit else None


def tail(chunks: Iterable[Interactions], rows: int) -> list[Interactions]:
    """Returns the last chunks that hold `rows` rows together; no more than these are in memory."""
    kept: list[Interactions] = []
    for chunk in chunks:
        kept.append(chunk)
        while sum(map(len, kept[1:])) >= rows:
            kept.pop(0)
    return kept
