"""What serves, as metrics: the current release, its heads, its rollout, and its breaker on this host."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

from croupier.features.build import meta_of
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.store import layout, released
from croupier.features.utc import to_us
from croupier.features.workspace import Workspace
from croupier.serving.decide.candidate_breaker import opened_breaker
from croupier.serving.readings.sample import Sample, age
from croupier.serving.release import rollout_store


def release(w: Workspace, now: int) -> Iterator[Sample]:
    """The release that every host should serve; nothing before the first."""
    number = released.current(w.store)
    if number is None:
        return
    yield Sample("croupier_release_number", float(number))
    raw, claimed = w.store.read(layout.claim(number))
    if claimed is not None:
        yield Sample("croupier_release_age_seconds", age(now, int(orjson.loads(raw)["at"])))
    key = released.manifest(w.store, number)["meta"].get("features")
    if key:  # a bootstrap was trained on nothing
        yield Sample("croupier_features_age_seconds", age(now, _us(meta_of(w.store, key)["end"])))
    for role in (CHAMPION, CANDIDATE):
        head = layout.head(w.home / layout.HEADS, number, role)
        if head.exists():  # real time: it is the file system's
            learnt = max(0.0, time.time() - head.stat().st_mtime)
            yield Sample("croupier_posterior_age_seconds", learnt, {"host": w.settings.host, "role": role})


def rollout(w: Workspace, now: int) -> Iterator[Sample]:
    """Where the rollout stands, and who looks at it; nothing before the first release."""
    state = rollout_store.read_state(w.store)
    if state is None:
        return
    yield Sample("croupier_rollout_stage", 1.0, {"stage": state.stage})
    yield Sample("croupier_rollout_share", state.share)
    yield Sample("croupier_rollout_running", float(state.running))
    yield Sample("croupier_rollout_held", float(bool(state.held)))
    yield Sample("croupier_breaker_open", float(bool(opened_breaker(w.home, state))), {"host": w.settings.host})
    looked = rollout_store.watched(w.store)
    if looked:
        yield Sample("croupier_rollout_look_age_seconds", age(now, looked))


def _us(text: str) -> int:
    at = datetime.fromisoformat(text)
    return to_us(at if at.tzinfo else at.replace(tzinfo=UTC))
