"""The event log of a host: durable, idempotent, shared by processes, thinned and never stopped at its cap."""

import contextlib
import multiprocessing as mp
import os
import resource
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import orjson
import pytest

from croupier.features.ids import uuid7
from croupier.features.log.spool import Spool
from croupier.features.log.spool_file import SpoolUnavailable
from croupier.features.log.spool_rows import decision, decision_row, token
from croupier.features.schema import ADDED, Decision, InvalidEvent, Reward


def make(event_id: str = "", **changes) -> Decision:
    base = dict(  # noqa: C408 - reads like the dataclass
        event_id=event_id or uuid7(),
        at=1_574_589_600_000_000,
        unit_id="u" * 32,
        context={"é": [1.5, 2.0], "n": 1},
        arms=("a", "b"),
        pmf=(0.5, 0.5),
        arm="a",
        propensity=0.5,
        policy="p",
        role="champion",
        release=3,
        stage="5%",
        arm_context=({"x": 1}, {}),
        catalogue="c",
        encoder="e",
        posterior_step=7,
        fallback_reason="slow",
    )
    return Decision(**(base | changes))


@pytest.fixture
def spool(tmp_path):
    spool = Spool(tmp_path / "deep" / "log.sqlite")
    yield spool
    spool.close()


def test_what_is_appended_is_found_again_unchanged(spool):
    events = [make() for _ in range(3)]
    assert spool.append_decisions(events) == events
    assert spool.find([e.event_id for e in events] + ["unknown"]) == {e.event_id: e for e in events}
    assert [decision(body) for _, body in spool.read("decisions")] == events
    assert spool.read("decisions", 1, 1, last=2) == spool.read("decisions")[1:2]


def test_a_row_has_every_column_that_was_there_from_the_beginning():
    _, _, body = decision_row(make("e1"))
    assert list(orjson.loads(body)) == [f.name for f in fields(Decision) if f.name not in ADDED]


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200])
def test_any_number_of_decisions_is_on_record_whether_some_are_repeats_or_none(spool, n):
    events = [make(f"e{i}", arm="ab"[i % 2]) for i in range(n)]
    assert spool.append_decisions(events) == events
    fresh, other = make("new"), make("e0", arm="b")
    assert spool.append_decisions([fresh, *[make(f"e{i}", release=9) for i in range(n)], fresh]) == [
        fresh,
        *events,
        fresh,
    ]
    assert spool.append_decisions([other]) == events[:1]
    assert [decision(body) for _, body in spool.read("decisions")] == [*events, fresh]


def test_a_repeated_event_id_gets_the_first_answer(spool):
    first = make("e", arm="a")
    spool.append_decisions([first])
    again, fresh = make("e", arm="b"), make("f")
    assert spool.append_decisions([fresh, again]) == [fresh, first]
    assert spool.append_decisions([make("g", arm="a"), make("g", arm="b")])[1].arm == "a"
    assert spool.counts() == {"decisions": 3, "rewards": 0, "rejects": 0, "thinned": 0}


def test_rewards_are_new_once_and_repeats_are_kept_as_rejects(spool):
    click = Reward(event_id="e", at=1, kind="click", value=1.0)
    later = Reward(event_id="e", at=9, kind="click", value=1)  # the same content, stamped anew
    other = Reward(event_id="e", at=1, kind="click", value=2.0)
    by_id = Reward(event_id="e", at=1, kind="click", value=1.0, reward_id="r1")
    by_id_again = Reward(event_id="e", at=2, kind="buy", value=5.0, reward_id="r1")
    assert spool.append_rewards([click, later, other, by_id, by_id_again]) == [True, False, True, True, False]
    assert spool.append_rewards([click]) == [False]
    assert spool.counts() == {"decisions": 0, "rewards": 3, "rejects": 3, "thinned": 0}
    assert {orjson.loads(body)["reason"] for _, body in spool.read("rejects")} == {"duplicate"}


def test_a_reward_id_cannot_pose_as_content():
    assert token(Reward(event_id="e", at=1, kind="click", value=1.0)) != token(
        Reward(event_id="e", at=1, kind="x", value=0.0, reward_id="click=1.0")
    )


def test_malformed_events_are_kept_and_counted(spool):
    spool.append_rejects([("decision", "context", b"\xff\x00{", "not JSON", 5)])
    spool.append_rejects([("reward", "value", b"x" * 100_000, "NaN", 6)])
    first, second = (orjson.loads(body) for _, body in spool.read("rejects"))
    assert first == {"kind": "decision", "field": "context", "raw": "\ufffd\x00{", "reason": "not JSON", "at": 5}
    assert len(second["raw"]) == 64 << 10
    assert spool.counts()["rejects"] == 2


def _append(path, batches: int) -> None:
    spool = Spool(path)
    for _ in range(batches):
        spool.append_decisions([make() for _ in range(10)])
    spool.close()


@pytest.mark.medium
def test_processes_and_threads_append_side_by_side(tmp_path):
    path = tmp_path / "log.sqlite"
    workers = [mp.get_context("spawn").Process(target=_append, args=(path, 20)) for _ in range(2)]
    for worker in workers:
        worker.start()
    spool = Spool(path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: spool.append_decisions([make() for _ in range(10)]), range(20)))
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert spool.counts()["decisions"] == 600
    spool.close()


@pytest.mark.parametrize("at", [-1, 1_574_589_600_000_000_000, 4_102_444_800_000_000])
def test_a_time_that_has_no_hour_is_refused_before_it_blocks_the_log(spool, at):
    with pytest.raises(InvalidEvent, match="at: found"):
        spool.append_decisions([make("good"), make("bad", at=at)])
    with pytest.raises(InvalidEvent, match="at: found"):
        spool.append_rewards([Reward(event_id="e", at=at, kind="click", value=1.0)])
    assert spool.counts() == {"decisions": 0, "rewards": 0, "rejects": 0, "thinned": 0}


def test_a_failed_append_leaves_nothing_and_says_so(spool):
    spool.db.execute("PRAGMA max_page_count = 30")  # a full disk
    with pytest.raises(SpoolUnavailable, match="nothing of this call was written"):
        spool.append_decisions([make() for _ in range(1000)])
    assert spool.counts()["decisions"] == 0
    spool.append_decisions([make()])
    assert spool.counts()["decisions"] == 1


def rows_of(folder):
    """The files, but for the memory in which SQLite's processes tell each other what they do."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


@pytest.mark.parametrize("how", ["deleted", "replaced", "its folder moved", "its disk full"])
def test_it_says_that_it_cannot_be_written_and_writes_nothing_to_know(tmp_path, how):
    folder = tmp_path / "spool"
    with contextlib.closing(Spool(folder / "log.db")) as spool:
        spool.append_decisions([make("e0")])
        before = rows_of(folder)
        spool.refuse_unwritable()
        assert rows_of(folder) == before
        if how == "its disk full":
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as the kernel ends a write: of no byte more
            try:
                with pytest.raises(SpoolUnavailable, match="nothing of this call was written"):
                    spool.refuse_unwritable()
                with pytest.raises(SpoolUnavailable, match="nothing of this call was written"):
                    spool.append_decisions([make("e1")])
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            return
        if how == "its folder moved":
            folder.rename(tmp_path / "away")
        else:
            (folder / "log.db").unlink()
        if how == "replaced":
            Spool(folder / "log.db").close()
        for call in (spool.refuse_unwritable, lambda: spool.append_decisions([make("e1")])):
            with pytest.raises(SpoolUnavailable, match="nothing of this call was written"):
                call()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_was_taken_away_is_not_written_to(tmp_path, how):
    """SQLite would go on without an error, and what was acknowledged could be read by nobody."""
    spool = Spool(tmp_path / "log.db")
    spool.append_decisions([make("first")])
    (tmp_path / "log.db").rename(tmp_path / "old.db")
    if how == "replaced":
        Spool(tmp_path / "log.db").close()
    with pytest.raises(SpoolUnavailable, match=r"log\.db.*nothing of this call was written"):
        spool.append_decisions([make("later")])
    spool.close()


def test_reopening_keeps_everything_and_full_durability_is_the_default(tmp_path):
    path = tmp_path / "log.sqlite"
    spool = Spool(path)
    spool.append_decisions([make("e")])
    assert spool.db.execute("PRAGMA synchronous").fetchone() == (2,)
    name = spool.id
    spool.close()
    again = Spool(path, durability="NORMAL")
    assert (again.id, list(again.find(["e"]))) == (name, ["e"])
    assert again.db.execute("PRAGMA synchronous").fetchone() == (1,)
    again.close()


@pytest.mark.medium
def test_at_the_cap_decisions_are_thinned_counted_and_stay_unbiased(tmp_path):
    spool = Spool(tmp_path / "log.sqlite", max_bytes=2 << 20)
    decided = 0
    for part in range(200):  # the ids are fixed, and so is who is kept: a weight of 1024 on few has a long tail
        answers = spool.append_decisions([make(f"e{part}-{i}") for i in range(100)])
        decided += len(answers)
    counts = spool.counts()
    assert counts["decisions"] + counts["thinned"] == decided == 20_000
    assert counts["thinned"] > 5_000
    assert spool.size() < 1.02 * (2 << 20)
    kept = [decision(body) for _, body in spool.read("decisions", limit=decided)]
    weights = [1 / d.pass_probability for d in kept]
    deviation = sum(w * w - w for w in weights) ** 0.5  # of the Horvitz–Thompson count
    assert abs(sum(weights) - decided) < 4 * deviation
    assert abs(len(kept) - decided) > 3 * deviation  # the unweighted count is far off: the test can fail
    thinned = make("late")
    assert {spool.append_decisions([thinned])[0].arm for _ in range(3)} == {"a"}
    spool.close()


def test_at_the_cap_a_repeat_is_no_new_decision(tmp_path):
    spool = Spool(tmp_path / "log.sqlite", max_bytes=300_000)
    for _ in range(20):
        spool.append_decisions([make() for _ in range(100)])
    before = spool.counts()
    assert before["thinned"] > 500
    stored = [decision(body) for _, body in spool.read("decisions")]
    assert spool.append_decisions(stored[:200]) == stored[:200]
    assert spool.counts() == before
    spool.append_decisions([make("twice")] * 5)
    after = spool.counts()
    assert after["decisions"] + after["thinned"] == before["decisions"] + before["thinned"] + 1
    spool.close()


def test_a_spool_that_is_no_database_is_named(tmp_path):
    (tmp_path / "log.sqlite").write_bytes(b"not a database" * 1000)
    with pytest.raises(SpoolUnavailable, match=r"log\.sqlite"):
        Spool(tmp_path / "log.sqlite")
    with pytest.raises(SpoolUnavailable, match=r"below\.db: .*nothing of this call was written"):
        Spool(tmp_path / "log.sqlite" / "below.db")
    assert sqlite3.sqlite_version_info >= (3, 35)


def test_what_it_writes_is_for_its_owner_and_group_alone(tmp_path):
    before = os.umask(0o022)
    try:
        spool = Spool(tmp_path / "spool" / "log.db")
        spool.append_rejects([("decision", "x", b"raw", "why", 1)])
        modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "spool").iterdir()}
        spool.close()
    finally:
        os.umask(before)
    assert {"log.db", "log.db-wal", "log.db-shm"} <= set(modes)
    assert set(modes.values()) == {0o640}, modes
