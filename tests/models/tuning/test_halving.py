"""Successive halving: its rungs, who stays, and what comes to two."""

import numpy as np
import pytest

from croupier.models.policy import make
from croupier.models.tuning import spaces
from croupier.models.tuning.configuration import Configuration, toml
from croupier.models.tuning.halving import LEAST_ROWS, Tried, budget, narrowed, rungs, survivors
from croupier.models.tuning.trial import difference, sums
from croupier.models.tuning.tuner import CHOOSING, told_apart


def trial_of(value, spread=0.0, rows=600):
    """What a trial says whose rows earn `value`, and ± `spread` in turn by stretch of time."""
    values = value + spread * np.where(np.arange(rows) // 10 % 2, 1.0, -1.0)
    return {"value": float(values.mean()), "sums": sums(values).tolist(), "rows": [100, rows]}


def test_rungs_are_thirds_and_the_last_has_all_rows():
    assert rungs(2700, 9) == [(900, 9), (2700, 3)]
    assert rungs(2700, 18) == [(300, 18), (900, 6), (2700, 2)]
    assert rungs(200, 18) == [(200, 18)], f"a lowest rung has {LEAST_ROWS} rows"
    assert rungs(2700, 1) == [(2700, 1)]


def test_the_better_third_learns_three_times_the_rows_and_failures_never_go_on():
    worth = {f"p{i}": i / 10 for i in range(18)}
    asked = []

    def run(configurations, rows):
        asked.append((rows, [c.policy for c in configurations]))
        return [
            {"failed": "broken"} if c.policy == "p17" else trial_of(worth[c.policy] + 0.001 * rows)
            for c in configurations
        ]

    found = narrowed([Configuration(name) for name in worth], 2700, run)
    assert [(rows, len(names)) for rows, names in asked] == [(300, 18), (900, 6), (2700, 2)]
    assert asked[1][1] == ["p16", "p15", "p14", "p13", "p12", "p11"]
    assert [t.configuration.policy for t in found[-1]] == ["p16", "p15"]
    assert found[0][-1].found == {"failed": "broken"}
    assert budget(found) == 300 * 18 + 900 * 6 + 2700 * 2
    with pytest.raises(ValueError, match="all 2 configurations failed: no"):
        narrowed([Configuration("a"), Configuration("b")], 300, lambda c, _: [{"failed": "no"}] * len(c))


def test_the_best_of_each_policy_goes_on_however_few_of_them_are_among_the_best():
    names = ["a", "a", "a", "a", "b", "c", "b", "b", "c"]
    pool = [Configuration(name, {"of": i}) for i, name in enumerate(names)]
    asked = []

    def run(configurations, rows):
        asked.append((rows, [c.parameters["of"] for c in configurations]))
        return [trial_of(float(-c.parameters["of"])) for c in configurations]

    narrowed(pool, 9000, run, least=3000, of_each=True)
    assert asked == [(3000, list(range(9))), (9000, [0, 1, 2, 4, 5])]
    asked.clear()
    narrowed(pool, 9000, run, least=3000)
    assert asked == [(3000, list(range(9))), (9000, [0, 1, 2])]
    asked.clear()
    narrowed(pool, 8999, run, least=3000, of_each=True)
    assert asked == [(8999, list(range(9)))]


def test_half_the_rows_tell_policies_apart_until_that_is_many():
    assert told_apart(4000) == (2000, 2000)
    assert told_apart(600) == (300, 300)
    assert told_apart(20_000) == (10_000, 5000)
    assert told_apart(30_000) == (20_000, 7500)
    assert told_apart(100_000) == (70_000, 25_000)
    assert rungs(told_apart(23_000)[1], 11, CHOOSING) == [(5750, 11)]
    assert rungs(told_apart(24_000)[1], 11, CHOOSING) == [(2000, 11), (6000, 4)]


def test_two_survive_where_the_second_of_another_policy_is_within_a_standard_error():
    def tried(policy, *args):
        return Tried(Configuration(policy, {"of": len(args)}), 100, trial_of(*args))

    best, near, same, far = tried("a", 0.5), tried("b", 0.49, 0.1), tried("a", 0.499), tried("c", 0.3, 0.01)
    gap, error = difference(best.found, near.found)
    assert gap == pytest.approx(0.01)
    assert error == pytest.approx(0.1 / np.sqrt(59))  # 60 stretches, ±0.1 in turn
    assert survivors([best, same, near, far]) == [best, near]
    assert survivors([best, same, far]) == [best]
    assert survivors([best, near, tried("d", 0.495, 0.2)], most=2) == [best, near]
    assert survivors([best, Tried(Configuration("b"), 100, {"failed": "no"})]) == [best]


def test_every_configuration_that_is_drawn_can_be_made_and_seeds_repeat():
    for name in spaces.SPACES:
        found = spaces.drawn(name, 40, seed=3)
        assert found[0] == Configuration(name)
        assert (
            len({c.key for c in found}) == len(found) == 40 or name == "lin_ts"
        )  # of which there are 18 and a default
        assert [c.key for c in found] == [c.key for c in spaces.drawn(name, 40, seed=3)]
        assert found[1:] != spaces.drawn(name, 40, seed=4)[1:]
        for each in found:
            assert make(each.policy, **each.parameters).name == name
    rates = [c.parameters["learning_rate"] for c in spaces.drawn("vw_cb_adf", 200, seed=0)[1:]]
    assert 0.05 <= min(rates) < 0.1
    assert 5 < max(rates) <= 10
    with pytest.raises(ValueError, match="policy: found 'bag', expected one of auto, vw_cb_adf, lin_ts"):
        spaces.drawn("bag", 3, seed=0)


def test_the_portfolio_is_what_the_app_may_have_and_goes_on_with_draws():
    for each in spaces.PORTFOLIO:
        make(each.policy, **each.parameters)
    every = ["vw_cb_adf", "lin_ts", "lin_ucb", "neural_linear", "bootstrap"]
    assert spaces.of_auto(len(spaces.PORTFOLIO), every, seed=0) == list(spaces.PORTFOLIO)
    only = spaces.of_auto(30, ["lin_ts", "lin_ucb"], seed=0)
    assert {c.policy for c in only} == {"lin_ts", "lin_ucb"}
    assert len({c.key for c in only}) == len(only) == 30
    with pytest.raises(ValueError, match="allows only uniform, expected one of bootstrap, lin_ts, lin_ucb"):
        spaces.of_auto(9, ["uniform"], seed=0)


def test_lines_for_app_toml_are_read_back():
    import tomllib

    chosen = [Configuration("lin_ts", {"heads": "per_arm"}), Configuration("neural_linear", {"hidden": [50, 50]})]
    read = tomllib.loads(toml([*chosen, Configuration("vw_cb_adf")]))["policies"]
    assert read["candidates"] == ["lin_ts", "neural_linear", "vw_cb_adf"]
    assert read["parameters"] == {"lin_ts": {"heads": "per_arm"}, "neural_linear": {"hidden": [50, 50]}}
    assert Configuration.from_json(chosen[1].to_json()) == chosen[1]
    assert chosen[0].said == "lin_ts, heads per_arm"
