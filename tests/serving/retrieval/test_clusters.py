"""[retrieval] clusters: first a cluster, then an arm of it; the propensity is the product, logged, and derived again."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("faiss", reason="the extra `retrieval`")
from croupier import Embedded
from croupier.features.clock import now
from croupier.features.spec import AppSpec, RewardSpec, SpecError
from croupier.models.retrieval.arm_index import clusters_of
from croupier.models.retrieval.hierarchy import ArmClusters
from croupier.serving.contract.requests import Request
from croupier.serving.decide.replay import replay
from croupier.serving.operate import app_check

pytestmark = pytest.mark.medium

D, ARMS, C, EXPLORE = 4, 400, 5, 0.3
TOML = f"""
[context.taste]
type = "embedding"
length = {D}
[arm.taste]
type = "embedding"
length = {D}
[retrieval]
context = "taste"
arm = "taste"
top = 8
random = 2
clusters = {C}
explore = {EXPLORE}
"""
VECTORS = np.random.default_rng(5).normal(size=(ARMS, D)).round(4)
QUERY = np.random.default_rng(6).normal(size=D).round(4)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    var = tmp_path_factory.mktemp("var")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(var))
        arms = {f"item{i}": {"taste": VECTORS[i]} for i in range(ARMS)}
        with Embedded.declared("shop", toml=TOML, arms=arms, var=var) as found:
            yield found


@pytest.fixture(scope="module")
def decided(shop):
    """3,000 requests of one taste, and their decisions on record."""
    taste = {"taste": QUERY.tolist()}
    requests = [Request(unit_id=f"u{i}", context=taste, arms=(), event_id=f"e{i}") for i in range(3_000)]
    for first in range(0, 3_000, 500):
        assert [a.error for a in shop.select_batch(requests[first : first + 500]) if a.error] == []
    return [*shop.host.spool.find([f"e{i}" for i in range(3_000)]).values()]


@pytest.fixture(scope="module")
def clusters():
    return clusters_of(VECTORS.astype(np.float32), C)


def test_a_list_is_the_best_of_one_cluster_and_others_of_it(decided, clusters):
    for d in decided[:300]:
        rows = [int(arm.removeprefix("item")) for arm in d.arms]
        (cluster,) = {int(clusters.of[row]) for row in rows}
        mine = np.flatnonzero(clusters.of == cluster)
        best = mine[np.argsort(-(VECTORS[mine].astype(np.float32) @ QUERY.astype(np.float32)))][:8]
        assert {*rows[:8]} == {*best.tolist()}
        near = cluster == int((clusters.centroids @ QUERY).argmax())
        q = EXPLORE / C + (1 - EXPLORE) * near
        assert d.retrieved == f"8+2 of {len(mine)} in cluster {cluster} of {C} by {q:.6g}"


def test_clusters_and_arms_are_drawn_as_often_as_their_propensities_say(shop, decided, clusters):
    """The sum of 1 / propensity among all estimates how many arms a cluster has (Horvitz & Thompson 1952)."""
    retriever = shop.host.selector.release.retriever
    of = np.array([clusters.of[int(d.arm.removeprefix("item"))] for d in decided])
    among_all = [retriever.inclusion(d.context, d.event_id, d.arm) * d.propensity for d in decided]
    q = clusters.pmf(QUERY.astype(np.float32), EXPLORE)
    for cluster in range(C):
        share, weight = of == cluster, (of == cluster) / np.array(among_all)
        assert share.mean() == pytest.approx(q[cluster], abs=5 * np.sqrt(q[cluster] / len(of)))
        size = (clusters.of == cluster).sum()
        assert weight.mean() == pytest.approx(size, abs=5 * weight.std() / np.sqrt(len(of))), "each arm counts 1"
        assert weight.std() / np.sqrt(len(of)) < size / 4


def test_each_is_derived_again_with_the_product_and_another_cluster_is_seen(shop, decided):
    release = shop.host.selector.release

    def steps(d):
        return replay(d, load=lambda _: release, spool=shop.host.spool, spec=RewardSpec())

    for d in decided[:20]:
        assert all(step.holds for step in steps(d)), steps(d)
    d = decided[0]
    (said,) = [step.detail for step in steps(d) if step.step == "retrieval"]
    among_all = release.retriever.inclusion(d.context, d.event_id, d.arm) * d.propensity
    assert said.endswith(f"of all arms {d.arm} had {among_all:.6g}")
    wrong = replace(d, retrieved=d.retrieved.replace("in cluster ", "in cluster 1"))
    assert [step.step for step in steps(wrong) if not step.holds] == ["retrieval"]
    found = app_check.check(shop.host.w, now=now())
    assert found.problems == ()
    assert any("8 of one of 5 clusters of 400 arms" in each for each in found.facts["constraints"])


def test_an_empty_cluster_is_never_drawn_and_the_same_vectors_give_the_same_ones(clusters):
    again = ArmClusters.of_arrays(clusters.arrays() | {"vectors": clusters.vectors})
    np.testing.assert_array_equal(again.of, clusters_of(clusters.vectors, C).of)
    assert sorted(np.concatenate([again.members(c) for c in range(C)]).tolist()) == [*range(ARMS)]
    holes = ArmClusters(
        vectors=np.eye(3, 2, dtype=np.float32), centroids=np.ones((4, 2), np.float32), of=np.array([1, 1, 2])
    )
    np.testing.assert_allclose(holes.pmf(np.ones(2, np.float32), 0.5), [0, 0.75, 0.25, 0])
    drawn = {holes.drawn(np.ones(2, np.float32), 0.5, salt="s", event_id=f"e{i}") for i in range(200)}
    assert drawn == {(1, 0.75), (2, 0.25)}


@pytest.mark.parametrize(("was", "becomes"), [("explore = 0.3", "explore = 1.1"), ("clusters = 5", "clusters = -1")])
def test_what_does_not_fit_is_refused(tmp_path, was, becomes):
    (tmp_path / "app.toml").write_text(TOML.replace(was, becomes))
    with pytest.raises(SpecError, match=r"retrieval\.(explore|clusters)"):
        AppSpec.read(tmp_path / "app.toml")
