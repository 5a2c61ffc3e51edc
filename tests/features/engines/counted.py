"""Jobs of the engines' tests: functions of a module, as other processes find them."""

import os
import time
from pathlib import Path

NOT_JSON = ("a tuple",)


def squared(job):
    """The square of the job's number; each call leaves a file behind where a folder is named."""
    if "folder" in job:
        Path(job["folder"], f"{job['x']}-{os.getpid()}").touch()
    if job.get("fail"):
        raise RuntimeError(f"job {job['x']} fails")
    return {"square": job["x"] ** 2, "process": os.getpid()}


def dies_once(job):
    """Kills its process at the first call."""
    mark = Path(job["folder"], "died")
    if not mark.exists():
        mark.touch()
        os._exit(1)
    return job["x"] + 1


def tuple_of(job):
    """What JSON cannot say as it is."""
    return (job["x"],)


def waits(job):
    """Says which process it is, and never ends."""
    Path(job["folder"], f"{os.getpid()}.pid").touch()
    while True:
        time.sleep(60)
