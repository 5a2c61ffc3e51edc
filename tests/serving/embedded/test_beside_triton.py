"""The same release behind Triton and in one's own process: the same arm and the same pmf for the same event."""

import numpy as np
import pytest

from croupier import Client, Embedded
from croupier.features.store import layout
from croupier.serving.triton.server import Ports
from tests.serving import apps
from tests.serving.embedded.shop import opened, publish
from tests.serving.ended_at_once import EndedAtOnce


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neural_linear", "vw_cb_adf"])
def test_both_answer_alike(tmp_path, name, monkeypatch):
    """Two hosts of one store: the one serves by Triton, the other embeds."""
    store = tmp_path / "store"
    served = opened(tmp_path / "triton-host", store=str(store))
    publish(served, apps.trained(name), apps.trained("lin_ts"))
    requests = apps.sample().requests(256, strange=True)
    embedding = opened(tmp_path / "own-host", store=str(store))
    (embedding.home / layout.UNIT_KEY).write_text(served.unit_key)
    (embedding.home / layout.UNIT_KEY).chmod(0o600)
    monkeypatch.setenv("CROUPIER_STORE", str(store))
    with EndedAtOnce(served.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        by_triton = client.select_batch(requests)
    with Embedded("shop", var=tmp_path / "own-host") as shop:
        by_itself = shop.select_batch(requests)
    assert [a.error for a in by_triton] == [""] * len(requests)
    assert [(a.arm, a.role, a.release) for a in by_itself] == [(a.arm, a.role, a.release) for a in by_triton]
    assert {a.role for a in by_itself} == {"champion", "candidate"}
    for own, other in zip(by_itself, by_triton, strict=True):
        np.testing.assert_allclose(own.pmf, other.pmf, atol=1e-6)
