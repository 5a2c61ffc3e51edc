"""Health as metrics: what the last check kept, with the silences that are in force now."""

from collections.abc import Iterator
from typing import Any

import orjson

from croupier.features.store import layout
from croupier.features.store.partitions import versions
from croupier.features.utc import HOUR, from_us, hour_start
from croupier.features.workspace import Workspace
from croupier.models.health.symptom import FINE, LEVELS, WATCHES
from croupier.serving.health import silences
from croupier.serving.health.examine import newest_hour
from croupier.serving.readings.sample import Sample, age


def health(w: Workspace, now: int) -> Iterator[Sample]:
    """Verdict, watches, silences, lift. The `monitor` DAG keeps what it found each hour; before it has, there are only
    silences."""
    hushed = silences.in_force(w.store, now)
    for watch in WATCHES:
        yield Sample("croupier_health_silenced", float(watch in hushed), {"watch": watch})
    said = _said(w)
    if "symptoms" in said:  # else no hour was joined yet
        yield from _found(said, set(hushed), now)


def judged(w: Workspace, now: int) -> Iterator[Sample]:
    """How far the `monitor` DAG is behind; nothing where no hour is joined and mature, or the app is not declared on
    this host."""
    if w.settings.store and not (w.home / layout.APP_TOML).exists():
        return
    newest = newest_hour(w, from_us(now))
    if newest is None:
        return
    said = _said(w)
    until = said["at"] + HOUR if "at" in said else hour_start(min(versions(w.store)))
    yield Sample("croupier_health_lag_seconds", age(hour_start(newest) + HOUR, until))


def _said(w: Workspace) -> dict[str, Any]:
    raw, known = w.store.read(layout.report(layout.HEALTH_SAID))
    return dict(orjson.loads(raw)) if known is not None else {}


def _found(said: dict[str, Any], hushed: set[str], now: int) -> Iterator[Sample]:
    levels = dict.fromkeys(WATCHES, LEVELS.index(FINE))
    for symptom in (*said["symptoms"], *said.get("silenced", ())):
        levels[symptom["watch"]] = max(levels.get(symptom["watch"], 0), LEVELS.index(symptom["level"]))
    for watch, level in levels.items():
        yield Sample("croupier_health_watch", float(level), {"watch": watch})
    for part in said.get("parts", ()):
        if part["level"]:  # else it is only shown
            labels = {"group": part["group"], "part": part["key"]}
            yield Sample("croupier_health_part", float(LEVELS.index(part["level"])), labels)
    yield from _learning(said.get("learning", {}))
    heard = [level for watch, level in levels.items() if watch not in hushed]
    yield Sample("croupier_health_verdict", float(max(heard, default=0)))
    yield Sample("croupier_health_age_seconds", age(now, said["at"] + HOUR))
    if said["lift"]:
        for bound, name in (("estimate", "value"), ("low", "low"), ("high", "high")):
            yield Sample("croupier_lift_over_uniform", float(said["lift"][name]), {"bound": bound})


def _learning(said: dict[str, Any]) -> Iterator[Sample]:
    """Predictions, posteriors and features, as far as they are known."""
    for model in ("champion", "reward_model"):
        if found := said.get(model):
            yield Sample("croupier_reward_calibration_error", float(found["beyond"]), {"model": model})
            yield Sample("croupier_reward_skill", float(found["skill"]), {"model": model})
            yield Sample("croupier_reward_sharpness", float(found["sharpness"]), {"model": model})
    for head in said.get("conditions", ()):
        yield Sample("croupier_posterior_condition", float(head["number"]), {"policy": head["who"]})
    for feature in said.get("features", ()):
        if feature["nats_now"] is not None:
            yield Sample("croupier_feature_information", float(feature["nats_now"]), {"feature": feature["name"]})
