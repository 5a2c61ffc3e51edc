"""Raw ids never enter; a forgotten unit is in no byte of the spool, the store or the reports; old hours go."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from croupier.features import upkeep
from croupier.features.ids import hash_unit
from croupier.features.interactions import versions
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.privacy import expire, forget, retain
from croupier.features.interactions.restate import restatements
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.ship import prune, ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Decision, Reward
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import FolderStore
from croupier.features.utc import HOUR, to_us
from croupier.features.workspace import Workspace

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`

START = datetime(2019, 11, 24, 10, tzinfo=UTC)
SPAN = {"start": START, "end": START + timedelta(hours=4)}
NOW = START + timedelta(days=2)
SPEC = RewardSpec(window_seconds=60)
EMAIL, OTHER = "alice@example.com", "bob@example.com"
ALICE, BOB = hash_unit("key", EMAIL), hash_unit("key", OTHER)


def decision(i: int) -> Decision:
    return Decision(
        event_id=f"event-{i}",
        at=to_us(START) + i * HOUR // 5,
        unit_id=ALICE if i % 3 == 0 else BOB,
        context={"n": i},
        arms=("a", "b"),
        pmf=(0.5, 0.5),
        arm="a",
        propensity=0.5,
        policy="p",
        role="champion",
        release=1,
    )


@pytest.fixture
def app(tmp_path):
    """20 decisions of two units over four hours, a reward each (some late), two malformed events; shipped, joined."""
    spool, store = Spool(tmp_path / "spool" / "log.db"), FolderStore(str(tmp_path / "store"))
    spool.append_decisions([decision(i) for i in range(20)])
    spool.append_rewards(
        [
            Reward(event_id=f"event-{i}", at=decision(i).at + (5 if i % 2 else 90) * 10**6, kind="click", value=1.0)
            for i in range(20)
        ]
    )
    spool.append_rejects([("reward", "value", b'{"event_id": "event-3", "value": NaN}', "not finite", to_us(START))])
    spool.append_rejects([("decision", "unit_id", EMAIL.encode() * 100, "too long", to_us(START))])
    ship(spool, store, host="h")
    join_interval(store, SPEC, now=NOW, **SPAN)
    yield spool, store, tmp_path
    spool.close()


def hits(folder: Path, *secrets: str) -> list[str]:
    """Files in which a secret occurs: raw bytes, and the values of every Parquet file (its pages are compressed)."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        text = path.read_bytes()
        if path.suffix == ".parquet":
            text += str(pq.read_table(path).to_pydict()).encode()
        found += [path.name for secret in secrets if secret.encode() in text]
    return found


def test_raw_ids_are_nowhere_but_hashes_are_until_forgotten(app):
    _, _, folder = app
    assert hits(folder, EMAIL, OTHER) == []
    assert len(hits(folder, ALICE)) >= 9  # spool (or its WAL), four hours of log, four of interactions


def test_a_join_that_had_read_the_unit_before_it_was_forgotten_brings_nothing_back(app, monkeypatch):
    """At the moment when the rows are joined and not yet committed."""
    spool, store, folder = app
    spool.append_rewards([Reward(event_id="event-4", at=decision(4).at + 10**6, kind="click", value=5.0)])
    ship(spool, store, host="h")
    committed, forgets = versions.commit, []

    def commit(log, hour, *args, **kwargs):
        if not forgets:
            forgets.append("begun")
            forgets.append(forget(store, spool, SPEC, unit_id=ALICE, host="h", now=NOW))
        return committed(log, hour, *args, **kwargs)

    monkeypatch.setattr(versions, "commit", commit)
    account = join_interval(store, SPEC, now=NOW, **SPAN)
    assert hits(folder, ALICE) == []
    assert set(read_interactions(store, **SPAN)["unit_id"]) == {BOB}
    assert account.interactions == len(read_interactions(store, **SPAN)) == 13
    assert forgets[1].hours


def test_forget_leaves_no_byte_of_the_unit_and_every_other_row(app):
    spool, store, folder = app
    before = read_interactions(store, **SPAN)
    reports = folder / "reports"
    reports.mkdir()
    before.head(5).write_parquet(reports / "quarantine.parquet")
    units = np.array([int(u[:16], 16) for u in before["unit_id"]], np.uint64)
    for name, unit in (("both", units), ("bob", units[before["unit_id"].to_numpy() == BOB])):
        (store.root / "features" / name).mkdir(parents=True)
        pq.write_table(pa.table({"unit": unit}), store.root / "features" / name / "encoded.parquet")
        pq.write_table(pa.table({"at": range(len(unit))}), store.root / "features" / name / "segments.parquet")
    spool.append_decisions([decision(21)])  # not yet shipped

    done = forget(store, spool, SPEC, unit_id=ALICE, host="h", now=NOW, reports=[reports])
    mine = {f"event-{i}" for i in range(0, 22, 3)}
    assert done.rows == 8 + 7 + 1  # decisions, rewards, and the malformed reward that names event-3
    assert done.hours == [f"2019-11-24T{h}" for h in (10, 11, 12, 13)]
    spool.close()
    assert hits(folder, ALICE, *(f'"{event}"' for event in mine), *(f"'{event}'" for event in mine)) == []
    assert read_interactions(store, **SPAN).equals(before.filter(pl.col("unit_id") == BOB))
    assert store.list("features/") == ["features/bob/encoded.parquet", "features/bob/segments.parquet"]
    assert pl.read_parquet(reports / "quarantine.parquet").height == 3
    assert {r.version.changed["rows_removed"] for r in restatements(store)} == {1, 2}


def test_forgetting_again_changes_nothing_and_the_log_lives_on(app):
    spool, store, _ = app
    forget(store, spool, SPEC, unit_id=ALICE, host="h", now=NOW)
    state = {key: store.get(key) for key in store.list("")}
    again = forget(store, spool, SPEC, unit_id=ALICE, host="h", now=NOW)
    assert (again.rows, again.objects, again.hours) == (0, 0, [])
    assert {key: store.get(key) for key in store.list("")} == state
    spool.append_decisions([decision(22)])
    assert ship(spool, store, host="h").decisions == 1
    assert prune(spool, store, before=to_us(NOW)) == 13 + 1 + 13 + 1  # verified against the rewritten objects
    assert spool.counts()["decisions"] == 21


@pytest.mark.parametrize("nth", [1, 2, 4, 7, 9, 11])
def test_a_forget_that_died_half_way_is_finished_by_the_next(app, monkeypatch, nth):
    spool, store, folder = app
    writes = {"left": nth}

    def dying(real):
        def call(*args):
            writes["left"] -= 1
            if writes["left"] == 0:
                raise KeyboardInterrupt
            return real(*args)

        return call

    with monkeypatch.context() as patch:
        for name in ("put", "create", "delete"):
            patch.setattr(store, name, dying(getattr(store, name)))
        patch.setattr(spool, "purge", dying(spool.purge))
        with pytest.raises(KeyboardInterrupt):
            forget(store, spool, SPEC, unit_id=ALICE, host="h", now=NOW)
    forget(store, spool, SPEC, unit_id=ALICE, host="h", now=NOW)
    spool.close()
    assert hits(folder, ALICE) == []
    rows = read_interactions(store, **SPAN)
    assert rows["event_id"].to_list() == [f"event-{i}" for i in range(20) if i % 3]
    assert rows["reward"].sum() == 7


def test_a_forget_that_died_is_ended_by_collect_events(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    w = Workspace.open("shop")
    w.home.mkdir()
    (w.home / "app.toml").write_text("[reward]\nwindow_seconds = 60.0")
    spool = w.spool()
    at = to_us(datetime.now(UTC))
    spool.append_decisions([replace(decision(i), at=at + i) for i in range(9)])
    with monkeypatch.context() as patch:
        patch.setattr(spool, "purge", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            forget(w.store, spool, SPEC, unit_id=ALICE, host=w.settings.host, now=NOW)
    spool.close()
    assert upkeep.retain("shop") == {"spool_rows": 0, "objects": 0}
    assert hits(tmp_path, ALICE) == []
    assert len(hits(tmp_path, BOB)) >= 2  # spool and log


def test_three_units_forgotten_at_once_are_all_forgotten(app):
    spool, store, folder = app
    units = [ALICE, BOB, hash_unit("key", "carol@example.com")]
    spool.append_decisions([replace(decision(i), unit_id=units[i % 3]) for i in range(30, 60)])
    spools = [Spool(spool.path) for _ in units]

    def one(own: Spool, unit: str) -> None:
        forget(store, own, SPEC, unit_id=unit, host="h", now=NOW)
        own.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, spools, units))
    assert prune(spool, store, before=to_us(NOW)) == 1  # the reject: the spool and the store agree
    spool.close()
    assert hits(folder, *units) == []


def test_two_hosts_that_forget_at_once_lose_nothing_of_each_other(app):
    spool, store, folder = app
    elsewhere = [Spool(folder / "other" / "log.db")]

    class Interrupted(FolderStore):
        """Another host forgets Bob while this one holds an object of decisions that it is about to rewrite."""

        seen: list[str] = []  # noqa: RUF012

        def get(self, key):
            found = super().get(key)
            self.seen.append(key)
            if key.startswith("log/decisions/") and self.seen.count(key) == 2 and elsewhere:
                host = elsewhere.pop()
                forget(store, host, SPEC, unit_id=BOB, host="other", now=NOW)
                host.close()
            return found

    forget(Interrupted(store.url), spool, SPEC, unit_id=ALICE, host="h", now=NOW)
    assert not elsewhere
    assert hits(folder / "store", ALICE, BOB) == []


def test_retention_deletes_whole_hours_that_are_older(app):
    spool, store, _ = app
    now = START + timedelta(days=400, hours=2)
    gone = expire(store, days=400, now=now)
    assert {key.partition("hour=")[2][:13] for key in gone} == {"2019-11-24T10", "2019-11-24T11"}
    assert read_interactions(store, **SPAN)["at"].min() == to_us(START) + 2 * HOUR
    assert retain(store, spool, days=400, now=START + timedelta(hours=1)) == {"spool_rows": 0, "objects": 0}


def test_retention_empties_the_spool_first(app):
    spool, store, _ = app
    done = retain(store, spool, days=400, now=START + timedelta(days=401))
    assert done["spool_rows"] == 20 + 20 + 2
    assert store.list("log/") == store.list("interactions/") == []
    assert retain(store, spool, days=400, now=START + timedelta(days=401)) == {"spool_rows": 0, "objects": 0}


@pytest.mark.parametrize("listed", ["log/decisions/", "log/rewards/", "interactions/"])
def test_retention_deletes_what_forget_has_just_listed(app, listed):
    """The two oldest hours go between one line of forget and the next; what is left is forgotten all the same."""
    spool, _, folder = app

    class Expiring(FolderStore):
        def list(self, prefix):
            found = super().list(prefix)
            if prefix == listed and expire(FolderStore(self.url), days=1, now=START + timedelta(days=1, hours=2)):
                assert any("T10" in key for key in found)
            return found

    store = Expiring(str(folder / "store"))
    done = forget(store, spool, SPEC, unit_id=ALICE, host="h", now=NOW)
    assert done.hours == ["2019-11-24T12", "2019-11-24T13"]
    assert hits(folder, ALICE) == []
    left = read_interactions(store, **SPAN)
    assert sorted(left["event_id"]) == sorted(f"event-{i}" for i in range(10, 20) if i % 3)
    assert spool.noted("forgetting") is None
