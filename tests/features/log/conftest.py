"""A host's log, and the store that it is shipped to."""

import pytest

from croupier.features.log.spool import Spool
from croupier.features.store.storage import FolderStore


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "log.sqlite")
    yield spool
    spool.close()


@pytest.fixture
def store(tmp_path):
    return FolderStore(str(tmp_path / "store"))
