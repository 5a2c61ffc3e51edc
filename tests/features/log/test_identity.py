"""Objects of the log are keyed by the spool's own id: renamed hosts, moved volumes, two hosts of one name, older logs."""

import shutil

import pytest

from croupier.features.log.ship import ShipError, prune, ship
from croupier.features.log.shipped import host_of, open_log
from croupier.features.log.spool import Spool
from croupier.features.store import log_layout
from croupier.features.utc import HOUR
from tests.features.log.test_ship import START, decisions, shipped


def test_a_renamed_host_goes_on_and_its_objects_say_both_names(spool, store, tmp_path):
    spool.append_decisions(decisions(5))
    first = ship(spool, store, host="old").objects
    spool.append_decisions(decisions(5, name="y"))
    second = ship(spool, store, host="new").objects
    assert first + second == [
        log_layout.log_object("decisions", "2019-11-24T10", spool=spool.id, first=a, last=a + 4) for a in (1, 6)
    ]
    assert [host_of(key, store.root / key) for key in first + second] == ["old", "new"]
    assert prune(spool, store, before=START + 100 * HOUR) == 10
    assert sorted(row["event_id"] for row in shipped(store)) == [
        e.event_id for e in decisions(5) + decisions(5, name="y")
    ]


def test_a_spool_that_moves_to_another_host_goes_on_there(spool, store, tmp_path):
    spool.append_decisions(decisions(5))
    ship(spool, store, host="a")
    spool.close()
    moved = tmp_path / "elsewhere" / "log.sqlite"
    moved.parent.mkdir()
    (tmp_path / "log.sqlite").rename(moved)
    again = Spool(moved)
    again.append_decisions(decisions(5, name="y"))
    assert ship(again, store, host="b").decisions == 5
    assert prune(again, store, before=START + 100 * HOUR) == 10
    again.close()


def test_two_hosts_of_one_name_have_objects_of_their_own(store, tmp_path):
    spools = [Spool(tmp_path / name / "log.sqlite") for name in ("a", "b")]
    for each, name in zip(spools, ("a", "b"), strict=True):
        each.append_decisions(decisions(5, name=name))
        assert ship(each, store, host="same").decisions == 5
    assert len({each.id for each in spools}) == 2
    assert {len(each.id) for each in spools} == {32}, "128 bits: made once, they never meet"
    assert len(shipped(store)) == 10
    for each in spools:
        assert prune(each, store, before=START + 100 * HOUR) == 5
        each.close()


def test_a_copied_spool_is_an_error_that_says_what_to_do(spool, store, tmp_path):
    spool.append_decisions(decisions(5))
    spool.close()
    shutil.copy(tmp_path / "log.sqlite", tmp_path / "copy.sqlite")
    spools = [Spool(tmp_path / "log.sqlite"), Spool(tmp_path / "copy.sqlite")]
    for each, name in zip(spools, ("a", "b"), strict=True):
        each.append_decisions(decisions(5, name=name))
    ship(spools[0], store, host="a")
    with pytest.raises(ShipError, match="delete the copy"):
        ship(spools[1], store, host="b")
    for each in spools:
        each.close()


@pytest.mark.parametrize(("mine", "copys"), [(50, 20), (20, 50)])
def test_a_copy_whose_shipments_are_longer_or_shorter_is_refused_and_hides_no_row(spool, store, tmp_path, mine, copys):
    """Its objects have other names, and readers take an object within another one's rows for one that was merged."""
    spool.append_decisions(decisions(10, name="both"))
    ship(spool, store, host="a")
    spool.close()
    shutil.copy(tmp_path / "log.sqlite", tmp_path / "copy.sqlite")
    spools = [Spool(tmp_path / "log.sqlite"), Spool(tmp_path / "copy.sqlite")]
    for each, name, count in zip(spools, ("a", "b"), (mine, copys), strict=True):
        each.append_decisions(decisions(count, name=name))
    ship(spools[0], store, host="a")
    for _ in range(2):  # what was refused stays refused
        with pytest.raises(ShipError, match="delete the copy"):
            ship(spools[1], store, host="b")
    assert len(shipped(store)) == 10 + mine
    with open_log(store) as log:
        assert sum(log.rows("decisions", hour) for hour in log.hours("decisions")) == 10 + mine
    spools[0].append_decisions(decisions(5, name="later"))
    assert ship(spools[0], store, host="a").decisions == 5, "the first goes on"
    assert prune(spools[0], store, before=START + 100 * HOUR) == 10 + mine + 5
    for each in spools:
        each.close()


def as_older(store, report) -> None:
    """The objects under the keys of an older croupier: the host's name before the spool's id."""
    for key in report.objects:
        folder, _, name = key.rpartition("/")
        store.put(f"{folder}/my-host-{name}", store.get(key))
        store.delete(key)


@pytest.mark.parametrize("ended", [True, False])
def test_what_was_shipped_under_a_hosts_name_is_not_shipped_again_and_is_pruned(spool, store, ended):
    """`ended`: whether the older croupier came to note the shipment's end."""
    spool.append_decisions(decisions(25))
    as_older(store, ship(spool, store, host="my-host"))
    if not ended:
        store.delete(store.list("log/decisions/")[-1])  # nor to write its last object
        with spool.transaction() as db:
            db.execute("UPDATE shipments SET done = 0")
    spool.append_decisions(decisions(5, name="y"))
    ship(spool, store, host="renamed")
    assert sorted(row["event_id"] for row in shipped(store)) == [
        e.event_id for e in decisions(25) + decisions(5, name="y")
    ]
    assert prune(spool, store, before=START + 100 * HOUR) == 30
