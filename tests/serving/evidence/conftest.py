"""A house whose candidate has been promoted."""

from functools import partial

import pytest

from tests.serving.evidence.promotions import promoted_house


@pytest.fixture
def promoted(house):
    """A house whose candidate has been promoted: it serves all but the hold-out."""
    return partial(promoted_house, house)
