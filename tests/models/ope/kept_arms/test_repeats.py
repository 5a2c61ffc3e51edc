"""Units that keep their arm are told from units that are drawn anew, and asked about their draw once."""

import numpy as np
import pytest

from croupier.models.ope import self_tests
from croupier.models.ope.agreement import agreement
from croupier.models.ope.kept_arms.repeats import first_of_each, keeps, repeats
from croupier.models.ope.leaks import tested as leaks
from tests.models.ope.kept_arms.ab_log import ABTest

UNEVEN = (0.8, 0.15, 0.05)
KEPT = [ABTest(), ABTest(share=UNEVEN), ABTest(units=4000), ABTest(share=(0.5, 0.5))]
ANEW = [
    ABTest(anew=True),
    ABTest(anew=True, share=UNEVEN),
    ABTest(anew=True, units=20),
    # wrong propensities are no habit
    ABTest(anew=True, share=(0.95, 0.04, 0.01), logged=UNEVEN),
    ABTest(anew=True, share=UNEVEN, logged=(1 / 3, 1 / 3, 1 / 3)),
    ABTest(anew=True, share=(0.6, 0.2, 0.2), logged=(0.4, 0.3, 0.3)),
]


@pytest.mark.parametrize("made", KEPT)
def test_an_ab_test_keeps_its_arms(made):
    log = made.log(seed=1)
    assert keeps([log])
    assert keeps([log[start : start + 1500] for start in range(0, len(log), 1500)]), "in chunks, too"


@pytest.mark.parametrize("made", ANEW)
def test_draws_of_their_own_do_not(made):
    assert not keeps([made.log(seed=1)])


def test_repeats_are_counted():
    log = ABTest(share=(0.6, 0.4), units=2, rows=40).log(seed=3)
    found, arm = repeats(log), {u: log.chosen[log.unit == u][0] for u in log.unit}
    rare = [
        log.chosen[log.unit == u] for u in np.unique(log.unit) if arm[u] == 1
    ]  # the other has .6, which repeats itself
    assert found.n == found.hits == sum(len(rows) - 1 for rows in rare)
    assert found.n > 0
    assert found.expected == pytest.approx(0.4 * found.n)
    assert found.variance == pytest.approx(0.24 * found.n)


def test_the_first_row_of_each_unit_is_the_earliest():
    log = ABTest(units=50, rows=500).log(seed=2)
    shuffled = log[np.random.default_rng(0).permutation(len(log))]
    first = shuffled[first_of_each(shuffled)]
    assert len(first) == 50
    assert dict(zip(first.unit, first.at, strict=True)) == {u: log.at[log.unit == u].min() for u in np.unique(log.unit)}


@pytest.mark.medium
def test_a_true_ab_test_passes_what_asks_about_its_draws_and_a_false_one_does_not():
    made = [ABTest(units=400, rows=8000, share=UNEVEN).log(seed) for seed in range(12)]
    uniform = [np.full(log.pmf.shape, 1 / 3) for log in made]
    reward = [np.tile(log.reward.mean(), log.pmf.shape) for log in made]
    assert min(self_tests.propensity(log) for log in made) > 1e-3
    assert min(leaks.tested(log).p for log in made) > 1e-3
    assert min(agreement(log, [pmf], q).p for log, pmf, q in zip(made, uniform, reward, strict=True)) > 1e-3
    false = ABTest(units=400, rows=8000, share=UNEVEN, logged=(1 / 3, 1 / 3, 1 / 3)).log(1)
    assert keeps([false])
    assert self_tests.propensity(false) < 1e-9


def test_what_was_not_asked_is_said():
    (said,) = self_tests.repeated_draws(ABTest(units=300).log(seed=1))
    assert (said.blocks, said.name) == (False, "propensity_self_test:repeated_draws")
    assert "6,000 rows are 300 draws" in said.reason
    assert self_tests.repeated_draws(ABTest(anew=True).log(seed=1)) == ()
