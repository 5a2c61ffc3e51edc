"""A family by its models through time: each row meets the newest model trained before it, and no other."""

import numpy as np
import pytest

from croupier.models.exploration import with_floor
from croupier.models.ope.prequential import Piecewise, Process, Segment
from croupier.models.policy import make
from croupier.models.simulation.synthetic import LinearWorld


def arm(k):
    return lambda: make("fixed_arm", arm=k)


@pytest.fixture
def log():
    return LinearWorld.make(2).log(300, seed=2, ragged=False)


def test_each_row_meets_the_newest_model_before_it(log):
    cut = int(log.at[120])
    ids = log.batch.catalogue.ids
    pmf = Piecewise("fixed_arm", [(int(log.at[0]), arm(ids[0])), (cut, arm(ids[1]))]).served(log, 0.1)
    for rows, k in ((log.at < cut, 0), (log.at >= cut, 1)):
        alone = with_floor(make("fixed_arm", arm=ids[k]).pmf(log.batch[rows]), log.batch.mask[rows], 0.1)
        np.testing.assert_array_equal(pmf[rows], alone)


def test_a_row_older_than_every_model_is_refused(log):
    with pytest.raises(ValueError, match="expected none before its first model"):
        Piecewise("fixed_arm", [(int(log.at[5]), arm("a"))]).served(log, 0.0)


PROCESS = Process(
    champion="uniform",
    encoder="e",
    start=100,
    champions=(Segment(since=0, policy="uniform"),),
    candidates={"lin_ts": (Segment(since=100, policy="k1-before"),)},
)


def test_new_models_take_over_from_the_windows_end_on_and_a_repeat_changes_nothing():
    then = PROCESS.then(200, "uniform", {"lin_ts": "k1"})
    assert then.candidates["lin_ts"] == (Segment(since=100, policy="k1-before"), Segment(since=200, policy="k1"))
    assert then.champions == PROCESS.champions
    assert then.then(200, "uniform", {"lin_ts": "k1"}) == then
    refreshed = then.then(300, "releases/000002/champion", {"lin_ts": "k2"})
    assert refreshed.champions[-1] == Segment(since=300, policy="releases/000002/champion")
    assert Process.from_json(refreshed.to_json()) == refreshed


def test_a_process_ends_with_its_champion_its_families_or_its_days():
    assert PROCESS.continues("uniform", ["lin_ts"], PROCESS.start)
    assert not PROCESS.continues("uniform", ["lin_ts"], PROCESS.start - 1), "it would judge no row"
    for other in (("lin_ts", ["lin_ts"]), ("uniform", ["lin_ts", "vw_cb_adf"])):
        assert not PROCESS.continues(*other, PROCESS.start)
    day = 86_400_000_000
    then = PROCESS.then(29 * day, "uniform", {"lin_ts": "k1"})
    assert then.judged_from(100 + 30 * day, 30).start == 100
    assert then.judged_from(101 + 30 * day, 30).start == 29 * day


def test_the_last_rows_of_a_log_that_was_served_are_not_served_again(log):
    """A model that is loaded once only: the second asking would fail."""
    loads = iter([make("fixed_arm", arm=log.batch.catalogue.ids[0])])
    family = Piecewise("fixed_arm", [(0, lambda: next(loads))])
    whole = family.served(log, 0.1)
    np.testing.assert_array_equal(family.served(log[200:], 0.1), whole[200:])
    np.testing.assert_array_equal(family.served(log, 0.1), whole)
    with pytest.raises(StopIteration):
        family.served(log[100:200], 0.1)
    with pytest.raises(StopIteration):
        family.served(log, 0.2)
