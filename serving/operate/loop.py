"""One turn of every DAG, by the functions that its tasks call: for a host without Airflow, and for the virtual month.

    collect_events   collect → restate          build_features   collect → join → validate → encode, for what is due
    train_and_gate   plan → train → judge → publish, when encode found a training due
    watch_rollout    look, promote, release a changed catalogue

dags/*.py are thin: tests/serving/simulation/test_month.py holds that each of these functions is what the DAG of that
name calls. Each is safe to repeat, and to be killed at any moment: the next turn takes up what is due.
"""

from typing import Any

from croupier.features import build, scheduled, upkeep
from croupier.models import training
from croupier.serving.operate import verdict_release, watch


def turn(app: str, asked: tuple[str, str] | None = None) -> dict[str, Any]:
    """Takes all four, in order; `asked`: not what is due, but the hours between two times (ISO 8601). Returns
    {"app", "collected", "features": key or "", "refused": rules by hour, "verdict": None where no training was due,
    "rollout"}. Raises what the first that fails raises; the ones before it are done."""
    collected = collect_events(app)
    features, refused = (build_interval(app, asked), {}) if asked else build_features(app)
    verdict = train_and_gate(app, features) if features else None
    looked = watch_rollout(app)
    known = {"app": app, "collected": collected, "features": features, "refused": refused}
    return known | {"verdict": verdict, "rollout": looked}


def collect_events(app: str) -> dict[str, Any]:
    """Ships the log and joins again the hours that late events changed."""
    build.collect(app)
    return upkeep.restate(app)


def build_features(app: str) -> tuple[str, dict[str, Any]]:
    """Builds the hours that are due. Returns the key of the features if a training is due, else "", and of each hour
    that is left out of training the rules that it broke."""
    build.collect(app)
    validated = scheduled.validate(app, None, scheduled.join(app, None))
    return str(scheduled.encode(app, None)["features"]), validated["refused"]


def build_interval(app: str, asked: tuple[str, str]) -> str:
    """Builds the hours of an interval whether they are over or not; returns the key of its features. Raises
    QualityFailed where a critical rule failed."""
    build.collect(app)
    scheduled.or_raise(scheduled.validate(app, asked, scheduled.join(app, asked)))
    return str(scheduled.encode(app, asked)["features"])


def train_and_gate(app: str, features: str) -> dict[str, Any]:
    """Trains, judges and publishes; returns the verdict, with what was published under "published"."""
    jobs = [training.train(**job) for job in training.plan([(app, features)])]
    (verdict,) = training.judge(jobs)
    return verdict | {"published": verdict_release.publish_verdict(verdict)}


def watch_rollout(app: str) -> dict[str, Any]:
    """Looks at the rollout once."""
    return watch.watch(app)
