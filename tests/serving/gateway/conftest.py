"""One gateway for the tests of a file that leave it as it is."""

import pytest

from tests.serving.gateway.door import Gateway, declared


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with Gateway(declared(tmp_path_factory.mktemp("var"))) as running:
        running.var = running.log.parent
        yield running
