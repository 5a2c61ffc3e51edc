"""Personalizer's service configuration → keys of app.toml, and a sentence on each setting, kept or not."""

import re
from collections.abc import Mapping
from typing import Any

from croupier.features.exchange.guess import Given
from croupier.features.spec_values import APPRENTICED
from croupier.features.utc import DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS

UNITS = (DAY_SECONDS, HOUR_SECONDS, MINUTE_SECONDS, 1.0)
HOW = {"earliest": "first", "sum": "sum"}  # rewardAggregation → [reward.kinds] how
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_CLOCK = re.compile(r"(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)")
NOT_KEPT = {
    "modelExportFrequency": "[training] every says when policies are trained, gate and rollout when they are served",
    "logRetentionDays": "the log stays until you delete it; [training] days says how much of it a training reads",
    "logMirrorEnabled": "the log is yours already: CROUPIER_STORE says where",
    "logMirrorSasUri": "the log is yours already; the address is a secret and was not copied",
    "isAutoOptimizationEnabled": "every training trains all [policies] candidates, and the gate judges them",
    "autoOptimizationFrequency": "[training] every says how often that is",
    "autoOptimizationStartDate": "it begins with the first training",
    "lastConfigurationEditDate": "it is Personalizer's own",
    "latestAutoOptimizationRunDate": "it is Personalizer's own",
    "latestAutoOptimizationRunResult": "it is Personalizer's own",
}  # fmt: skip
MODES = {
    "online": "learningMode Online → the loop as it is",
    "apprentice": 'learningMode Apprentice → [requests] learning_mode = "apprentice": the first action of each rank is '
    "the answer until you change it to online",
    "loggingonly": "learningMode LoggingOnly: not kept: release 1 draws uniformly, and the loop learns when it is run",
}


def given(service: Mapping[str, Any]) -> tuple[Given, list[str]]:
    """What guess_app begins with, and the sentences. Raises ValueError naming a setting that cannot be what it says."""
    values, said, rest = dict[str, Any](), list[str](), dict(service)
    if (text := rest.pop("rewardWaitTime", None)) is not None:
        values["window_seconds"] = seconds("rewardWaitTime", text)
        said.append(f"rewardWaitTime {text} → [reward] window_seconds = {values['window_seconds']:g}")
    if (default := rest.pop("defaultReward", None)) is not None:
        values["default"] = _number("defaultReward", default)
        said.append(f"defaultReward {default} → [reward] default = {values['default']:g}")
    if (how := rest.pop("rewardAggregation", None)) is not None:
        values["how"] = _aggregation(how)
        said.append(f'rewardAggregation {how} → [reward.kinds.reward] how = "{values["how"]}"')
    if (share := rest.pop("explorationPercentage", None)) is not None:
        values["floor"] = _share(share)
        said.append(f"explorationPercentage {share} → [policies] floor = {values['floor']:g}: every arm keeps ε/K")
        if not values["floor"]:
            said.append("explorationPercentage 0: without exploration the log can judge no other policy; raise floor")
    if (mode := rest.pop("learningMode", None)) is not None:
        said.append(MODES.get(str(mode).lower(), f"learningMode {mode}: not known, not kept"))
        values |= {"learning_mode": APPRENTICED} if str(mode).lower() == APPRENTICED else {}
    said += [f"{name}: not kept: {NOT_KEPT.get(name, 'croupier has no such setting')}" for name in rest]
    return Given(**values), said


def seconds(name: str, text: object) -> float:
    """PT10M, 00:10:00 or 1.00:00:00 as seconds."""
    iso, clock = (pattern.fullmatch(str(text)) for pattern in (_ISO, _CLOCK))
    match = iso or clock
    parts = [float(part or 0) for part in match.groups()] if match else []
    total = sum(part * unit for part, unit in zip(parts, UNITS, strict=True)) if parts else 0.0
    if total <= 0:
        raise ValueError(f"{name}: found {text!r}, expected a time such as PT10M or 00:10:00")
    return total


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: found {value!r}, expected a number")
    return float(value)


def _share(value: object) -> float:
    share = _number("explorationPercentage", value)
    if not 0 <= share <= 1:
        raise ValueError(f"explorationPercentage: found {value!r}, expected a share from 0 to 1")
    return share


def _aggregation(value: object) -> str:
    if str(value).lower() not in HOW:
        raise ValueError(f"rewardAggregation: found {value!r}, expected one of {', '.join(HOW)}")
    return HOW[str(value).lower()]
