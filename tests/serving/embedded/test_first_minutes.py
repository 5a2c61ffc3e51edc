"""The README's first five minutes, as they stand there: a program, one command, and a candidate that is rolled out."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[3] / "README.md"


@pytest.mark.slow
def test_a_new_app_gets_a_candidate_that_the_gate_promoted(tmp_path):
    section = README.read_text().partition("## Five minutes, no server")[2].partition("\n## ")[0]
    (program,) = re.findall(r"```python\n(.*?)```", section, re.S)
    (command,) = set(re.findall(r"croupier (turn --app shop --last 1h)`", section))
    (tmp_path / "shop.py").write_text(program)
    run = {"cwd": tmp_path, "capture_output": True, "text": True}
    env = {name: value for name, value in os.environ.items() if not name.startswith("CROUPIER_")}
    said = subprocess.run([sys.executable, "shop.py"], check=True, env=env, **run).stdout
    assert said.startswith("release 1: all arms alike; now run")
    time.sleep(3)  # the reward window of the example, and a second
    words = [str(Path(sys.executable).parent / "croupier"), *command.split()]
    said = subprocess.run(words, check=True, env=env, **run).stdout
    assert re.search(r"shop: release 2 was published, with (neural_linear|vw_cb_adf) as its candidate; stage 5%", said)
