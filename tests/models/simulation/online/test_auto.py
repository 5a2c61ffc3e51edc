"""`auto`: the mixture's pmf, what each policy would have earned, who stays, and what that comes to."""

import json
from statistics import NormalDist

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.models.baselines import FixedArm, Uniform
from croupier.models.policy import make
from croupier.models.simulation import simulate
from croupier.models.simulation.online import auto
from croupier.models.simulation.online.learner import Learner, Schedule
from croupier.models.simulation.online.portfolio import expected, portfolio
from croupier.models.simulation.simulate import CONTENDERS, Problem, learned, play
from croupier.serving.cli import app

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 3)).astype(np.float32)


def problem(y, rounds, seed=1):
    return Problem.classification(X, y, rounds, np.random.default_rng(seed))


def of(policies, **more):
    """An Auto of policies that do not learn, or learn fast."""
    learners = {name: Learner(policy, (0.0, 1.0), 0, Schedule()) for name, policy in policies.items()}
    return auto.Auto(learners, seed=0, **more)


def test_the_share_of_draws_in_which_one_is_best_is_that_of_the_normal():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(400, 2))
    values += np.array([0.1, 0.0]) - values.mean(axis=0)
    gap = values[:, 0] - values[:, 1]
    truth = NormalDist().cdf(gap.mean() / (gap.std(ddof=1) / 20))
    assert auto.best_shares(values, rng)[0] == pytest.approx(truth, abs=0.05)
    same = np.repeat(values[:, :1], 2, axis=1)  # paired: what all rows share decides nothing
    same[:, 0] += 0.001
    assert auto.best_shares(same, rng)[0] == 1.0
    assert auto.best_shares(values, np.random.default_rng(1)).sum() == 1.0


def test_arms_are_drawn_from_the_mixture_and_each_policy_is_judged_by_its_propensity():
    world = problem((X[:, 0] > 0).astype(np.int64), 100)
    mixed = of({"first": FixedArm(arm="arm-0"), "uniform": Uniform()})
    mixed.left = {"first": 0.25, "uniform": 0.75}
    played = play(world, mixed, 0, 100, np.random.default_rng(2))
    np.testing.assert_allclose(played.pmf, [[0.25 + 0.375, 0.375]] * 100)
    np.testing.assert_allclose(played.propensity, np.where(played.chosen == 0, 0.625, 0.375))
    mixed.learn(played, 100)
    weight = {"first": np.where(played.chosen == 0, 1.6, 0.0), "uniform": np.where(played.chosen == 0, 0.8, 4 / 3)}
    for name, each in weight.items():  # no reward was known before: the mean is 0
        np.testing.assert_allclose(np.concatenate(mixed.values[name]), each * played.reward)
    then, mean = play(world, mixed, 0, 100, np.random.default_rng(4)), played.reward.mean()
    mixed.learn(then, 101)
    np.testing.assert_allclose(
        np.concatenate(mixed.values["uniform"])[100:], mean + 0.5 / then.propensity * (then.reward - mean)
    )
    mixed.critic = lambda batch: world.means[:100]  # who knows the truth leaves no noise
    mixed.learn(play(world, mixed, 0, 100, np.random.default_rng(5)), 102)
    np.testing.assert_allclose(np.concatenate(mixed.values["uniform"])[200:], 0.5)
    np.testing.assert_allclose(np.concatenate(mixed.values["first"])[200:], world.means[:100, 0])


def test_the_critic_expects_what_a_linear_policy_does():
    world = problem((X[:, 0] > 0).astype(np.int64), 400)
    learner = Learner(make("lin_ucb", heads="per_arm"), (0.0, 1.0), 0, Schedule())
    assert expected(learner.policy, play(world, learner, 0, 5, RNG).batch, (0.0, 1.0)) is None
    learned(learner, world, seed=0)
    played = play(world, learner, 0, 400, RNG)
    found = expected(learner.policy, played.batch, (0.0, 1.0))
    assert ((found >= 0) & (found <= 1)).all()
    assert np.abs(found - world.means).mean() < 0.45
    assert (found.argmax(axis=1) == world.means.argmax(axis=1)).mean() > 0.85
    assert expected(Uniform(), played.batch, (0.0, 1.0)) is None


def test_the_worse_half_leaves_at_each_doubling_and_learns_no_more():
    always = (np.arange(600) % 10 < 7).astype(np.int64)  # arm 1 in seven rows of ten
    arms = {name: FixedArm(arm=f"arm-{name[0]}") for name in ("1", "0", "0 again", "0 too")}
    found = of(arms | {"uniform": Uniform()})
    _, loss = learned(found, problem(always, 1500), seed=0)
    assert max(found.left, key=found.left.get) == "1"
    assert found.left == {"1": 1.0}
    assert found.learnt == found.dropped | {"1": 1500}
    first, same, second, third = found.dropped.values()
    assert auto.FIRST <= first == same < second < third <= 1200
    assert 2 * first <= second < 1.1 * 2 * first
    assert loss[-500:].mean() == pytest.approx(0.3, abs=0.03)
    assert sum(found.learnt.values()) <= 3 * 1500


def test_rare_rewards_are_waited_for_but_not_for_ever():
    found = of({"one": Uniform(), "other": FixedArm(arm="arm-0")})
    found._rows, found._above = 1000, 50
    assert found._telling(1000) == 250
    found._above = 950
    assert found._telling(1000) == 250
    found._above = 100
    assert found._telling(1000) == 400
    found._above = 400
    assert found._telling(1000) == 1000


def test_two_that_do_not_differ_stay_until_the_last_rounds():
    found = of({"one": FixedArm(arm="arm-0"), "other": FixedArm(arm="arm-1")})
    learned(found, problem(np.arange(600) % 2, 1500), seed=0)
    assert set(found.left) == {"one", "other"}
    assert sum(found.left.values()) == pytest.approx(1.0)
    found._halve(auto.LAST)
    assert len(found.left) == 1


def test_who_costs_nothing_stays_until_it_is_surely_not_the_best():
    found = of({"free": Uniform(), **{name: Uniform() for name in "abc"}}, free=frozenset({"free"}))
    found.left = {"free": 0.3, "a": 0.1, "b": 0.4, "c": 0.2}
    assert sorted(found._stay(300)) == ["b", "c", "free"]
    found.left = {"free": 0.02, "b": 0.6, "c": 0.38}
    assert sorted(found._stay(500)) == ["b", "c"]
    found.left = {"free": 0.5, "b": 0.48, "c": 0.02}
    assert sorted(found._stay(500)) == ["b", "free"]
    found.left = {"free": 0.98, "b": 0.02}
    assert found._stay(500) == ["free"]
    found.left = {"free": 0.4, "b": 0.6}
    assert sorted(found._stay(50_000)) == ["b", "free"]


def test_narrowed_counts_who_was_left():
    runs = [of({"a": Uniform(), "b": Uniform()}) for _ in range(3)]
    for run, winner, rows in zip(runs, "aba", (10, 20, 60), strict=True):
        run.left, run.learnt = {winner: 1.0}, {"a": rows, "b": 5}
    assert auto.narrowed(runs) == {"portfolio": {"a": {"chosen": 2, "rows": 30.0}, "b": {"chosen": 1, "rows": 5.0}}}
    assert auto.narrowed([]) == {}


def test_the_portfolio_suits_the_range_of_rewards():
    assert portfolio((0.0, 1.0))["vw_cb_adf"][1]["preset"] == "greedy"
    assert portfolio((-35.0, 5.0))["vw_cb_adf"][1]["preset"] == "squarecb_cautious"
    assert portfolio((-35.0, 5.0))["neural_linear"][1]["prior"] == "multi_valued"
    assert {key for key, _ in portfolio((0.0, 1.0)).values()} <= set(CONTENDERS)


@pytest.mark.full
def test_a_network_is_left_where_no_linear_rule_holds_and_auto_loses_no_more_than_it():
    y = ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(np.int64)
    found, alone = (
        simulate.simulate(name, lambda rng: Problem.classification(X, y, 1200, rng), seeds=1)
        for name in ("auto", "lin_ts")
    )
    assert {name for name, of in found["portfolio"].items() if of["chosen"]} <= {"neural_linear", "neural_linear_ucb"}
    assert found["progressive_loss"] < 0.2
    assert alone["progressive_loss"] > 0.3


@pytest.mark.medium
def test_the_command_tells_what_became_of_the_portfolio_and_takes_no_parameters(tmp_path):
    y = (X[:, 0] > 0).astype(np.int64)
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    call = ["simulate", "learning", "--data", str(tmp_path / "mine.npz"), "--rounds", "150", "--seeds", "1"]
    result = CliRunner().invoke(app, [*call, "--policy", "auto", "--json", "-"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert 0 < found["progressive_loss"] < 0.5
    assert sum(each["chosen"] for each in found["portfolio"].values()) == 1
    assert max(each["rows"] for each in found["portfolio"].values()) == 150
    said = CliRunner().invoke(app, [*call, "--policy", "auto"])
    assert (
        f"auto: most was played by {max(found['portfolio'], key=lambda name: found['portfolio'][name]['chosen'])}"
        in said.output
    )
    refused = CliRunner().invoke(app, [*call, "--policy", "auto", "--parameters", '{"alpha": 1}'])
    assert refused.exit_code != 0
    assert "with auto, expected none" in refused.output + str(refused.exception)
