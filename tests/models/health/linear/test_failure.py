"""A linear model's failure: found and named where the reward is bent or crossed, not where it is linear."""

import numpy as np
import pytest

from croupier.models.health.linear import failure, nested, unexplained
from croupier.models.health.linear.failure import LinearFit, examine
from croupier.models.health.watches.model import growth_text
from croupier.models.simulation.health import linear_failure
from croupier.models.simulation.health.linear_failure import logistic, played

NAMES = ["age", "depth", "c", "d", "e", "f"]


def bent(X, w):
    return 4.0 * (np.abs(X[:, :1]) - 0.8) * np.sign(w[:1])


def crossed(X, w):
    return 4.0 * (X[:, :1] * X[:, 1:2]) * np.sign(w[:1])


def straight(X, w):
    return 0.5 * X @ w


def log(score, seed, rows=2000):
    problem = logistic(np.random.default_rng(seed), score)
    return problem, played(problem, rows, seed)


@pytest.mark.parametrize(("score", "names"), [(bent, {"age"}), (crossed, {"age", "depth"})])
def test_what_is_missed_is_found_and_named(score, names, monkeypatch):
    monkeypatch.setattr(linear_failure, "EXPLORES", 0.5)  # the gain is then sure in 2,000 rows, by five standard errors
    _, rows = log(score, 3)
    fit = examine(rows, NAMES)
    assert fit.failed
    assert fit.better > failure.CERTAIN
    most = max((*fit.features, *fit.pairs), key=lambda m: m.share)
    assert set(most.name.split(" × ")) == names
    assert 0.05 < most.share < 1


@pytest.mark.parametrize("seed", range(4))
def test_linear_rewards_are_left_in_peace(seed):
    fit = examine(log(straight, seed)[1], NAMES)
    assert not fit.failed
    assert fit.lower < 0.03
    assert (fit.features, fit.pairs) == ((), ())


def test_gain_and_growth_are_the_worlds(monkeypatch):
    """The intervals hold the true differences of the greedy policies, of which the world knows every mean."""
    seen = []
    monkeypatch.setattr(failure, "_difference", lambda *q, of=failure._difference, **by: seen.append(q) or of(*q, **by))
    for seed in range(4):
        problem, rows = log(crossed, seed)
        fit, i = examine(rows), np.arange(len(rows))
        told = (fit.gain, fit.low, fit.high), (fit.growth, fit.growth_low, fit.growth_high)
        for (mean, low, high), (_, *models) in zip(told, seen[-2:], strict=True):
            one, other = (problem.means[i, q.argmax(axis=1)].mean() for q in models)
            assert low - 0.02 < one - other < high + 0.02
            assert one - other == pytest.approx(mean, abs=4 * (high - low) / 3.92)


def by_hand(x, y):
    """Ridges by their normal equations, one a penalty."""
    z, y = x - x.mean(axis=0), y - y.mean()
    scale = np.where(z.std(axis=0) > 1e-9, z.std(axis=0), np.inf)
    z = z / scale
    return [np.linalg.solve(z.T @ z + p * np.eye(z.shape[1]), z.T @ y) / scale for p in np.logspace(0, 6, 7)]


def test_the_linear_models_are_ridges_on_their_columns_and_rows_alone():
    """Normal equations by hand, at the penalty that the fit chose: of all rows, and of every other one."""
    _, rows = log(crossed, 1, 600)
    model = nested.Nested.fit(rows, np.random.default_rng(0))
    count = model.inputs.linear
    x = model.inputs.columns(rows.batch.context, *rows.shown)[:, :count]
    for (_, weight), part in ((model.weights[0], slice(None)), (model.weights[2], slice(None, None, 2))):
        assert not weight[count:].any()
        assert min(np.abs(f - weight[:count]).max() for f in by_hand(x[part], rows.reward[part])) < 1e-9
    assert model.weights[1][1][count:].any()


def test_a_value_that_grows_no_more_is_told_and_one_that_does_is_not(monkeypatch):
    """Rewards that nothing explains: twice the rows are worth nothing. Many arms and few rows: they are worth a lot."""
    monkeypatch.setattr(linear_failure, "EXPLORES", 0.5)
    _, plenty = log(lambda X, w: 2.0 * X @ w, 2, 5000)
    assert examine(plenty).flat
    _, few = log(lambda X, w: 2.0 * X @ w, 2, 600)
    fit = examine(few)
    assert not fit.flat
    assert fit.growth_high > fit.growth > fit.growth_low


def test_a_fit_that_an_older_version_kept_is_read():
    known = examine(log(bent, 3)[1], NAMES).to_dict()
    older = {k: v for k, v in known.items() if k != "flat" and not k.startswith("growth")}
    found = LinearFit.from_dict(older)
    assert (found.growth, found.flat, growth_text(found)) == (None, False, "")
    assert (found.gain, found.failed) == (known["gain"], known["failed"])


def test_rows_of_one_unit_count_once():
    """Each row four times, as the same unit's: the standard error is that of the rows once."""
    _, rows = log(bent, 5, 1000)
    four = rows[np.repeat(np.arange(len(rows)), 4)]
    x = np.random.default_rng(0).normal(size=len(rows))
    assert failure._error(four, np.repeat(x, 4)) == pytest.approx(failure._error(rows, x))
    assert failure._error(rows, x) == pytest.approx(x.std() / np.sqrt(len(x)), rel=1e-9)


def test_categories_are_one_feature_and_few_or_like_rows_say_nothing():
    _, rows = log(straight, 1, 600)
    values = unexplained._features(rows, ["n", "d=a", "d=b", "d=<unk>", "m", "m=<missing>"])
    assert list(values) == ["n", "d", "m"]
    assert examine(rows[:400]) is None
    same = rows[:]
    same.reward[:] = 0.0
    assert examine(same) is None


def test_a_fit_is_kept_as_json():
    fit = examine(log(bent, 3)[1], NAMES)
    assert LinearFit.from_dict(fit.to_dict()) == fit
    assert fit.to_dict()["failed"] is True
