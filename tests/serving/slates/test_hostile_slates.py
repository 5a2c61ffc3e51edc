"""What a stranger says of the slate that a slot is of: refused by name, or a decision; never a crash."""

import json
import random
from dataclasses import replace

import pytest

from croupier import Embedded
from croupier.serving.contract.raw_slates import RawSlate
from croupier.serving.contract.requests import Raw
from croupier.serving.slates.wire_slates import slates_of
from tests.serving import apps
from tests.serving.contract.test_hostile import BYTES
from tests.serving.embedded.shop import publish
from tests.serving.slates.declared import DECLARED, GENRE, UNLIKE, declared

ABOVE = ["reel-00", "nobody", 7, None, "", [], {"id": "x", "features": {"genre": "news"}}, {"id": "x", "features": {}},
         {"id": "y", "features": {"genre": ["news", {"a": 1}], "b": {"c": None}}}, {"id": 3, "features": {}}]  # fmt: skip
MINIMUMS = [[], None, {}, "x", [{}], [{"arms": ["reel-01"], "slots": 1}], [{"arms": ["reel-04"], "slots": 9}], [[]]]
NAMES = {"slate", "arms", "slots", "minimums"}


def said(rng):
    """What is sent of a slate, wrong in some way or right."""
    if rng.random() < 0.3:
        return rng.choice(BYTES)
    body = {
        "k": rng.choice([0, 1, 2, 3, 4, 100, 101, -1, 2.0, True, "3", None]),
        "above": rng.sample(ABOVE, rng.randrange(4)),
    }
    if rng.random() < 0.5:
        body["minimums"] = rng.choice(MINIMUMS)
    if rng.random() < 0.1:
        body[rng.choice(["more", "k", "above"])] = rng.choice([None, {}, "x"])
    return json.dumps(body).encode()


@pytest.mark.medium
@pytest.mark.parametrize("asks_for", ["", UNLIKE + DECLARED], ids=["nothing asked", "minimums and unlike arms"])
def test_each_is_refused_by_name_or_decided(tmp_path, asks_for):
    publish(declared(tmp_path, asks_for), apps.trained("lin_ts"))
    rng, refused = random.Random(3), set()
    with Embedded("shop", var=tmp_path) as shop:
        raws = []
        for request in apps.sample().requests(64):
            arms = list(GENRE) if rng.random() < 0.7 else request.arms
            plain = Raw.of(replace(request, arms=arms, arm_context=(), event_id=""))
            raws += [replace(plain, slate=said(rng)) for _ in range(20)]
        answers = shop.select_raw(raws)
        assert shop.host.spool.counts()["decisions"] == sum(not a.error for a in answers)
    for answer, raw in zip(answers, raws, strict=True):
        if answer.error:
            refused.add(answer.error.partition(":")[0].partition(".")[0].partition("[")[0])
            assert len(answer.error) < 700
        else:
            assert answer.arm in json.loads(raw.arms)
            assert sum(answer.pmf) == pytest.approx(1.0)
    assert refused == (NAMES if asks_for else {"slate"})
    assert 50 < sum(not a.error for a in answers) < 1200


def whole(rng):
    """What is sent as a whole slate, wrong in some way or right."""
    if rng.random() < 0.3:
        return json.dumps({"k": rng.choice([1, 2, 3])}).encode()
    if rng.random() < 0.3:
        return rng.choice(BYTES)
    slots = [[], [{}] * 2, [{"place": 0}, {}], [{"device": "tv"}, {}], [1], {}, "x", None, [{}] * 101, [{"hour": []}]]
    body = {rng.choice(["k", "slots"]): rng.choice([0, 1, 2, 3, 12, 100, -1, 2.0, True, "3", None, *slots])}
    if rng.random() < 0.3:
        body["slots"] = rng.choice(slots)
    if rng.random() < 0.5:
        body["minimums"] = rng.choice(MINIMUMS)
    if rng.random() < 0.1:
        body["more"] = 1
    return json.dumps(body).encode()


@pytest.mark.medium
@pytest.mark.parametrize("asks_for", ["", UNLIKE + DECLARED], ids=["nothing asked", "minimums and unlike arms"])
def test_each_whole_slate_is_refused_by_name_or_decided_whole(tmp_path, asks_for):
    publish(declared(tmp_path, asks_for), apps.trained("lin_ts"))
    rng = random.Random(5)
    with Embedded("shop", var=tmp_path) as shop:
        raws = []
        for n, request in enumerate(apps.sample().requests(64)):
            arms = list(GENRE) if rng.random() < 0.7 else request.arms
            plain = Raw.of(replace(request, arms=arms, arm_context=(), event_id=""))
            for i in range(20):
                event, arms = (
                    rng.choice([b"", f"{n}-{i}".encode(), b"again", b"x" * 300]),
                    rng.choice([plain.arms, plain.arms, b"[]"]),
                )
                junk = rng.choice(BYTES) if rng.random() < 0.1 else plain.context
                raws.append(RawSlate(plain.unit_id, junk, arms, b"", event, whole(rng)))
        answers = slates_of(shop.host.selector, shop.host.spool, raws)
        assert all(not answer.error.startswith("log:") for answer in answers)
        counts = shop.host.spool.counts()
        events = {slot.event_id for answer in answers for slot in answer.slots}
        assert counts["decisions"] == len(events), "what was refused has no slot on record"
        assert counts["rejects"] > 300
    for answer, raw in zip(answers, raws, strict=True):
        assert bool(answer.error) != bool(answer.slots)
        assert len(answer.error) < 700
        if not answer.error:
            said = json.loads(raw.whole_slate)
            assert len(answer.slots) == (said.get("k") or len(said["slots"]))
            assert len(set(answer.arms)) == len(answer.arms)
            assert 0 < answer.propensity <= 1
    assert 50 < sum(not answer.error for answer in answers) < 1000
