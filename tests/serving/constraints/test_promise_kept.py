"""The promise to a baseline is broken no more often than stated, with delays, batches, several hosts, and adversaries."""

import pytest

from croupier.models.constraints.running_value import RunningValue
from tests.serving.constraints.promised import DELTA, POLICIES, rate


class Careless(RunningValue):
    """A planted error: the estimate in the place of its bound."""

    @property
    def lower(self):
        return self.value - (1 - self.alpha) * self.baseline


def endless(granted, used, each):
    """A planted error: hosts that use what they were not granted."""
    return 10**9 if granted else 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", POLICIES)
def test_it_is_kept_in_short_runs(kind):
    broken, share, last = rate(kind, 12)
    assert broken <= DELTA
    assert share >= 0.1
    if kind == "better":
        assert last > 0.7, "a policy that is better soon decides most requests"


@pytest.mark.slow
def test_planted_errors_are_seen_to_break_it():
    assert rate("adversary", 10, counts=Careless)[0] > 0.1
    assert rate("adversary", 10, fits=endless)[0] > 0.5


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", POLICIES)
def test_it_is_kept_in_a_thousand_runs(kind):
    assert rate(kind, 1000)[0] <= DELTA
