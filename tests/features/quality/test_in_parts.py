"""An interval that is judged part by part has the report of one that is judged whole, wherever the parts end."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions import versions
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts import interval_rows
from croupier.features.log.shipped import open_log
from croupier.features.quality.check import ROWS, SUMMARY, check
from croupier.features.quality.interval.span import IntervalSpan
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.storage import FolderStore
from croupier.features.utc import HOUR, hour_name
from croupier.features.worlds.reels import START, World

pytestmark = pytest.mark.medium
WORLD, N = World(seed=5), 700
BEGIN = datetime.fromtimestamp(START / 1e6, UTC)


@dataclass(frozen=True)
class Cut:
    """Rows that are read so many at a time, as a store's are."""

    frame: pl.DataFrame
    rows: int

    def __iter__(self):
        return self.frame.iter_slices(self.rows)

    def which(self):
        return self.frame.select("event_id", "at").iter_slices(self.rows)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    path = tmp_path_factory.mktemp("app") / "app.toml"
    path.write_text(WORLD.app_toml())
    spec, rows = AppSpec.read(path), WORLD.interactions(N)
    return spec, Encoder.fit(spec, rows, WORLD.arms())


def planted():
    """Faults of every kind, far from each other: an id that comes again 500 rows later, a reward, a role, an unknown
    candidate, features that drift, a candidate's share. Two rewards lie as far into their part as that candidate."""
    rows, i = WORLD.interactions(N), pl.int_range(pl.len())
    ids = rows["event_id"]
    return rows.with_columns(
        event_id=pl.when(i == 620).then(pl.lit(ids[120])).when(i == 333).then(pl.lit(ids[332])).otherwise("event_id"),
        reward=pl.when((i % 300 == 299) | i.is_in([102, 355])).then(7.0).otherwise("reward"),
        role=pl.when(i == 450).then(pl.lit("chef")).when(i % 11 == 0).then(pl.lit("candidate")).otherwise("role"),
        stage=pl.lit("50%"),
        release=pl.lit(3, pl.Int64),
        arm=pl.when(i == 5).then(pl.lit("reel-99")).otherwise("arm"),
        context=pl.when(i > 400)
        .then(pl.col("context").str.replace(r'"country":"[A-Z]*"', '"country":"MARS"'))
        .otherwise("context"),
    )


def judged(rows, app, folder, **more):
    spec, encoder = app
    account = Account(decisions_in=N, interactions=N)
    end = BEGIN + timedelta(seconds=N)
    arms = [arm.arm_id for arm in WORLD.arms()][:15]
    return check(
        rows, reward=spec.reward, start=BEGIN, end=end, folder=folder, encoder=encoder, account=account, arms=arms, **more
    )  # fmt: skip


def close(a, b):
    """The same words and counts, and numbers within the last digits of a sum in another order."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return [close(a[name], b[name]) for name in a]
    if isinstance(a, list | tuple):
        assert len(a) == len(b)
        return [close(*pair) for pair in zip(a, b, strict=True)]
    assert a == (pytest.approx(b, rel=1e-12, abs=1e-15) if isinstance(a, float) else b)
    return None


@pytest.mark.parametrize("rows", [1, 97, 350, N])
def test_the_report_is_the_same(app, tmp_path, rows):
    df = planted() if rows > 1 else planted()[:12]  # each part costs a run of Great Expectations
    released = {hour_name(START): {df["event_id"][5]: "released"}} if rows == 97 else {}
    whole, parts = (
        judged(each, app, tmp_path / name, limit=0.02, quarantined=released, pages=rows > 1)
        for name, each in (("whole", df), ("parts", Cut(df, rows)))
    )
    one, other = (each.to_dict() | {"docs_path": ""} for each in (whole, parts))
    close(one, other)
    assert whole.broken.equals(parts.broken)
    close({k: asdict(v) for k, v in whole.audit.items()}, {k: asdict(v) for k, v in parts.audit.items()})
    if rows > 1:
        found = {f.rule: f.count for f in (*whole.critical, *whole.held)}
        expected = {"event_id_unique": 4, "reward_in_range": 4, "role_known": 1, "arm_is_candidate": 1}
        assert found == {k: n for k, n in expected.items() if not (released and k == "arm_is_candidate")}
        assert {f.rule for f in whole.warnings} >= {"unknown_share context.country", "arms_new", "candidate_share release 3 at 50%"}  # fmt: skip
        health = [orjson.loads((tmp_path / name / layout.HEALTH / layout.HEALTH_NUMBERS).read_bytes()) for name in ("whole", "parts")]  # fmt: skip
        close(*health)
        for name in ("whole", "parts"):
            assert len(pl.read_parquet(tmp_path / name / layout.BROKEN_ROWS)) == whole.quarantined


def test_rows_that_are_not_read_have_not_passed(app, tmp_path):
    class Shrunk(Cut):
        def __iter__(self):
            return self.frame[:-1].iter_slices(self.rows)

    with pytest.raises(RuntimeError, match="found 699 rows to judge, expected 700"):
        judged(Shrunk(WORLD.interactions(N), 350), app, tmp_path, pages=False)


def test_each_part_has_its_page_of_great_expectations(app, tmp_path):
    judged(Cut(WORLD.interactions(N), 350), app, tmp_path)
    pages = [unquote(str(path)) for path in (tmp_path / layout.DATA_DOCS / "validations").rglob("*.html")]
    seconds = [f"{ROWS} from {BEGIN + timedelta(seconds=s):%Y-%m-%d %H:%M:%S.%f}" for s in (0, 350)]
    assert len(pages) == 3
    assert all(any(name in page for page in pages) for name in (*seconds, SUMMARY)), pages


def test_ids_that_come_again_are_found_wherever_they_lie():
    rng = np.random.default_rng(3)
    ids = rng.permutation([f"e{i}" for i in range(5000)] + ["e17", "e17", "e4999"]).tolist()
    frame = pl.DataFrame({"event_id": [*ids, None, None], "at": [START + i for i in range(len(ids) + 2)]})
    for rows in (1, 7, 1000, 10_000):
        span = IntervalSpan.of(Cut(frame, rows))
        assert span.repeated == {"e17", "e4999"}
        assert (span.rows, span.first, span.last) == (5005, START, START + 5004)
        assert span.hours == {START // 3_600_000_000 * 3_600_000_000: 5005}
    assert IntervalSpan.of(Cut(frame[:0], 5)) == IntervalSpan()


def test_rows_of_a_store_are_read_in_parts_in_order(tmp_path, monkeypatch):
    """A file of many rows some at a time, those of few together."""
    store, rows = FolderStore(str(tmp_path)), WORLD.interactions(N)
    hours = [rows, *(rows[i : i + 20].with_columns(pl.col("at") + (i + 1) * HOUR) for i in range(4))]
    with open_log(store) as log:
        for frame in hours:
            versions.commit(log, hour_name(frame["at"][0]), frame, rows[:0].select("event_id"), Account(), joined_at=1)
    monkeypatch.setattr(interval_rows, "PART_ROWS", 90)
    with interval_rows.stored(store, start=BEGIN, end=BEGIN + timedelta(hours=9)) as found:
        for _ in range(2):  # it may be read again
            parts = list(found)
            assert [len(part) for part in parts] == [90] * 7 + [70, 60, 20]
            assert pl.concat(parts).equals(pl.concat(hours))
        assert pl.concat(found.which()).equals(pl.concat(hours).select("event_id", "at"))
    with interval_rows.stored(store, start=BEGIN + timedelta(hours=9), end=BEGIN + timedelta(hours=10)) as found:
        assert (list(found), list(found.which())) == ([], [])
