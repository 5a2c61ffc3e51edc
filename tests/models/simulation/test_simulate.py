"""The online simulator: its problems are what they say, its numbers are what the definitions give."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from croupier.models.simulation import simulate
from croupier.models.simulation.online.learner import FINE, LONG, Learner, Schedule, schedule_of
from croupier.models.simulation.simulate import Problem, contender, problem_of, run
from croupier.serving.cli import app

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)).astype(np.float32)
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(np.int64)


def classes(rounds=300):
    return Problem.classification(X, Y, rounds, np.random.default_rng(1))


def test_classification_rewards_the_right_class_and_repeats_rows_only_when_it_must():
    problem = classes(600)
    assert problem.means.sum() == 600
    assert np.unique(problem.contexts[:300], axis=0).shape == (300, 3)
    t = np.arange(600)
    assert (problem.draw(t, problem.means.argmax(axis=1), RNG) == 1).all()
    assert (problem.draw(t, 1 - problem.means.argmax(axis=1), RNG) == 0).all()


def test_mushroom_draws_have_the_showdowns_means():
    problem = Problem.mushroom(X, Y, 300, np.random.default_rng(1))
    t = np.repeat(np.arange(300), 400)
    eaten = problem.draw(t, np.zeros(len(t), dtype=int), np.random.default_rng(2)).reshape(300, 400).mean(axis=1)
    np.testing.assert_allclose(eaten, problem.means[:, 0], atol=5)
    assert set(problem.means[:, 0]) == {5.0, -15.0}
    assert (problem.draw(np.arange(300), np.ones(300, dtype=int), RNG) == 0).all()


def test_wheel_pays_fifty_outside_to_the_quadrants_arm_only():
    problem = Problem.wheel(0.9, 20_000, np.random.default_rng(3))
    outside = (problem.contexts**2).sum(axis=1) > 0.81
    assert outside.mean() == pytest.approx(0.19, abs=0.01)
    assert (problem.means.max(axis=1)[outside] == 50).all()
    assert (problem.means.max(axis=1)[~outside] == 1.2).all()
    assert len(np.unique(problem.means[outside].argmax(axis=1))) == 4


def test_uniform_has_a_hundred_percent_of_uniforms_regret_and_the_expected_loss():
    found = simulate.simulate("uniform", lambda rng: Problem.classification(X, Y, 4000, rng), seeds=4)
    assert found["percent_of_uniform_regret"] == pytest.approx(100, abs=4)
    assert found["progressive_loss"] == pytest.approx(0.5, abs=0.02)
    assert found["percent_of_uniform_regret_se"] == pytest.approx(np.std(found["each_seed"], ddof=1) / 2)
    assert len(found["regret_curve"]) == 100


@pytest.mark.parametrize(("name", "most"), [("squarecb", 0.25), ("lin_ts", 0.15), ("lin_ucb", 0.15)])
@pytest.mark.medium
def test_learners_learn_a_linear_rule(name, most):
    regret, loss = run(contender(name, classes()), classes(1500), seed=0)
    assert regret[:20].mean() > 0.1
    assert regret[-500:].mean() < most
    assert (regret == loss).all()


@pytest.mark.medium
def test_neural_linear_learns_what_no_linear_rule_can():
    y = ((X[:, 0] > 0) ^ (X[:, 1] > 0)).astype(np.int64)
    last = {}
    for name in ("lin_ts", "neural_linear"):
        problem = Problem.classification(X, y, 1500, np.random.default_rng(1))
        last[name] = run(contender(name, problem), problem, seed=0)[0][-500:].mean()
    assert last["neural_linear"] < 0.12
    assert last["lin_ts"] > 0.3


@pytest.mark.medium
def test_same_seed_same_run():
    runs = [run(contender("lin_ts", classes()), classes(), seed=4)[0] for _ in range(2)]
    assert (runs[0] == runs[1]).all()


@pytest.mark.medium
def test_command_writes_what_it_prints(tmp_path):
    np.savez(tmp_path / "mine.npz", X=X * 100, y=Y)
    out = tmp_path / "out.json"
    arguments = [
        "simulate",
        "learning",
        "--data",
        str(tmp_path / "mine.npz"),
        "--policy",
        "lin_ts",
        "--rounds",
        "200",
        "--seeds",
        "2",
        "--json",
        str(out),
        "--picture",
        str(tmp_path / "curve.svg"),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert found["policy"] == "lin_ts"
    assert found["rounds"] == 200
    assert 0 < found["progressive_loss"] < 0.5
    assert f"{found['percent_of_uniform_regret']:.4g} ± {found['percent_of_uniform_regret_se']:.2g}" in result.output
    picture = (tmp_path / "curve.svg").read_text()
    assert picture.startswith("<?xml")
    assert "mine: 200 rounds, 2 seeds" in picture  # matplotlib names each text in a comment


@pytest.mark.medium
def test_one_seed_has_no_standard_error():
    call = ["simulate", "learning", "--policy", "lin_ts", "--rounds", "50", "--seeds", "1"]
    said = CliRunner().invoke(app, call)
    assert said.exit_code == 0, said.output
    assert "±" not in said.output
    assert "nan" not in said.output


def test_values_that_cannot_be_are_named():
    for more, said in ((["--seeds", "0"], "found 10 rounds and 0 seeds"), (["--parameters", "{x"], "expected JSON")):
        result = CliRunner().invoke(app, ["simulate", "learning", "--policy", "lin_ts", "--rounds", "10", *more])
        assert result.exit_code != 0
        assert said in result.output + str(result.exception)


def test_long_runs_relearn_as_the_log_grows_by_a_quarter():
    policy = contender("lin_ts", classes())
    assert schedule_of(policy, 10_000) == Schedule()
    assert schedule_of(policy, 80_000) == LONG
    assert schedule_of(contender("squarecb", classes()), 80_000) == FINE
    learner = Learner(policy, (0.0, 1.0), 0, LONG, due=40_000)
    learner.learn(simulate.play(classes(), learner, 0, 5, RNG), 40_000)
    assert learner.due == 50_000


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="found no file"):
        problem_of(tmp_path / "none.npz", reward="class", wheel=None, rounds=10)
    with pytest.raises(ValueError, match="reward: found 'x', expected one of class, mushroom"):
        problem_of(None, reward="x", wheel=None, rounds=10)
    with pytest.raises(ValueError, match="policy: found 'x'"):
        contender("x", classes())
