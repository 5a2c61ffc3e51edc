"""The HTTP API as serving/README.md shows it: its examples, run as they stand, against the real Triton."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from croupier import serving
from croupier.features.log.spool import Spool
from croupier.models.baselines import Uniform
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.ended_at_once import EndedAtOnce

ROOM = Path(serving.__file__).parent
README = (ROOM / "README.md").read_text(encoding="utf-8")


def test_the_contract_says_that_an_error_travels_with_status_ok():
    for text in ((ROOM / "contract" / "croupier.proto").read_text(), README):
        words = re.sub(r"[\s/*]+", " ", text)
        assert re.search(r"status is OK[^.]*`error` says why", words)


@pytest.mark.slow
def test_the_examples_of_the_readme_work(tmp_path):
    (code,) = re.findall(r"```python\n(# http:.*?)```", README, re.S)
    (curl,) = re.findall(r"```\n\$ (curl .*?)```", README, re.S)
    apps.write(tmp_path, Uniform())
    with EndedAtOnce(tmp_path, ports=Ports.free()) as triton:
        there: dict = {}
        exec(code.replace(":8000/", f":{triton.ports.http}/"), there)
        chosen = there["chosen"]
        assert (chosen["arm"] in ("reel-01", "reel-02"), chosen["propensity"], chosen["release"]) == (True, 0.5, 1)
        assert there["paid"]["status"] == "accepted"
        call = there["call"]
        with pytest.raises(ValueError, match=r"^context\.colour: found .*expected a declared feature"):
            call(
                "select_arm", unit_id=("BYTES", "u7"), context=("BYTES", '{"colour": 1}'), arms=("BYTES", '["reel-01"]')
            )
        asked = {"kind": ("BYTES", "click"), "value": ("FP64", 1.0)}
        assert call("reward", event_id=("BYTES", "another host's"), **asked)["status"] == "unknown_event"
        with pytest.raises(ValueError, match="event_id"):
            call("reward", event_id=("BYTES", ""), **asked)
        if shutil.which("curl"):
            asked = shlex.split(curl.replace("127.0.0.1:8000/", f"127.0.0.1:{triton.ports.http}/"))
            done = subprocess.run(asked, capture_output=True, text=True, check=True)
            outputs = {out["name"]: out["data"] for out in json.loads(done.stdout)["outputs"]}
            assert (outputs["error"], outputs["propensity"]) == ([""], [0.5])
    spool = Spool(tmp_path / "spool" / "log.db")
    try:
        assert spool.find([chosen["event_id"]])[chosen["event_id"]].arm == chosen["arm"]
    finally:
        spool.close()
