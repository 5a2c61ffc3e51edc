"""An app's declaration as Personalizer's clients read it: service configuration, learning policy, what is logged.

It is read alone: app.toml says how an app is, and a change of it is judged by `croupier app diff`.
"""

from typing import Any

from croupier.features.spec import AppSpec
from croupier.features.spec_values import APPRENTICED, seconds_of
from croupier.features.store.partitions import log_objects
from croupier.features.store.storage import Store
from croupier.features.utc import DAY_SECONDS, HOUR, from_us, hour_start
from croupier.models.policy import Policy

AGGREGATION = {"first": "earliest", "sum": "sum"}  # others have no word there: ours


def service(spec: AppSpec, kind: str) -> dict[str, Any]:
    """The service configuration; `kind` is that of Personalizer's rewards."""
    how = spec.reward.kinds[kind].how if kind in spec.reward.kinds else "first"
    return {
        "rewardWaitTime": duration(spec.reward.window_seconds),
        "defaultReward": spec.reward.default,
        "rewardAggregation": AGGREGATION.get(how, how),
        "explorationPercentage": spec.policies.floor,
        "modelExportFrequency": duration(seconds_of(spec.training.every)),
        "logRetentionDays": -1,  # for ever: nothing is deleted by itself
        "learningMode": "Apprentice" if spec.requests.learning_mode == APPRENTICED else "Online",
        "isAutoOptimizationEnabled": spec.policies.auto or len(spec.policies.candidates) > 1,
    }


def policy(champion: Policy, release: int) -> dict[str, Any]:
    """The learning policy: VW's command line where VW learns, else the policy's name."""
    return {"name": f"release {release}: {champion.name}", "arguments": getattr(champion, "flags", "")}


def logs(store: Store) -> dict[str, Any]:
    """From when to when there are decisions in the store; {} where there are none yet."""
    hours = [hour_start(hour) for hour in log_objects(store, "decisions")]
    if not hours:
        return {}
    ends = {"from": min(hours), "to": max(hours) + HOUR}
    return {"dateRange": {name: f"{from_us(at):%Y-%m-%dT%H:%M:%SZ}" for name, at in ends.items()}}


def duration(seconds: float) -> str:
    """ISO 8601, in whole days and seconds: PT600S, P2D."""
    days, rest = divmod(seconds, DAY_SECONDS)
    return "P" + f"{days:g}D" * bool(days) + f"T{rest:g}S" * bool(rest or not days)
