"""Which rows are slots of one slate: by hand, for every way in which slots are named, and for what only looks like it."""

import numpy as np
import polars as pl

from croupier.features.interactions.whole_requests import together
from croupier.features.slates.logged import slots_in, with_slots


def frame(*rows):
    """(event, unit, arms as letters, arm shown[, role[, allocation]]) each."""
    full = [(*row, *("champion", "")[len(row) - 4 :]) for row in rows]
    names = ("event_id", "unit_id", "arms", "arm", "role", "allocation")
    return pl.DataFrame([(*r[:2], list(r[2]), *r[3:]) for r in full], schema=list(names), orient="row")


def places(*rows):
    """[(slot, slots), …] of each row, and the numbers of their slates."""
    found = slots_in(with_slots(frame(*rows)))
    return None if found is None else (found[:, 1:].tolist(), found[:, 0])


def test_numbered_slots_of_a_slate_in_whatever_order_they_come():
    found, slate = places(
        ("s/1", "u", "bcd", "c"), ("x", "u", "abcd", "a"), ("t/0", "v", "abcd", "a"), ("s/0", "u", "abcd", "a"),
        ("t/1", "v", "bcd", "d"), ("s/2", "u", "bd", "b"),
    )  # fmt: skip
    assert found == [[1, 3], [0, 0], [0, 2], [0, 3], [1, 2], [2, 3]]
    assert slate[0] == slate[3] == slate[5] != slate[2] == slate[4]


def test_named_slots_go_down_as_fewer_arms_are_left():
    found, _ = places(("p/side", "u", "bc", "c"), ("p/top", "u", "abc", "a"), ("p/end", "u", "b", "b"))
    assert found == [[1, 3], [0, 3], [2, 3]]


def test_a_slate_that_lacks_a_slot_says_so():
    whole = (("w/0", "u", "abc", "a"), ("w/1", "u", "bc", "b"))
    found, _ = places(("s/0", "u", "abcd", "a"), ("s/2", "u", "bd", "b"), ("r/1", "v", "bcd", "c"), *whole)
    assert found == [[0, -1], [0, -1], [0, -1], [0, 2], [1, 2]]


def test_what_only_looks_like_slots_is_decisions_by_themselves():
    whole = (("w/0", "u", "abc", "a"), ("w/1", "u", "bc", "b"))
    alike = (
        ("day/0", "u", "abc", "a"), ("day/1", "u", "abc", "b"),  # what was shown is offered again
        ("q/0", "u", "abc", "a"), ("q/1", "v", "bc", "b"),  # of two units: each lacks the other, or is one by itself
        ("k/x", "u", "abc", "a"), ("l/x", "u", "abc", "a", "apprentice"), ("m/0", "u", "abc", "a", "champion", "{}"),
    )  # fmt: skip
    found, _ = places(*alike, *whole)
    assert found == [[0, 0], [0, 0], [0, 1], [0, -1], [0, 0], [0, 0], [0, 0], [0, 2], [1, 2]]


def test_a_log_without_slates_has_no_columns():
    rows = frame(("a", "u", "abc", "a"), ("s/0", "u", "abc", "b"), ("day/7", "u", "abc", "b"))
    assert with_slots(rows).columns == rows.columns
    assert slots_in(rows) is None


def test_a_windows_sample_keeps_slates_whole():
    rows = frame(("s/0", "u", "ab", "a"), ("s/1", "u", "b", "b"), ("a/b/7", "u", "ab", "a"), ("x", "u", "ab", "a"))
    assert together(rows) == ["s", "s", "a/b", "x"]


def test_numbers_of_slates_differ_and_fit_a_signed_column():
    rows = [row for i in range(500) for row in ((f"{i}/0", "u", "ab", "a"), (f"{i}/1", "u", "b", "b"))]
    _, slate = places(*rows)
    assert len(np.unique(slate)) == 500
    assert slate.min() >= 0
