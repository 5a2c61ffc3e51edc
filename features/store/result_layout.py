"""The keys of results of jobs that an engine computed, below one prefix for all jobs of one task, of choices, and of
what the shards of a big hour come to until they are merged:

    shards/<plan>/2026-09-21T14-0003-<digest>.parquet, …-<digest>.late.parquet     plan: now (UTC µs), and a random word
"""

from croupier.features.store import layout


def results(prefix: str) -> str:
    """What the keys of all results of a task begin with."""
    return f"results/{prefix}/"


def result(prefix: str, digest: str) -> str:
    """The key of a job's result."""
    return f"{results(prefix)}{digest}{layout.JSON}"


def features_of(policy_prefix: str) -> str:
    """The key of the features that the policy kept below this prefix was trained on; "" of one that is no candidate."""
    key = policy_prefix.partition("/")[2].partition("/")[0]
    return key if policy_prefix.startswith(layout.candidate(key, "")) else ""


CHOICES, TUNINGS = "choices/", "tunings/"


def tuning(features_key: str, digest: str) -> str:
    """The key of what a tuning on these features came to."""
    return f"{TUNINGS}{features_key}-{digest}{layout.JSON}"


def choice(features_key: str) -> str:
    """The key of the policies that were chosen on these features."""
    return f"{CHOICES}{features_key}{layout.JSON}"


SHARDS = "shards/"


def shards_of(plan: str) -> str:
    """What the keys of all shards of a plan begin with."""
    return f"{SHARDS}{plan}/"


def shard_rows(plan: str, hour: str, number: int, digest: str, suffix: str) -> str:
    """The key of the rows of a shard of an hour; `suffix` is PARQUET, or LATE."""
    return f"{shards_of(plan)}{hour}-{number:04d}-{digest}{suffix}"


def shards_begun(shard_key: str) -> int:
    """When the plan that a key below SHARDS is of was made, UTC µs."""
    return int(shard_key.removeprefix(SHARDS).partition("-")[0])
