"""One reward outside what is declared must neither hide harm nor show a benefit; it is a problem with a name."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from croupier.features.schema import Reward
from croupier.features.spec import AppSpec, RewardSpec
from croupier.models.baselines import FixedArm
from croupier.models.policy import make
from croupier.models.simulation.synthetic import LinearWorld
from croupier.serving.evidence import gather
from croupier.serving.evidence.comparison import Compared
from croupier.serving.evidence.dr_rewards import late_counted, reward_bets
from croupier.serving.evidence.gather import outside
from tests.serving.watched import START, House


def compared(*, absurd=0.0, to_candidate=True, n=20_000):
    """Half of all decisions are the candidate's, whose rewards come half as often; one decision may be absurd."""
    log = LinearWorld.make(1).log(n, seed=1, ragged=False)
    rng = np.random.default_rng(2)
    assigned = rng.random(n) < 0.5
    reward = (rng.random(n) < np.where(assigned, 0.05, 0.10)).astype(np.float64)
    if absurd:
        reward[np.flatnonzero(assigned == to_candidate)[10]] = (
            absurd  # among those that fix the bets' baseline and scale
        )
    return Compared(frame=pl.DataFrame(), log=replace(log, reward=reward), assigned=assigned, share=np.full(n, 0.5))


@pytest.mark.parametrize("absurd", [100.0, 1e6, 1e300, np.inf, np.nan])
def test_a_candidate_with_half_the_clicks_is_caught_as_fast_beside_one_absurd_click(absurd):
    plain = reward_bets(compared(), RewardSpec(), None).log_wealth(0.0, harm=True)
    found = reward_bets(compared(absurd=absurd), RewardSpec(), None).log_wealth(0.0, harm=True)
    level = np.log(1 / 0.018)
    assert plain.max() > level
    assert abs(int((found >= level).argmax()) - int((plain >= level).argmax())) <= 50  # one more click, and no more


def test_what_lies_outside_is_named_with_its_count():
    assert outside("rewards", np.array([0.0, 1.0, 0.5]), (0.0, 1.0)) == []
    (why,) = outside("complaint", np.array([0.0, 1e6, -1.0]), (0.0, 1.0))
    assert why == "complaint outside the declared range [0.0, 1.0]: 2 of 3 decisions, such as 1e+06"
    assert outside("x", np.array([np.nan]), (0.0, 1.0)) != []


def test_what_is_late_and_no_number_adds_no_more_than_the_range_holds():
    rows = compared(n=3)
    late = np.array([np.nan, np.inf, 0.25])  # ∞ − ∞, and 1e308 twice
    rows = replace(rows, log=replace(rows.log, reward=np.zeros(3)), frame=pl.DataFrame({"late_reward": late}))
    assert late_counted(rows, np.zeros(3), RewardSpec()).tolist() == [0.0, 1.0, 0.25]


@pytest.mark.parametrize("name", ["lin_ts", "lin_ucb", "uniform", "beta_bernoulli", "vw_cb_adf"])
@pytest.mark.parametrize(("d_u", "d_a", "d_p"), [(0, 3, 0), (3, 0, 0), (0, 0, 2), (0, 0, 0)])
def test_a_policy_serves_an_app_without_features_of_some_kind(name, d_u, d_a, d_p):
    world = LinearWorld.make(3, d_u=d_u, d_a=d_a, d_p=d_p)
    log = world.log(400, seed=3, ragged=False)
    pmf = make(name).learn([log], seed=1).pmf(log.batch)
    np.testing.assert_allclose(pmf.sum(axis=1), 1.0, atol=1e-9)
    assert (pmf >= 0).all()


def looks_until_decided(h, *, kind="click", absurd=0.0, role="candidate", n=200):
    """How many looks a rollout took, and how it ended; after the first visits one decision of `role` gets a reward that
    an older server let in."""
    for look in range(1, 40):
        answers = h.visits(n)
        if absurd and look == 1:
            one = next(a for a in answers if a.role == role)
            h.spool.append_rewards([Reward(event_id=one.event_id, at=START, kind=kind, value=absurd)])
        state = h.look()
        if not state.running:
            break
    return look, state


@pytest.mark.medium
@pytest.mark.parametrize("absurd", [100.0, 1e6, 1e300])
def test_half_the_clicks_abort_as_fast_beside_one_absurd_click(tmp_path, absurd):
    found = []
    for name, value in (("plain", 0.0), ("absurd", absurd)):
        h = House(tmp_path / name, FixedArm(arm="a3"), stages=(0.5, 1.0))
        found.append(looks_until_decided(h, absurd=value))
        h.spool.close()
    (plain, without), (beside, state) = found
    assert (without.stage, state.stage) == ("aborted", "aborted")
    assert abs(beside - plain) <= 1
    assert "reward" in state.history[-1]["reason"]


@pytest.mark.medium
@pytest.mark.parametrize("role", ["champion", "candidate"])
def test_a_complaint_of_a_million_promotes_no_candidate_that_brings_three_times_as_many(house, role):
    """The candidate earns twice as much; one absurd complaint, on either side, hides nothing."""
    h = house(
        FixedArm(arm="a2"),
        stages=(0.5, 1.0),
        guardrails={"complaint": "higher"},
        guards={"complaint": lambda a: 0.3 if a.role == "candidate" else 0.1},
    )
    _, state = looks_until_decided(h, kind="complaint", absurd=1e6, role=role)
    assert state.stage == "aborted"
    assert "complaint" in state.history[-1]["reason"]
    found = gather.gather(h.store, h.spec, replace(state, stage="50%"), h.selector.release, now=h.now)
    assert any(p.startswith("complaint outside the declared range [0.0, 1.0]: 1 of ") for p in found.problems)


def test_a_range_of_a_guardrail_that_is_not_there_is_named():
    with pytest.raises(
        ValueError, match=r"guardrail_ranges: found complaints, expected declared guardrails: complaint"
    ):
        AppSpec.model_validate(
            {"rollout": {"guardrails": {"complaint": "higher"}, "guardrail_ranges": {"complaints": [0, 9]}}}
        )


def test_a_default_outside_the_range_is_named():
    with pytest.raises(ValueError, match=r"reward.default: found -1, expected a value within reward.range, 0 to 1"):
        AppSpec.model_validate({"reward": {"default": -1.0}})
