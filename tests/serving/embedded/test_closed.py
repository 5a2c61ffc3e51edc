"""A selector that was closed says so, whatever it is asked."""

import pytest

from croupier import Embedded, Unavailable
from tests.serving.gateway.door import declared


def test_after_its_close_every_call_says_so(tmp_path):
    with Embedded("shop", var=declared(tmp_path)) as shop:
        shop.select(unit_id="u", event_id="e")
    shop.close()
    for call in (
        lambda: shop.select(unit_id="u"),
        lambda: shop.reward(event_id="e", kind="click", value=1.0),
        lambda: shop.select_slate(unit_id="u", k=1),
        lambda: shop.allocate(unit_id="u", items=[{"id": "a"}]),
        shop.arms,
        lambda: shop.release,
    ):
        with pytest.raises(Unavailable, match="found that it was closed, expected an open one") as found:
            call()
        assert found.value.reason == "closed"
