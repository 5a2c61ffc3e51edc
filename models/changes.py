"""Whether the users have changed, asked once for each training: its policies and its verdict share the answer.

Two look for it: the window that adapts ([training] adapt), and health, where the app asks for more than an alarm
([health] on_change = "discount" or "reset_head"; models/health/noted.py).

features/<key>/change-<before>.json   {"since": UTC µs, "better": standard errors, "changed": UTC µs, "weight"} of the
                                      rows before `before`
"""

from dataclasses import asdict, replace

import orjson

from croupier.features.batch import Interactions, concatenate
from croupier.features.build import Features
from croupier.features.store import layout
from croupier.features.utc import YEAR_2100
from croupier.features.workspace import Workspace
from croupier.models import adaptive_window
from croupier.models.adaptive_window import Choice
from croupier.models.health import noted

NONE = Choice(since=0, better=0.0)
SURE = 8.0  # standard errors: what is logged changes with every release, too, and may look like a small change of users


def change(w: Workspace, features: Features, before: int = YEAR_2100) -> Choice:
    """Where a training on the rows before `before` (UTC µs) should begin, and what older rows count; all of all unless
    a change is seen that the app lets its trainings heed. Whoever asks first keeps the answer in the store: the same
    features give the same training ever after."""
    if not w.spec.training.adapt and w.spec.health.on_change == noted.ALARM:
        return NONE
    key = features.meta["features"]
    known = kept(w, key, before)
    if known is not None:
        return known
    chunks = [chunk[chunk.at < before] for chunk in features.chunks()]
    rows = [chunk for chunk in chunks if len(chunk)]
    found = _seen(w, concatenate(rows), before) if rows else NONE
    w.store.put(layout.change(key, before), orjson.dumps(asdict(found)))
    return found


def _seen(w: Workspace, log: Interactions, before: int) -> Choice:
    found = adaptive_window.choose(log) if w.spec.training.adapt else NONE
    change = noted.last(w.store, before)
    if w.spec.health.on_change == noted.ALARM or change is None or change.since <= found.since:
        return found
    if int((log.at >= change.since).sum()) < w.spec.training.min_rows:
        return found  # until so many rows are known of the users as they are now, the old ones tell more
    if change.action == noted.RESET:
        return replace(found, since=change.since, changed=change.since)
    return replace(found, changed=change.since, weight=change.weight)


def kept(w: Workspace, key: str, before: int) -> Choice | None:
    """What was found in the rows before `before` of the features `key`; None where nobody has asked."""
    raw, version = w.store.read(layout.change(key, before))
    return Choice(**orjson.loads(raw)) if version is not None else None


def missed(found: Choice, trained_until: int, end: int) -> bool:
    """True if the users surely changed and a policy that learnt the rows before `trained_until` has seen less than half
    of what came since (until `end`): most of what it learnt is of other users. What health noted, it was sure of."""
    if found.changed:
        return trained_until - found.changed < end - trained_until
    return found.better >= SURE and trained_until - found.since < end - trained_until
