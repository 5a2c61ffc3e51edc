"""schemathesis asks a running gateway whatever its OpenAPI page allows, and much that it does not: each answer is one
that the page has, and none is a failure of the gateway's own."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.gateway.door import TOML, Gateway, declared

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None,
    reason="no schemathesis here: `pip install schemathesis` (pyproject.toml's dev)",
)
# A rank of arms that nobody declared is refused for good reasons that no page can state
NOT_ASKED = "positive_data_acceptance"


@pytest.mark.slow
@pytest.mark.parametrize("examples", [4, pytest.param(200, marks=pytest.mark.full)])
def test_no_question_of_the_page_makes_it_fail(tmp_path, examples):
    toml = TOML + '[arms]\nsource = "both"\n'  # so that actions of any name are decided
    with Gateway(declared(tmp_path, toml=toml), "--unknown-features", "ignore") as gateway:
        command = [str(Path(sys.executable).with_name("st")), "run", f"{gateway.endpoint}/openapi.json"]
        command += ["--phases", "coverage,fuzzing", "--seed", "1", "--max-examples", str(examples)]
        command += ["--checks", "all", "--exclude-checks", NOT_ASKED, "--request-timeout", "60", "--no-color"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
        assert "Selected: 16/16" in done.stdout, done.stdout[-2500:]
        assert "Tested: 16" in done.stdout
        health = gateway.call("GET", "/v1/apps/shop/health")[1]
    answers = health["worker"]["answers"]
    assert health["well"]
    assert not [status for status in answers if status >= "500"], answers
    assert answers["201"] > max(12, examples // 4), "many were decided: of 200 examples a path 107"
    assert answers["200"] > 12
    assert answers["400"] > 100, "and many were no question"
