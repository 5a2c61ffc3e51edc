"""A desk whose app declares what slots of a page have."""

import contextlib

import pytest

from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from tests.serving.gateway.door import declared
from tests.serving.gateway.ranking.page import SLOTS


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path, toml=SLOTS)))
    with contextlib.closing(Desk(Options(app="shop"))) as found:
        yield found
