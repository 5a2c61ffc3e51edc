"""Joint propensities against plain formulas, draws against joint propensities, and what is refused."""

import numpy as np
import pytest
from scipy.stats import chisquare

from croupier.models.slates import policy as slate_policy
from croupier.models.slates.enumeration import conditionals, every_slate, marginals
from croupier.models.slates.marginals import of_plackett_luce
from croupier.models.slates.policies import Diversified, Minimums, Mixed, PlackettLuce, TopVotes, gumbel_top_k
from tests.models.slates import plain_slates

B, K, SLOTS = 3, 5, 3
RNG = np.random.default_rng(11)
SCORES, MASK = RNG.normal(size=(B, K)), np.ones((B, K), bool)
MASK[1, 2] = False
PMF = np.where(MASK, np.exp(SCORES), 0.0) / np.where(MASK, np.exp(SCORES), 0.0).sum(axis=1, keepdims=True)
LIKENESS, DRAWS = RNG.random((B, K, K)), RNG.normal(size=(B, K, 64))
CATEGORY = np.tile([0, 0, 1, 2, 1], (B, 1))


def made(rows):
    """Every policy on these of the three requests, one of them perhaps many times."""
    mask, of_pmf = MASK[rows], PlackettLuce.of_pmf(PMF[rows], MASK[rows])
    votes = TopVotes.of_scores(DRAWS[rows], mask, SLOTS)
    alike = Diversified(scores=SCORES[rows], likeness=LIKENESS[rows], mask=mask, weight=0.6, temperature=0.3)
    return {
        "plackett_luce": PlackettLuce.of_scores(SCORES[rows], mask, temperature=0.7),
        "pmf": of_pmf,
        "top_votes": votes,
        "diversified": alike,
        "mixed": Mixed.floor(votes, 0.2),
        "minimums": Minimums(policy=of_pmf, category=CATEGORY[rows], least={1: 1, 2: 1}, k=SLOTS),
    }


POLICIES = made(np.arange(B))
PLAIN = {
    "plackett_luce": lambda row, s: plain_slates.plackett_luce(list(np.exp(SCORES[row] / 0.7)), s),
    "pmf": lambda row, s: plain_slates.plackett_luce(list(PMF[row]), s),
    "top_votes": lambda row, s: plain_slates.top_votes(DRAWS[row].tolist(), s),
    "diversified": lambda row, s: plain_slates.diversified(SCORES[row], LIKENESS[row], 0.6, 0.3, s),
    "mixed": lambda row, s: 0.8 * plain_slates.top_votes(DRAWS[row].tolist(), s) + 0.2 / 60,
}


@pytest.mark.parametrize("name", POLICIES)
def test_joint_propensities_sum_to_one_over_all_slates(name):
    joint = conditionals(POLICIES[name], SLOTS).prod(axis=2)
    assert joint.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert joint[1][(every_slate(K, SLOTS) == 2).any(axis=1)].max() == 0.0  # arm 2 is no candidate of row 1


@pytest.mark.parametrize("name", PLAIN)
def test_joint_propensities_equal_the_plain_formula(name):
    slates, joint = every_slate(K, SLOTS), conditionals(POLICIES[name], SLOTS).prod(axis=2)
    for row in (0, 2):  # every arm is a candidate there
        assert joint[row] == pytest.approx([PLAIN[name](row, tuple(s)) for s in slates.tolist()], abs=1e-12)
        place = slates[[5]].repeat(B, axis=0)
        assert slate_policy.propensities(POLICIES[name], place)[row].prod() == pytest.approx(joint[row, 5], abs=1e-12)


def fits(found, joint):
    """p-value of χ²: drawn slates (n, k) against joint propensities (N,); none that is impossible."""
    number = {tuple(s): i for i, s in enumerate(every_slate(K, SLOTS).tolist())}
    count = np.bincount([number[tuple(s)] for s in found.tolist()], minlength=len(joint))
    assert count[joint == 0].sum() == 0
    kept = joint > 0
    return chisquare(count[kept], joint[kept] / joint[kept].sum() * len(found)).pvalue


@pytest.mark.parametrize("name", POLICIES)
def test_draws_follow_the_joint_propensities_and_report_their_own(name):
    many, rng = made(np.zeros(5000, int))[name], np.random.default_rng(5)
    joint = conditionals(POLICIES[name], SLOTS).prod(axis=2)[0]
    drawn = slate_policy.draw(many, rng.random((5000, SLOTS)))
    assert fits(drawn.place, joint) > 1e-3
    number = {tuple(s): i for i, s in enumerate(every_slate(K, SLOTS).tolist())}
    assert drawn.joint == pytest.approx(joint[[number[tuple(s)] for s in drawn.place.tolist()]], abs=1e-12)


def test_gumbel_top_k_is_plackett_luce_and_a_wrong_temperature_is_seen():
    many = PlackettLuce.of_scores(np.tile(SCORES[0], (20_000, 1)), np.ones((20_000, K), bool))
    drawn = gumbel_top_k(many, SLOTS, np.random.default_rng(1))
    right, wrong = (
        conditionals(PlackettLuce.of_scores(SCORES[:1], MASK[:1], temperature=t), SLOTS).prod(axis=2)[0]
        for t in (1.0, 1.1)
    )
    assert fits(drawn, right) > 1e-3
    assert fits(drawn, wrong) < 1e-6


def test_marginals_of_plackett_luce_need_no_enumeration():
    policy = POLICIES["plackett_luce"]
    exact = marginals(conditionals(policy, SLOTS).prod(axis=2), K, SLOTS)
    assert of_plackett_luce(policy, SLOTS) == pytest.approx(exact, abs=1e-12)
    extreme = PlackettLuce.of_scores(np.array([[0.0, -30.0, -31.0, 5.0]]), np.ones((1, 4), bool))
    exact = marginals(conditionals(extreme, 2).prod(axis=2), 4, 2)
    assert of_plackett_luce(extreme, 2) == pytest.approx(exact, abs=1e-12)


def test_marginals_of_votes_need_no_enumeration():
    votes = POLICIES["top_votes"]
    assert votes.marginals() == pytest.approx(marginals(conditionals(votes, SLOTS).prod(axis=2), K, SLOTS), abs=1e-12)


def test_minimums_hold_in_every_slate_and_change_nothing_else():
    joint, slates = conditionals(POLICIES["minimums"], SLOTS).prod(axis=2), every_slate(K, SLOTS)
    kinds = CATEGORY[0][slates]
    meets = ((kinds == 1).sum(axis=1) >= 1) & ((kinds == 2).sum(axis=1) >= 1)
    assert joint[:, ~meets].max() == 0.0
    assert (joint[0, meets] > 0).all()
    first = marginals(joint, K, SLOTS)[:, 0]
    assert first == pytest.approx(PMF, abs=1e-12)  # with a slot to spare any arm may come first


def test_what_cannot_be_drawn_is_refused():
    sure = PlackettLuce.of_pmf(np.array([[1.0, 0.0, 0.0]]), np.ones((1, 3), bool))
    with pytest.raises(ValueError, match="row of 1 candidates, expected k ≤ candidates"):
        slate_policy.draw(sure, np.array([[0.5, 0.5]]))
    votes = TopVotes.of_scores(DRAWS, MASK, 2)
    with pytest.raises(ValueError, match="no arm with a probability above 0 for slot 2 of row 0"):
        slate_policy.draw(votes, np.full((B, 3), 0.5))
    with pytest.raises(ValueError, match="expected a sum of at most 3"):
        Minimums(policy=votes, category=CATEGORY, least={0: 2, 1: 2}, k=3)
    with pytest.raises(ValueError, match="1 arms of category 1, expected 2"):
        Minimums(policy=votes, category=CATEGORY, least={1: 2}, k=3)
    with pytest.raises(ValueError, match="expected as many shares"):
        Mixed(policies=(votes, votes), shares=(0.9, 0.2))
    with pytest.raises(ValueError, match="expected at most 100,000 to enumerate"):
        every_slate(80, 3)


def test_a_slate_that_could_not_have_been_has_propensity_zero():
    found = slate_policy.propensities(POLICIES["plackett_luce"], np.array([[0, 0, 1], [2, 0, 1], [3, 1, 4]]))
    assert (found[0, 1:] == 0).all()
    assert (found[1] == 0).all()
    assert (found[2] > 0).all()


@pytest.mark.parametrize(("weight", "temperature"), [(1.1, 1.0), (-0.1, 1.0), (0.5, 0.0), (0.5, float("nan"))])
def test_a_weight_or_a_temperature_that_is_none_is_refused(weight, temperature):
    with pytest.raises(ValueError, match="expected a weight of 0 to 1 and a temperature above 0"):
        Diversified(scores=SCORES, likeness=LIKENESS, mask=MASK, weight=weight, temperature=temperature)
    if temperature != 1.0:
        with pytest.raises(ValueError, match="expected a number above 0"):
            PlackettLuce.of_scores(SCORES, MASK, temperature=temperature)


@pytest.mark.parametrize("shares", [(1.0,), (1.1, -0.1), (0.5, 0.4)])
def test_shares_of_a_mixture_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match=r"found 2 policies with shares \[.*, expected as many shares as policies"):
        Mixed(policies=(POLICIES["pmf"], POLICIES["top_votes"]), shares=shares)


def test_scores_that_are_not_finite_are_refused_at_candidates_alone():
    with pytest.raises(ValueError, match="found NaN or infinity at a candidate"):
        PlackettLuce.of_scores(np.where(MASK, np.nan, 0.0), MASK)
    masked = PlackettLuce.of_scores(np.where(MASK, SCORES, np.nan), MASK, temperature=0.7)
    assert conditionals(masked, 2) == pytest.approx(conditionals(POLICIES["plackett_luce"], 2), abs=1e-15)


def test_more_slots_than_candidates_are_refused_by_all():
    for ask in (
        lambda: gumbel_top_k(POLICIES["pmf"], 5, RNG),
        lambda: TopVotes.of_scores(DRAWS, MASK, 5),
        lambda: of_plackett_luce(POLICIES["pmf"], 5),
        lambda: slate_policy.propensities(POLICIES["pmf"], np.zeros((B, 5), int)),
    ):
        with pytest.raises(ValueError, match="found 5 slots and a row of 4 candidates, expected k ≤ candidates"):
            ask()
    with pytest.raises(ValueError, match=r"found shape \(2, 3\), expected \(B, k\) with B = 3"):
        slate_policy.draw(POLICIES["pmf"], np.zeros((2, 3)))
