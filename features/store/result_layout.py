"""The keys of results of jobs that an engine computed: below one prefix for all jobs of one task."""

from croupier.features.store import layout


def results(prefix: str) -> str:
    """What the keys of all results of a task begin with."""
    return f"results/{prefix}/"


def result(prefix: str, digest: str) -> str:
    """The key of a job's result."""
    return f"{results(prefix)}{digest}{layout.JSON}"
