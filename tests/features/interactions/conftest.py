"""A store, and a host's log that is shipped to it."""

import pytest

from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.store.storage import open_store


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def log(tmp_path, store):
    """Appends to this host's log and ships it."""
    spool = Spool(tmp_path / "spool" / "log.sqlite")

    def add(*events):
        spool.append_decisions([e for e in events if isinstance(e, Decision)])
        spool.append_rewards([e for e in events if isinstance(e, Reward)])
        ship(spool, store, host="h1")

    add.spool = spool
    yield add
    spool.close()
