"""Units that keep their arm are told from units that are drawn anew, and asked about their draw once."""

from dataclasses import replace

import numpy as np
import pytest

from croupier.features.batch import concatenate
from croupier.models.ope import self_tests
from croupier.models.ope.agreement import agreement
from croupier.models.ope.kept_arms.repeats import keeps, one_of_each, repeats
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


def test_repeats_are_counted_a_unit_at_a_time():
    log = ABTest(share=(0.6, 0.4), units=12, rows=240).log(seed=3)
    rare = {u for u in log.unit if log.chosen[log.unit == u][0] == 1}  # the other arm has .6, which repeats itself
    rows = {u: int((log.unit == u).sum()) - 1 for u in rare}
    found = repeats(log)
    assert 0 < found.n == len(rare)
    assert found.hits == pytest.approx(found.n)
    assert found.expected == pytest.approx(0.4 * found.n)
    assert found.variance == pytest.approx(sum(0.24 / n for n in rows.values()))


def test_an_id_that_many_share_is_one_unit_among_others():
    log = ABTest(share=(0.5, 0.3, 0.2), units=200, rows=4000).log(seed=3)
    shared = ABTest(share=(0.5, 0.3, 0.2), units=1, rows=9000, anew=True).log(seed=4)
    assert keeps([concatenate([log, shared])])


def test_one_row_of_each_unit_is_its_earliest_and_the_other_a_later_one():
    log = ABTest(units=50, rows=500).log(seed=2)
    shuffled = log[np.random.default_rng(0).permutation(len(log))]
    first, later = (shuffled[rows] for rows in one_of_each(shuffled))
    begun = {u: log.at[log.unit == u].min() for u in np.unique(log.unit)}
    assert dict(zip(first.unit, first.at, strict=True)) == begun
    assert len(later) == len(set(later.unit)) == 50
    several = {u for u in begun if (log.unit == u).sum() > 1}
    assert {u for u, at in zip(later.unit, later.at, strict=True) if at > begun[u]} == several
    alone = log[one_of_each(log)[0]]
    assert [list(rows) for rows in one_of_each(alone)] == [list(range(50))] * 2


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


def by_a_feature(log, rows):
    """The log, in which these rows' arms were chosen by the first feature, whatever propensity they log."""
    first = (log.batch.context[:, 0] > 0).astype(int)
    return replace(log, chosen=np.where(rows, first, log.chosen))


@pytest.mark.medium
@pytest.mark.parametrize("honest", ["first", "first and some"])
def test_later_rows_that_were_chosen_by_a_feature_are_found_though_first_ones_were_drawn(honest):
    log = ABTest(units=600, rows=9000, share=(0.5, 0.5)).log(3)
    first = np.isin(np.arange(len(log)), one_of_each(log)[0])
    drawn = first | ((log.at % 7 == 0) if honest == "first and some" else False)
    false = by_a_feature(log, ~drawn)
    assert keeps([false])
    found = leaks.tested(false)
    assert (found.p < 1e-6, found.suspect) == (True, 0)
    assert leaks.tested(log).p > 1e-3


@pytest.mark.medium
def test_propensities_that_are_false_in_later_rows_are_found():
    log = ABTest(units=600, rows=9000, share=(0.5, 0.5)).log(3)
    rows = np.random.default_rng(1).random(len(log)) < 0.9
    later = ~np.isin(np.arange(len(log)), one_of_each(log)[0])
    false = replace(log, chosen=np.where(later, (~rows).astype(int), log.chosen))
    assert self_tests.propensity(false) < 1e-9
    assert self_tests.propensity(log) > 1e-3
