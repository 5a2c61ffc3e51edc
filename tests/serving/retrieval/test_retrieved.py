"""[retrieval] as it is served: a request without arms is decided among its shortlist, logged, repeated, derived again."""

import numpy as np
import pytest

pytest.importorskip("faiss", reason="the extra `retrieval`")
import shutil
from dataclasses import replace

from croupier import Client, Embedded
from croupier.features import clock
from croupier.features.spec import AppSpec, RewardSpec, SpecError
from croupier.features.store import layout
from croupier.serving.client.errors import Refused
from croupier.serving.contract.requests import Request
from croupier.serving.decide.replay import replay
from croupier.serving.operate import app_check, deployment
from croupier.serving.release import bundle
from croupier.serving.release.bundle import ReleaseRefused
from croupier.serving.retrieval import retriever
from croupier.serving.triton.server import Ports, TritonServer

D, ARMS = 4, 3_000
TOML = """
[context.taste]
type = "embedding"
length = 4
[arm.taste]
type = "embedding"
length = 4
[arm.genre]
type = "categorical"
[retrieval]
context = "taste"
arm = "taste"
top = 40
random = 10
[[rules]]
name = "no news for children"
when.child = ["yes"]
arm.genre = ["news"]
missing = "keep"
[context.child]
type = "categorical"
"""


def catalogue():
    rng = np.random.default_rng(5)
    return {
        f"item{i}": {"taste": rng.normal(size=D).round(4).tolist(), "genre": "news" if i % 3 == 0 else "sport"}
        for i in range(ARMS)
    }


def asked(i, **more):
    taste = np.random.default_rng([7, i]).normal(size=D).round(4).tolist()
    return Request(unit_id=f"u{i}", context={"taste": taste} | more, arms=(), event_id=f"e{i}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    var = tmp_path_factory.mktemp("var")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(var))
        with Embedded.declared("shop", toml=TOML, arms=catalogue(), var=var) as found:
            yield found


@pytest.fixture(scope="module")
def decided(shop):
    """200 requests, and their decisions on record."""
    requests = [asked(i) for i in range(200)]
    answers = shop.select_batch(requests)
    assert [a.error for a in answers if a.error] == []
    rows = shop.host.spool.find([a.event_id for a in answers])
    return requests, [rows[f"e{i}"] for i in range(200)]


def test_the_arms_of_a_decision_are_the_nearest_by_hand_and_ten_of_the_others(shop, decided):
    ids, vectors = list(catalogue()), np.array([arm["taste"] for arm in catalogue().values()], np.float32)
    for request, decision in zip(*decided, strict=True):
        assert decision.retrieved == f"40+10 of {ARMS}"
        scores = vectors @ np.array(request.context["taste"], np.float32)
        assert {*decision.arms[:40]} == {ids[row] for row in np.argsort(-scores)[:40]}
        assert len({*decision.arms}) == 50
        assert decision.propensity == dict(zip(decision.arms, decision.pmf, strict=True))[decision.arm]
        assert sum(decision.pmf) == pytest.approx(1.0)
    reached = {arm for d in decided[1] for arm in d.arms[40:]}
    assert len(reached) > 1200, "the random part reaches everything: of 2,000 draws about 1,460 are distinct"


def test_each_decision_is_derived_again_and_another_list_is_seen(shop, decided):
    release, spool = shop.host.selector.release, shop.host.spool

    def steps(decision):
        return replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())

    for decision in decided[1][:20]:
        assert "retrieval" in [s.step for s in steps(decision)]
        assert all(s.holds for s in steps(decision)), steps(decision)
    d = decided[1][0]
    other = replace(d, arms=(*d.arms[:-1], next(a for a in catalogue() if a not in d.arms)))
    for wrong in (other, replace(d, retrieved="30+20 of 3000")):
        assert [s.step for s in steps(wrong) if not s.holds] == ["retrieval"]


def test_a_repeated_event_has_its_first_answer_and_arms_that_are_listed_are_not_retrieved(shop, decided):
    again = shop.select_batch(decided[0][:5])
    assert [(a.arm, a.propensity) for a in again] == [(d.arm, d.propensity) for d in decided[1][:5]]
    listed = shop.select(unit_id="u", context={}, arms=["item1", "item2"], event_id="listed")
    assert listed.arm in ("item1", "item2")
    assert shop.host.spool.find(["listed"])["listed"].retrieved == ""
    named = shop.select(unit_id="u", context=asked(900).context)
    assert shop.host.spool.find([named.event_id])[named.event_id].retrieved, "arms=None: the shortlist"


def test_rules_leave_arms_of_the_list_out_and_replay_says_how_many(shop):
    (answer,) = shop.select_batch([asked(500, child="yes")])
    (decision,) = shop.host.spool.find([answer.event_id]).values()
    assert 20 < len(decision.arms) < 50
    assert {catalogue()[arm]["genre"] for arm in decision.arms} == {"sport"}
    steps = replay(decision, load=lambda _: shop.host.selector.release, spool=shop.host.spool, spec=RewardSpec())
    assert all(s.holds for s in steps)
    (said,) = [s.detail for s in steps if s.step == "retrieval"]
    assert f"{50 - len(decision.arms)} of them left out" in said


@pytest.mark.parametrize("taste", [None, [1.0], [1.0, 2.0, 3.0, "x"], [1.0, 2.0, 3.0, float("inf")], "a"])
def test_a_request_without_its_embedding_is_refused_by_name(shop, taste):
    with pytest.raises(Refused, match=r"context"):
        shop.select(unit_id="u", context={"taste": taste} if taste is not None else {})


def test_an_index_that_was_changed_is_not_loaded(shop, tmp_path):
    home, number = shop.host.w.home, shop.host.selector.release.number
    folder = tmp_path / str(number)
    shutil.copytree(layout.embedded(home, number), folder)
    file = folder / layout.RETRIEVAL / layout.INDEX
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ReleaseRefused, match=r"index.safetensors"):
        bundle.load(folder)


@pytest.mark.slow
def test_triton_lists_the_same_arms_for_an_empty_list(shop, monkeypatch):
    w, release = shop.host.w, shop.host.selector.release
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
    deployment.follow(w.store, w.home, triton=None)
    requests = [asked(i) for i in range(2_000, 2_040)]
    with TritonServer(w.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        answers = client.select_batch(requests)
        (refused,) = client.select_batch([Request(unit_id="u", context={}, arms=())])
    assert "context.taste: found None, expected 4 numbers" in refused.error
    for request, answer in zip(requests, answers, strict=True):
        (decision,) = shop.host.spool.find([answer.event_id]).values()
        assert (decision.arms, decision.retrieved) == release.retriever.listed(request.context, request.event_id)
        assert (answer.arm, answer.propensity) == (decision.arm, decision.propensity)


@pytest.mark.parametrize(("was", "becomes", "says"), [
    ('context = "taste"\narm', "arm", "found one of context and arm"),
    ('arm = "taste"', 'arm = "genre"', "found 'genre', expected an embedding among .arm.: taste"),
    ("length = 4\n[arm.genre]", "length = 5\n[arm.genre]", "found embeddings of length 4 and 5, expected one length"),
    ("top = 40", "top = 995", "found top 995 and random 10, expected at most 1000 together"),
    ("[retrieval]", '[arms]\nsource = "both"\n[retrieval]', "found it with arms.source = 'both'"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, was, becomes, says):
    path = tmp_path / "app.toml"
    path.write_text(TOML.replace(was, becomes))
    with pytest.raises(SpecError, match=says):
        AppSpec.read(path)


def test_app_check_says_what_is_understood_and_names_an_arm_that_does_not_fit(shop):
    w = shop.host.w
    spec, arms = w.spec.retrieval, w.arms()
    assert retriever.sentences(spec, len(arms)) == [
        (
            "retrieval: a request that lists no arms is decided among 40 of 3,000, by taste and its own taste, and 10 drawn "
            "of the other 2,960"
        )
    ]
    assert retriever.sentences(spec, 45)[0].endswith("and 5 drawn of the other 5")
    assert retriever.problems(spec, arms) == []
    for taste, says in ((None, "found taste = None"), ([1.0, 2.0], "expected 4 numbers, as of other arms")):
        odd = replace(arms[1], features={**arms[1].features, "taste": taste})
        (problem,) = retriever.problems(spec, [arms[0], odd])
        assert problem.startswith("arm item1: ")
        assert says in problem
    found = app_check.check(w, now=clock.now())
    assert any(sentence.startswith("retrieval: ") for sentence in found.facts["constraints"]), found.facts
