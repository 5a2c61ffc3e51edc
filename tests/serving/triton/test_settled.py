"""What a server has loaded is no work for Python's collections of garbage; what it makes later is."""

import json
import subprocess
import sys

import pytest

SERVER = """
import gc, json, weakref
import croupier.serving.triton.arms, croupier.serving.triton.outcomes
from croupier.serving.triton.processes import settled

class Ring:
    def __init__(self):
        self.me = self

earlier = weakref.ref(Ring())
before = len(gc.get_objects())
settled()
after, later = len(gc.get_objects()), weakref.ref(Ring())
alive = later() is not None
gc.collect()
print(json.dumps({"before": before, "after": after, "earlier": earlier() is None, "later": alive and later() is None}))
"""


@pytest.mark.medium
def test_a_collection_looks_at_what_came_after_alone():
    said = json.loads(subprocess.run([sys.executable, "-c", SERVER], capture_output=True, text=True, check=True).stdout)
    assert said["before"] > 50_000
    assert said["after"] < 1_000
    assert (said["earlier"], said["later"]) == (True, True)
