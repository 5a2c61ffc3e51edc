"""A Redis of the test's own."""

import pytest

from tests.redis_here import RedisHere


@pytest.fixture
def redis():
    made = RedisHere()
    yield made
    made.stop()
