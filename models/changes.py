"""Whether the users have changed, asked once for each training: its policies and its verdict share the answer.

features/<key>/change-<before>.json   {"since": UTC µs, "better": standard errors} of the rows before `before`
"""

from dataclasses import asdict

import orjson

from croupier.features.batch import concatenate
from croupier.features.build import Features
from croupier.features.store import layout
from croupier.features.utc import YEAR_2100
from croupier.features.workspace import Workspace
from croupier.models import adaptive_window
from croupier.models.adaptive_window import Choice

NONE = Choice(since=0, better=0.0)
SURE = 8.0  # standard errors: what is logged changes with every release, too, and may look like a small change of users


def change(w: Workspace, features: Features, before: int = YEAR_2100) -> Choice:
    """Where a training on the rows before `before` (UTC µs) should begin; the first rows of all unless the app lets its
    trainings adapt and a change is seen. Whoever asks first keeps the answer in the store."""
    if not w.spec.training.adapt:
        return NONE
    key = features.meta["features"]
    known = kept(w, key, before)
    if known is not None:
        return known
    chunks = [chunk[chunk.at < before] for chunk in features.chunks()]
    rows = [chunk for chunk in chunks if len(chunk)]
    found = adaptive_window.choose(concatenate(rows)) if rows else NONE
    w.store.put(layout.change(key, before), orjson.dumps(asdict(found)))
    return found


def kept(w: Workspace, key: str, before: int) -> Choice | None:
    """What was found in the rows before `before` of the features `key`; None where nobody has asked."""
    raw, version = w.store.read(layout.change(key, before))
    return Choice(**orjson.loads(raw)) if version is not None else None


def missed(found: Choice, trained_until: int, end: int) -> bool:
    """True if the users surely changed and a policy that learnt the rows before `trained_until` has seen less than half
    of what came since (until `end`): most of what it learnt is of other users."""
    return found.better >= SURE and trained_until - found.since < end - trained_until
