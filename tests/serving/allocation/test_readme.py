"""The README's program that allocates, as it stands there, in an empty folder; then the turn that it names."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[3] / "serving" / "README.md"


@pytest.mark.slow
def test_a_new_app_allocates_and_gets_a_candidate_that_the_gate_promoted(tmp_path):
    section = README.read_text().partition("## Several items under one total")[2].partition("\n## ")[0]
    (program,) = re.findall(r"```python\n(.*?)```", section, re.S)
    (command,) = set(re.findall(r"croupier (turn --app pages --last 1h)`", section))
    (tmp_path / "patches.py").write_text(program)
    run = {"cwd": tmp_path, "capture_output": True, "text": True}
    env = {name: value for name, value in os.environ.items() if not name.startswith("CROUPIER_")}
    env["CROUPIER_DURABILITY"] = "NORMAL"
    said = subprocess.run([sys.executable, "patches.py"], check=True, env=env, **run).stdout
    assert said.startswith("release 1: at random within the total; now run")
    time.sleep(3)  # the reward window of the example, and a second
    croupier = str(Path(sys.executable).parent / "croupier")
    said = subprocess.run([croupier, *command.split()], check=True, env=env, **run).stdout
    assert "pages: release 2 was published, with lin_ts as its candidate; stage 5%" in said
    listed = subprocess.run(
        [croupier, "replay", "--unit", "u7", "--app", "pages", "--json"], check=True, env=env, **run
    ).stdout
    (event,) = re.findall(r'"event_id":\s*"([^"]+/3)"', listed)
    told = subprocess.run([croupier, "replay", event, "--app", "pages"], check=True, env=env, **run).stdout
    assert "6 of 6 items of request" in told
    assert "DIFFERS" not in told
