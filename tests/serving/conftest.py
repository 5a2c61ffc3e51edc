"""What tests of the watch, and of the client, share."""

import pytest

from croupier.serving.triton.server import Ports
from tests.serving.watched import House


@pytest.fixture(autouse=True, scope="module")
def patient(request):
    """Where a module starts a real server: a busy machine is no slow candidate. Slowness is tested in tests/faults."""
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(request.module, "EndedAtOnce"):
            patch.setenv("CROUPIER_PATIENCE_MS", "60000")
        yield


@pytest.fixture
def house(tmp_path):
    made = []

    def make(candidate, **kwargs):
        made.append(House(tmp_path, candidate, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.spool.close()


@pytest.fixture
def nobody():
    """An address where nobody listens."""
    return f"127.0.0.1:{Ports.free().grpc}"
