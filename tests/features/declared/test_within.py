"""Values are cut to the declared range, whatever they are: in an array, in a column, in a row let in from quarantine."""

from math import inf, nan

import numpy as np
import polars as pl
import pytest

from croupier.features.declared.within import within, within_column
from croupier.features.interactions import quarantine

VALUES = [nan, inf, -inf, 1e308, -1e308, -2.0, -0.5, 0.25, 3.0, 3.5]
CUT = [-2.0, 3.0, -2.0, 3.0, -2.0, -2.0, -0.5, 0.25, 3.0, 3.0]


def test_no_value_lies_outside_and_what_is_no_number_is_the_low_end():
    assert within(np.array(VALUES), (-2.0, 3.0)).tolist() == CUT
    frame = pl.DataFrame({"reward": VALUES})
    assert frame.select(within_column("reward", (-2.0, 3.0)))["reward"].to_list() == CUT


def test_without_ends_numbers_stay():
    assert within(np.array([1e300, -7.0]), (-inf, inf)).tolist() == [1e300, -7.0]


@pytest.mark.parametrize("value", [nan, inf, 1e6])
def test_a_row_that_a_person_let_in_is_within_the_range(value):
    hour = pl.DataFrame({"event_id": ["a", "b"], "reward": [value, 0.5]})
    released = quarantine.applied(hour, {"a": quarantine.RELEASED}, (0.0, 1.0))
    assert released["reward"].to_list() == [0.0 if np.isnan(value) else 1.0, 0.5]
