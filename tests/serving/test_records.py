"""Clients' own decisions at the server's door: what was never a probability is not put on record."""

import shutil
from dataclasses import replace

import pytest

from features.schema import InvalidEvent
from features.spool import Spool
from models.simple import Uniform
from serving.meter import Meter
from serving.records import RawRecord, Records
from serving.requests import Request
from serving.triton.outcomes import CatalogueGuard, count
from tests.serving import apps

GOOD = RawRecord(unit_id=b"u", context=b"{}", arms=b'["a", "b"]', arm_context=b"", event_id=b"e", arm=b"a", pmf=b"[0.25, 0.75]",
                 at=10**15, reason=b"down")  # fmt: skip


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "log.db", durability="NORMAL")
    yield made
    made.close()


@pytest.mark.parametrize("pmf", [b'["nan", "nan"]', b'"10"', b"[true, false]", b'{"1": 1, "0": 0}', b"[1e999, 0]",
                                 b"[" * 1000 + b"]" * 1000, b"[1, 0, 0]", b"[0.5, 0.6]", b"[0.5, null]"])  # fmt: skip
def test_a_pmf_that_is_no_list_of_probabilities_is_rejected(spool, pmf):
    (outcome,) = Records(spool, unit_key="k").take([replace(GOOD, pmf=pmf)])
    assert outcome.status == "rejected"
    assert outcome.error.startswith("pmf: found ")
    assert spool.counts()["decisions"] == 0


def test_a_context_too_deep_for_the_log_is_rejected_alone(spool):
    """Before the first release no encoder refuses it: JSON is read deeper than it can be written."""
    deep = replace(GOOD, context=b'{"a": ' + b"[" * 253 + b"]" * 253 + b"}")
    shallow = replace(GOOD, context=b'{"a": ' + b"[" * 252 + b"]" * 252 + b"}", event_id=b"f")
    outcomes = Records(spool, unit_key="k").take([deep, GOOD, shallow])
    assert [o.status for o in outcomes] == ["rejected", "accepted", "accepted"]
    assert outcomes[0].error.startswith("context: found ")


def test_a_release_that_was_taken_out_again_guards_no_longer(tmp_path):
    request = Request(unit_id="u", context={}, arms=("reel-01",))
    apps.write(tmp_path, Uniform(), number=1)
    guard = CatalogueGuard(tmp_path / "triton" / "select_arm")
    guard(request)
    apps.write(tmp_path, Uniform(), number=2, arms=apps.sample().arms[5:])
    with pytest.raises(InvalidEvent, match=r"^arms"):
        guard(request)
    shutil.rmtree(tmp_path / "triton" / "select_arm" / "2")  # Triton could not load it
    guard(request)


def test_what_a_stranger_wrote_is_no_label(spool):
    meter = Meter()
    outcomes = Records(spool, unit_key="k", guard=_unknown_feature).take([GOOD])
    assert outcomes[0].error.startswith('context.x"} 1: found ')
    count(meter, "record", "croupier_records_total", outcomes)
    labels = {dict(labels).get("field") for (name, labels) in meter.drain()[0] if name == "croupier_rejects_total"}
    assert labels == {"context"}


def _unknown_feature(_request):
    raise InvalidEvent('context.x"} 1', 5, "a declared feature")
