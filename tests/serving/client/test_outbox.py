"""What a client owes: kept in order, shared, and never at the cost of an answer."""

import sqlite3

import pytest

from croupier.serving.client.client import Client
from croupier.serving.client.outbox import Outbox

ARMS = ["reel-01", "reel-02", "reel-03"]


def test_an_outbox_keeps_order_counts_what_it_drops_and_forgets_what_is_done(tmp_path):
    outbox = Outbox(tmp_path / "o.db", max_entries=4)
    outbox.put("record", [{"n": 1}, {"n": 2}])
    outbox.put("reward", [{"n": 3}, {"n": 4}, {"n": 5}])
    assert (len(outbox), outbox.dropped) == (4, 1)
    model, ids, rows = outbox.next()
    assert (model, [r["n"] for r in rows]) == ("record", [1, 2])
    outbox.done(ids)
    model, ids, rows = outbox.next()
    assert (model, [r["n"] for r in rows], len(outbox)) == ("reward", [3, 4], 2)
    outbox.close()


def test_clients_that_share_an_outbox_file_deliver_each_others_entries_and_know_when_it_is_empty(nobody, tmp_path):
    with Client(nobody, outbox=tmp_path / "o.db") as first, Client(nobody, outbox=tmp_path / "o.db") as second:
        first.outbox.put("reward", [{"n": 0}])
        second.outbox.put("reward", [{"n": n} for n in (1, 2, 3)])
        _, ids, rows = first.outbox.next()
        first.outbox.done(ids)
        assert ([r["n"] for r in rows], len(first.outbox)) == ([0, 1, 2, 3], 0)
        assert second.outbox.next() == ("", [], [])
        assert len(second.outbox) == 0
        assert second.flush(0.0)


def test_a_file_that_fails_or_is_locked_costs_no_answer_and_what_it_could_not_take_is_kept_in_memory(nobody, tmp_path):
    with Client(nobody, outbox=tmp_path / "o.db") as client:
        other = sqlite3.connect(tmp_path / "o.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert client.select(unit_id="u", context={}, arms=ARMS).role == "fallback"
        assert client.reward(event_id="e", kind="click", value=1.0).status == "queued"
        assert len(client.outbox) == 2
        other.execute("ROLLBACK")
        other.execute("CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(FAIL, 'disk is full'); END")
        assert client.select(unit_id="u", context={}, arms=ARMS).role == "fallback"
        assert len(client.outbox) == 3
        other.execute("DROP TRIGGER full")
        assert client.reward(event_id="f", kind="click", value=1.0).status == "queued"
        models = [model for (model,) in other.execute("SELECT model FROM outbox ORDER BY id")]
        assert (models, len(client.outbox)) == (["record", "reward", "record", "reward"], 4)
        other.close()
    assert client.select(unit_id="u", context={}, arms=ARMS).role == "fallback"  # a thread that came too late
    client.close()


def test_a_file_that_is_no_outbox_is_named(nobody, tmp_path):
    (tmp_path / "o.db").write_text("not a database, and longer than a hundred bytes" * 10)
    with pytest.raises(ValueError, match=r"o\.db: found .*expected .*move it away"):
        Client(nobody, outbox=tmp_path / "o.db")


def test_what_the_server_refuses_later_is_told_to_the_caller_by_name(nobody, monkeypatch):
    """A reward is queued while nobody is there; when it is delivered, the server finds its kind undeclared."""
    error = "kind: found 'clikc', expected one of click; did you mean click?"

    def call(_self, _model, columns, **_):
        kinds = columns["kind"][1] if "kind" in columns else [b""]
        return {
            "status": ["accepted" if k == b"click" else "rejected" for k in kinds],
            "error": ["" if k == b"click" else error for k in kinds],
        }

    with Client(nobody) as client:
        assert [client.reward(event_id="e", kind=kind, value=1.0).status for kind in ("click", "clikc")] == [
            "queued"
        ] * 2
        monkeypatch.setattr(Client, "call", call)
        assert client._deliver("reward", client.outbox.next()[2]) == ["", error]
        assert client.flush(10.0)
        assert client.refusals() == [("reward", error)]
        assert client.refusals() == []
