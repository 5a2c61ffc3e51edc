"""What `make mutants` plants has a place in today's code, and a test that is there: else the list goes stale unseen."""

from pathlib import Path

import pytest

from tests.mutants.doors import DOORS
from tests.mutants.modules import MODULES
from tests.mutants.planted import PLANTED

ROOT = Path(__file__).resolve().parents[2]
ERRORS = PLANTED | DOORS


@pytest.mark.parametrize("what", ERRORS)
def test_a_planted_error_has_one_place_and_a_test(what):
    where, before, after, test = ERRORS[what]
    source = (ROOT / where).read_text()
    assert source.count(before) == 1, f"{where}: mend tests/mutants/planted.py or doors.py"
    compile(source.replace(before, after), where, "exec")
    file, _, name = test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text() if name else (ROOT / file).is_file()


def test_modules_that_are_mutated_and_their_tests_are_there():
    paths = [path for where, tests in MODULES.values() for path in (where, *tests)]
    assert [path for path in paths if not (ROOT / path).is_file()] == []
