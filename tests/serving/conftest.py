"""What the tests of the watch share."""

import pytest

from tests.serving.watched import House


@pytest.fixture
def house(tmp_path):
    made = []

    def make(candidate, **kwargs):
        made.append(House(tmp_path, candidate, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.spool.close()
