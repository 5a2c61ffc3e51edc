"""A policy's draws, each solved: the joint and marginal propensities are those of what is drawn, bit for bit again."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from croupier.features.schema import InvalidEvent
from croupier.models.allocation.allocator import Allocator
from croupier.models.allocation.request import AllocationRequest, Weights, joined
from croupier.models.bayesian.arrays import product
from croupier.models.bayesian.linear import LinTS
from croupier.models.bayesian.neural_linear import NeuralLinear
from tests.models.allocation.asked import OPTIONS, TOKENS, log, one


def learnt(kind=LinTS, *, crossed=True, draws=24, rows=60, **parameters):
    rng = np.random.default_rng(11)
    requests = [one(rng) for _ in range(rows)]
    return kind(draws=draws, **parameters).learn([log(rng, requests, crossed=crossed)], seed=5)


@pytest.fixture(scope="module")
def lin():
    return Allocator(policy=learnt(), floor=0.2, crossed=True)


def asked(seed=1, **more):
    return one(np.random.default_rng(seed), **more)


def test_what_is_drawn_has_the_probability_that_is_said(lin):
    """χ² of the joint, over every allocation that there is, and of each item's marginals."""
    (votes,) = lin.votes([asked()])
    seen = Counter(tuple(votes.draw("salt", f"event-{i}").tolist()) for i in range(20_000))
    every = [each for each in np.ndindex(4, 4, 4, 4) if TOKENS[list(each)].sum() <= 600]
    joint = np.array([votes.propensity(np.array(each)) for each in every])
    assert joint.sum() == pytest.approx(1, abs=1e-12)
    assert set(seen) <= set(every)
    likely = joint * 20_000 > 5
    counts = np.array([seen[each] for each in every])
    observed, expected = (
        np.append(counts[likely], counts[~likely].sum()),
        np.append(joint[likely], joint[~likely].sum()),
    )
    kept = expected > 0
    assert kept.sum() > 8
    assert chisquare(observed[kept], expected[kept] * 20_000).pvalue > 1e-3
    for item, row in enumerate(votes.marginals()):
        by_joint = [sum(p for each, p in zip(every, joint, strict=True) if each[item] == j) for j in range(4)]
        assert row == pytest.approx(by_joint, abs=1e-12)
        shown = np.array([sum(n for each, n in seen.items() if each[item] == j) for j in range(4)])
        assert chisquare(shown[row > 0], row[row > 0] * 20_000).pvalue > 1e-3


@pytest.mark.parametrize(("policy", "training"), [(LinTS, {}), (NeuralLinear, {"epochs": 2})])
def test_it_is_answered_again_bit_for_bit_alone_in_company_and_after_save_and_load(policy, training, tmp_path):
    allocator = Allocator(policy=learnt(policy, **training), crossed=True)
    allocator.policy.save(tmp_path)
    again = Allocator(policy=policy.load(tmp_path), crossed=True)
    requests = [asked(seed) for seed in range(3)]
    votes = allocator.votes(requests)
    for i, request in enumerate(requests):
        first = allocator.allocate(request, salt="s", event_id=f"e{i}")
        for other in (
            again.allocate(request, salt="s", event_id=f"e{i}"),
            allocator.allocation(request, votes[i], votes[i].draw("s", f"e{i}")),
        ):
            assert other.chosen.tobytes() == first.chosen.tobytes()
            assert other.marginals.tobytes() == first.marginals.tobytes()
            assert (other.propensity, other.cost, other.gap, other.step) == (
                first.propensity, first.cost, first.gap, first.step,
            )  # fmt: skip
        assert first.cost == TOKENS[first.chosen].sum() <= request.total
        assert first.marginals.sum(axis=1) == pytest.approx(1)


def test_another_posterior_or_event_draws_otherwise(lin):
    request = asked(items=8)
    drawn = {lin.allocate(request, salt="s", event_id=f"e{i}").chosen.tobytes() for i in range(20)}
    assert len(drawn) > 5
    moved = lin.policy.with_head(lin.policy.head.update(np.ones((1, len(lin.policy.head.mean))), np.ones(1)))
    other, batch = Allocator(policy=moved, floor=0.2, crossed=True), joined([request], crossed=True)
    assert other.allocate(request, salt="s", event_id="e1").step == lin.policy.head.step + 1
    assert not np.array_equal(other.scores(batch), lin.scores(batch))


def test_it_learns_which_items_deserve_their_tokens(lin):
    """The first feature of an item says what its tokens are worth."""
    request = one(np.random.default_rng(4), items=8, total=130.0)
    spent = lin.votes([request])[0].marginals() @ TOKENS
    order = np.argsort(request.items[:, 0])
    assert spent[order[-2:]].mean() > spent[order[:2]].mean() + 100


@pytest.mark.parametrize(("solver", "gap"), [("exact", 0.0), ("lagrangian", None), ("greedy", float("nan"))])
def test_solvers_are_named_and_say_their_gap(lin, solver, gap):
    allocator = Allocator(policy=lin.policy, crossed=True, solver=solver)
    found = allocator.allocate(asked(), salt="s", event_id="e").gap
    assert found >= 0 if gap is None else found == pytest.approx(gap, nan_ok=True)


def test_objectives_weigh(lin):
    region, covers = np.array([0, 0, 1, 1]), np.array([False, False, True, True])

    def marginals(**weights):
        request = asked(total=300.0, region=region, covers=covers)
        return (
            Allocator(policy=lin.policy, floor=0.0, crossed=True, weights=Weights(**weights))
            .votes([request])[0]
            .marginals()
        )

    assert (marginals(spare=1e6)[:, 0] == 1).all()  # nothing is worth its tokens
    covered = marginals(coverage=1e6)[:, 2:].sum(axis=1)
    assert min(covered[:2].sum(), covered[2:].sum()) >= 1  # in every draw each region has one at 256 tokens or more
    assert marginals()[:, 2:].sum() > 0
    with pytest.raises(ValueError, match="expected finite numbers, 0 or more"):
        Weights(spare=-1)


def test_clip_sized_features_are_allocated_by_a_network():
    rng = np.random.default_rng(2)
    sizes = {"items": 64, "d_u": 768, "d_a": 1024}
    policy = NeuralLinear(draws=64, hidden=(50,), epochs=1).learn([log(rng, [one(rng, **sizes)], crossed=False)])
    found = Allocator(policy=policy).allocate(one(rng, **sizes), salt="s", event_id="e")
    assert (found.chosen.shape, found.marginals.shape) == ((64,), (64, 4))
    assert 0 < found.propensity <= 1
    assert found.cost <= 150 * 64


def test_what_cannot_be_allocated_is_refused_by_name(lin):
    with pytest.raises(InvalidEvent, match=r"total: found 240\.0, expected at least 256"):
        lin.allocate(asked(total=60.0), salt="s", event_id="e")
    with pytest.raises(InvalidEvent, match=r"cost: found \(3,\), expected costs \(4,\) of the options, or \(4, 4\)"):
        AllocationRequest(
            context=np.zeros(3, np.float32),
            items=np.zeros((4, 2), np.float32),
            options=OPTIONS,
            cost=TOKENS[:3],
            total=1,
        )
    with pytest.raises(InvalidEvent, match="region: found 2, expected a number from 0 for each of the 4 items"):
        asked(region=np.zeros(2, int))
    with pytest.raises(InvalidEvent, match="covers: found 1, expected one for each of the 4 options"):
        asked(covers=np.ones(1, bool))
    for given in ({"heads": "per_arm"}, {"heads": "hybrid"}, {"explore": "ucb"}):
        with pytest.raises(ValueError, match=r"lin_ts: found \{.*\}, expected a shared head, .* and 'thompson'"):
            Allocator(policy=LinTS(**given))
    with pytest.raises(ValueError, match=r"floor: found 1\.5"):
        Allocator(policy=lin.policy, floor=1.5)
    with pytest.raises(ValueError, match="solver: found 'magic', expected one of exact, auto"):
        Allocator(policy=lin.policy, solver="magic")
    with pytest.raises(ValueError, match=r"encoder of the release"):
        lin.allocate(asked(d_u=2), salt="s", event_id="e")


def test_scores_are_those_of_each_option_by_itself(lin):
    """φ of all candidates at once gives each the bits that it has alone."""
    batch = joined([asked(seed) for seed in range(3)], crossed=True)
    weights = lin.policy.heads.drawn(seed=lin.policy.seed, draws=24, device="cpu")
    found = lin.scores(batch)
    for j in range(4):
        phi = lin.policy.features(batch, np.full(12, j)).astype(np.float32)
        assert np.array_equal(found[:, :, j], product(phi, weights).astype(np.float64).T * lin.policy.reward_sd)
