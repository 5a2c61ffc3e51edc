"""A log of this host."""

import pytest

from croupier.features.log.spool import Spool


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    yield made
    made.close()
