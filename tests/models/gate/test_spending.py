"""The ledger in the store: error is taken before a look, once, by whoever comes first; no roll-back gives it back."""

import pytest

from croupier.features.spec import GateSpec
from croupier.features.store import layout
from croupier.features.store.storage import FolderStore
from croupier.models.gate.alpha_spending import Ledger
from croupier.models.gate.spending import Spending, SpentLook

GATE = GateSpec()


def look(name, rows=1000, start=7):
    return SpentLook(candidates=[name], start=start, last=start + rows, rows=rows)


def test_two_judges_at_once_never_take_the_same_part(tmp_path, monkeypatch):
    """The second begins, and ends, between the first one's reading of the ledger and its writing."""
    store, real, others = FolderStore(str(tmp_path)), FolderStore.swap, []

    def late(self, key, data, version):
        if not others:
            others.append(None)
            others[0] = Spending(store, "lin_ts", GATE).reserve(look("b"))[0]
        real(self, key, data, version)

    monkeypatch.setattr(FolderStore, "swap", late)
    mine = Spending(store, "lin_ts", GATE).reserve(look("a"))[0]
    assert others[0] == pytest.approx(GATE.alpha * 6 / 3.141592653589793**2)
    assert mine == pytest.approx(others[0] / 4), "the second hypothesis, not the first again"


def test_error_is_spent_before_the_verdict_and_kept_if_none_comes(tmp_path):
    store = FolderStore(str(tmp_path))
    spending = Spending(store, "lin_ts@3", GATE)
    first, _ = spending.reserve(look("a"))  # the task dies here
    assert Spending(store, "lin_ts@3", GATE).reserve(look("a")) == (first, None), "the same look, run again"
    assert Spending(store, "lin_ts@3", GATE).reserve(look("b"))[0] == pytest.approx(first / 4)
    spending.decided(look("a"), {"a": "reject"})
    looks = Ledger.from_json(store.get(layout.looks("lin_ts")).decode()).looks
    assert [found.decisions for found in looks] == [{"a": "reject"}, {}]
    with pytest.raises(KeyError, match="reserve it first"):
        spending.decided(look("c"), {})


def test_a_roll_back_or_another_release_of_the_champion_does_not_begin_anew(tmp_path):
    store = FolderStore(str(tmp_path))
    parts = [Spending(store, f"lin_ts@{n}", GATE).reserve(look(f"c{n}"))[0] for n in (3, 4, 3)]
    assert parts[1] == pytest.approx(parts[0] / 4)
    assert parts[2] == parts[0], "c3 once more, the same look"
    assert Spending(store, "lin_ts@9", GATE).reserve(look("new"))[0] == pytest.approx(parts[0] / 9)


def test_ledgers_kept_by_release_are_read_on(tmp_path):
    store, old = FolderStore(str(tmp_path)), Ledger(family="lin_ts@3", alpha=0.05)
    for at in (1, 2):
        old = old.record(at=at, candidates=[f"old{at}"], start=0, rows=9, decisions={})
    store.put(layout.looks("lin_ts@3"), old.to_json().encode())
    store.put(layout.looks("lin_ts_2"), old.to_json().encode())  # another champion's
    alpha, _ = Spending(store, "lin_ts@5", GATE).reserve(look("new"))
    assert alpha == pytest.approx(0.05 * 6 / 3.141592653589793**2 / 9), "the third hypothesis"


def test_looks_that_end_earlier_than_the_last_are_kept_too(tmp_path):
    store = FolderStore(str(tmp_path))
    spending = Spending(store, "lin_ts", GATE)
    spending.reserve(look("a", rows=5000))
    spending.reserve(look("b", rows=10))
    assert len(Ledger.from_json(store.get(layout.looks("lin_ts")).decode()).looks) == 2


def test_planned_looks_of_a_process_are_those_that_fell_on_the_plan(tmp_path):
    gate = GateSpec(looks=5, horizon=10_000)
    spending = Spending(FolderStore(str(tmp_path)), "lin_ts", gate)
    due = {}
    for rows in (500, 2100, 2600, 4000, 4000):
        schedule = spending.planned(look("family", rows=rows))
        due[rows] = (schedule.due, schedule.taken)
    assert due == {500: (False, ()), 2100: (True, ()), 2600: (False, (2100,)), 4000: (True, (2100,))}
    assert spending.planned(look("family", rows=2100, start=8)).taken == (), "another process"
    assert Spending(FolderStore(str(tmp_path)), "lin_ts", GATE).planned(look("family")) is None
