"""A log of the reels world, and the same as DSJSON."""

import pytest

from croupier.features.exchange.dsjson import export
from croupier.features.worlds.reels import World

WORLD = World(seed=6)


@pytest.fixture(scope="session")
def ours():
    return WORLD.interactions(600)


@pytest.fixture
def exported(ours, tmp_path):
    path = tmp_path / "log.dsjson"
    path.write_bytes(b"".join(export.export(ours, WORLD.arms())))
    return path
