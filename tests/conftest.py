"""For all tests: tables are as wide as on a wide terminal. rich asks once, when a command's module is imported, so what
one test prints would else depend on which test came first. Full sizes have hours, where they do not say otherwise."""

import os
import sys
from pathlib import Path

import pytest

os.environ["COLUMNS"] = "160"
# processes that tests start find `tests.…` by its name; it stands last, and no room is imported by its bare name
# (tests/house/test_install.py)
sys.path.append(str(Path(__file__).resolve().parents[1]))
FULL_SECONDS = 3 * 3600


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("full") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FULL_SECONDS))
