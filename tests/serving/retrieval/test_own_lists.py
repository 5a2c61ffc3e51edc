"""[retrieval] learnt = true: lists by what the champion expects of arms, found by an index, exact as all lists are."""

import time
import tomllib
from contextlib import closing

import numpy as np
import pytest

pytest.importorskip("faiss", reason="the extra `retrieval`")

from croupier import Client, Embedded, Refused
from croupier.features.encoding import catalogue
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec, RewardSpec
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.models.policy import make
from croupier.models.retrieval.arm_index import ArmIndex, arrays_of
from croupier.serving.contract.requests import Request
from croupier.serving.decide.replay import replay
from croupier.serving.embedded.host import MIRROR_SECONDS
from croupier.serving.operate import app_check, deployment, verdict_release
from croupier.serving.release import bundle_store
from croupier.serving.retrieval.own_lists import BEYOND, OwnLists, OwnQueries, embedding
from croupier.serving.retrieval.retriever import PROBED_OF_OWN
from croupier.serving.retrieval.sampled_requests import requests
from croupier.serving.triton.server import Ports, TritonServer
from tests.serving.retrieval import furnished


def opened(var, *, store=""):
    w = Workspace(Settings(app="shop", var=var, store=store))
    w.home.mkdir(parents=True, exist_ok=True)
    (w.home / layout.APP_TOML).write_text(furnished.TOML)
    catalogue.write(w.home / layout.CATALOGUE, furnished.arms())
    return w


def publish(w, champion, candidate=None):
    encoder, _ = furnished.learnt()
    return verdict_release.release_policies(
        w, champion=champion, candidate=candidate, encoder=encoder, arms=furnished.arms(), meta={"verdict": "test"}
    ).number


def asked(n, seed=1):
    every = enumerate(furnished.contexts(n, seed))
    return [Request(unit_id=f"u{i}", context=context, arms=(), event_id=f"e{seed}-{i}") for i, context in every]


def best_by_hand(policy, encoder, context, top):
    """Ids of the arms that the policy expects most of, of all."""
    there = furnished.arms()
    known = encoder.catalogue(there)
    batch = encoder.encode([context], [known.ids], [()], known)
    expected = np.asarray(policy.phi(batch), np.float64) @ policy.head.mean
    return {known.ids[row] for row in np.argsort(-expected, kind="stable")[:top]}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neural_linear", "lin_ts"])
def test_recall_of_the_policy_s_own_best_among_30000_arms_whose_index_is_no_scan(name):
    encoder, policy = furnished.learnt(name, 30_000)
    lists = OwnLists.of(policy, encoder, encoder.catalogue(furnished.arms(30_000)), range(30_000))
    vectors = lists.vectors()
    arrays = arrays_of(vectors)
    assert "centroids" in arrays, "too many arms for a scan"
    index, queries, found, random = ArmIndex.of_arrays(arrays, PROBED_OF_OWN), OwnQueries(lists, vectors), [], []
    for context in furnished.contexts(40, 7):
        best = set(np.argsort(-lists.scores(context, np.arange(30_000)), kind="stable")[:90].tolist())
        near = index.search(queries.of(context), BEYOND * 90)[0]
        found.append(len(best & set(lists.best(context, near, 90).tolist())) / 90)
        random.append(len(best & set(np.random.default_rng(1).choice(30_000, BEYOND * 90).tolist())) / 90)
    assert np.mean(found) > 0.97
    assert min(found) > 0.8
    assert np.mean(random) < 0.05


@pytest.mark.medium
def test_lists_are_the_champion_s_best_and_random_others_and_each_is_derived_again(tmp_path):
    w, (encoder, policy) = opened(tmp_path), furnished.learnt()
    number = publish(w, policy)
    assert bundle_store.manifest(w.store, number)["retrieved_by"] == "champion"
    with Embedded("shop", var=tmp_path) as shop:
        answers = shop.select_batch(asked(60))
        release, spool = shop.host.selector.release, shop.host.spool
        found = spool.find([a.event_id for a in answers])
        hits = []
        for request, answer in zip(asked(60), answers, strict=True):
            decision = found[answer.event_id]
            assert decision.retrieved == f"40+10 of {furnished.ARMS}"
            assert decision.propensity == dict(zip(decision.arms, decision.pmf, strict=True))[decision.arm]
            hits.append(len(best_by_hand(policy, encoder, request.context, 40) & set(decision.arms[:40])) / 40)
            steps = replay(decision, load=lambda _: release, spool=spool, spec=RewardSpec())
            assert "retrieval" in {s.step for s in steps}
            assert all(s.holds for s in steps), steps
        assert np.mean(hits) > 0.98
        with pytest.raises(Refused, match=r"context\.age: found 'old', expected a finite number"):
            shop.select(unit_id="u", context={"who": "a", "age": "old"})
        odd = shop.select(unit_id="u", context={})
        assert odd.arm, "a request that says nothing of itself has a list, too"


@pytest.mark.medium
def test_until_it_is_learnt_lists_are_random_and_a_candidate_s_serve_both(tmp_path):
    w, (_, policy) = opened(tmp_path), furnished.learnt()
    assert bundle_store.manifest(w.store, publish(w, make("uniform")))["retrieved_by"] == ""
    with Embedded("shop", var=tmp_path) as shop:
        answers = shop.select_batch(asked(200))
        release, spool = shop.host.selector.release, shop.host.spool
        found = spool.find([a.event_id for a in answers])
        assert {d.retrieved for d in found.values()} == {f"0+50 of {furnished.ARMS}"}
        assert len({arm for d in found.values() for arm in d.arms}) > 2_800, "of 3,000 each is as likely"
        (first, *_) = found.values()
        assert all(s.holds for s in replay(first, load=lambda _: release, spool=spool, spec=RewardSpec()))
        assert release.retriever.inclusion(first.context, first.event_id, first.arm) == pytest.approx(50 / 3000)
    assert bundle_store.manifest(w.store, publish(w, make("uniform"), policy))["retrieved_by"] == "candidate"
    assert embedding({"champion": make("lin_ts"), "candidate": policy}) == "candidate", "the first is untrained"
    assert embedding({"champion": make("lin_ts", heads="hybrid")}) == ""


def test_what_app_toml_may_say_of_it_and_what_is_understood(tmp_path):
    given = '[context.taste]\ntype = "embedding"\nlength = 4\n[arm.taste]\ntype = "embedding"\nlength = 4\n'
    for old, new, said in (
        ("learnt = true", 'learnt = true\ncontext = "taste"\narm = "taste"', "found it beside context and arm"),
        ("learnt = true", "learnt = true\nclusters = 4", "found it beside clusters"),
        ('"neural_linear"', '"vw_cb_adf"', "found candidates vw_cb_adf, expected neural_linear or lin_ts"),
        (
            "[retrieval]",
            '[policies.parameters.neural_linear]\nheads = "per_arm"\n[retrieval]',
            "expected neural_linear",
        ),
        ("top = 40", "top = 995", "found top 995 and random 10"),
    ):
        with pytest.raises(ValueError, match=said):
            AppSpec.model_validate(tomllib.loads(furnished.TOML.replace(old, new) + given))
    w = opened(tmp_path)
    found = app_check.check(w, now=app_check.from_us(0))
    assert found.problems == ()
    (said,) = [line for line in found.facts["constraints"] if line.startswith("retrieval")]
    assert said.endswith("until neural_linear or lin_ts is champion or candidate, among 50 drawn of all")


def test_sampled_requests_are_like_those_that_the_encoder_was_fitted_on():
    encoder, _ = furnished.learnt()
    drawn = requests(encoder, 2_000)
    assert drawn == requests(encoder, 2_000)
    ages = np.array([row["age"] for row in drawn])
    assert ages.min() >= -60
    assert ages.max() < 60
    assert abs(ages.mean()) < 3
    assert ages.std() == pytest.approx(120 / np.sqrt(12), rel=0.05)
    share = np.mean([row["who"] == "a" for row in drawn])
    assert share == pytest.approx(np.mean([c["who"] == "a" for c in furnished.contexts(3_000, 0)]), abs=0.04)
    for row in drawn[:20]:
        encoder.context.validation.check(row, "context")


@pytest.mark.slow
def test_triton_lists_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_PATIENCE_MS", "60000")  # of a busy machine
    store = tmp_path / "store"
    served, own = (opened(tmp_path / host, store=str(store)) for host in ("triton-host", "own-host"))
    publish(served, furnished.learnt()[1])
    (own.home / layout.UNIT_KEY).write_text(served.unit_key)
    (own.home / layout.UNIT_KEY).chmod(0o600)
    deployment.follow(served.store, served.home, triton=None)
    monkeypatch.setenv("CROUPIER_STORE", str(store))
    with TritonServer(served.home, ports=Ports.free()) as triton, Client(triton.grpc, deadline_ms=30_000) as client:
        by_triton = client.select_batch(asked(40))
    with Embedded("shop", var=tmp_path / "own-host") as shop:
        shop.host.look()
        time.sleep(2 * MIRROR_SECONDS)
        by_itself = shop.select_batch(asked(40))
        there = shop.host.spool.find([a.event_id for a in by_itself])
    with closing(served.spool()) as spool:
        here = spool.find([a.event_id for a in by_triton])
    assert [(a.arm, a.error) for a in by_triton] == [(a.arm, "") for a in by_itself]
    assert {e: (d.arms, d.retrieved) for e, d in here.items()} == {e: (d.arms, d.retrieved) for e, d in there.items()}
