"""A log that is encoded part by part is what it would be as one part: the same key, and the same rows in every file."""

from dataclasses import replace

import polars as pl
import pytest

from croupier.features import build, clock
from croupier.features.encoded.kept import digest
from croupier.features.encoding import catalogue
from croupier.features.interactions import imitation, late_rewards
from croupier.features.interactions.guardrail_totals import GuardrailTotals
from croupier.features.interactions.parts import log_parts
from croupier.features.interactions.parts.hour_rows import HourRows, cut, thinned
from croupier.features.interactions.versions import empty, newest
from croupier.features.log.shipped import REWARD, read_rows
from croupier.features.schema import APPRENTICE, Reward
from croupier.features.store import layout
from croupier.features.utc import HOUR
from croupier.features.workspace import Interval, Workspace
from croupier.features.worlds.reels import World

START, END = "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00"
N, TIED, PART = 900, 30, 64


@pytest.fixture(scope="module")
def w(tmp_path_factory):
    """Hours of reels, with events of one microsecond, rewards that came too late, and a guardrail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_VAR", str(tmp_path_factory.mktemp("var")))
        world, w = World(seed=4), Workspace.open("shop")
        w.home.mkdir(parents=True)
        toml = world.app_toml(window_seconds=600).replace("default = 0.0", 'default = 0.0\nguardrails = ["hide"]')
        (w.home / "app.toml").write_text(toml)
        catalogue.write(w.home / "catalogue.json", world.arms())
        made, rewards = world.log(N)
        made = [replace(d, at=made[0].at // HOUR * HOUR) for d in made[:TIED]] + made[TIED:]
        late = [Reward(event_id=d.event_id, at=d.at + 700_000_000, kind="click", value=1.0) for d in made[40::9]]
        hidden = [Reward(event_id=d.event_id, at=d.at + 5_000_000, kind="hide", value=2.0) for d in made[::7]]
        spool = w.spool()
        spool.append_decisions(made)
        spool.append_rewards([*rewards, *late, *hidden])
        spool.close()
        build.collect("shop")
        build.join("shop", START, END)
        yield Workspace.open("shop")


def versions(w):
    interval = Interval.parse(START, END)
    return list(newest(w.store, start=interval.start, end=interval.end).values())


def whole(w):
    """All rows in order, read at once, with what came too late for them."""
    rows = read_rows([w.store.root / version.data for version in versions(w)], empty().schema)
    late = read_rows([w.store.root / version.late for version in versions(w) if version.late], REWARD)
    return late_rewards.beside(rows.sort("at", "event_id"), late, w.spec.reward).drop("late")


def kept(w, monkeypatch, rows):
    monkeypatch.setattr(log_parts, "PART_ROWS", rows)
    key = build.encode("shop", START, END)["features"]
    return key, {key.rpartition("/")[2]: w.store.get(key) for key in w.store.list(f"{layout.features(key)}/")}


@pytest.mark.medium
def test_parts_of_any_size_come_to_the_same(w, monkeypatch):
    (one, at_once), (many, parts) = (kept(w, monkeypatch, rows) for rows in (20_000, PART))
    assert one == many
    names = {"catalogue.json", "encoded.parquet", "encoder.json", "golden.json", "guardrails.parquet", "late.parquet"}
    assert at_once.keys() == parts.keys() == names | {"meta.json", "segments.parquet"}
    frames = {name: [pl.read_parquet(found[name]) for found in (at_once, parts)] for name in names if "parq" in name}
    assert all(a.equals(b) and len(a) == N for a, b in frames.values())
    assert all(at_once[name] == parts[name] for name in at_once if name.endswith("json"))
    assert frames["guardrails.parquet"][0]["hide"].sum() == 2.0 * len(range(0, N, 7))
    assert (frames["late.parquet"][0]["late_reward"] != 0.0).sum() > 20
    labels = pl.read_parquet(parts["segments.parquet"])
    assert labels.columns == ["at", "country", "device"]  # who decided was the same all along
    assert labels["at"].equals(frames["late.parquet"][0]["at"])


@pytest.mark.parametrize("rows", [1, 7, PART, 20_000])
def test_the_parts_are_the_rows_in_order(w, monkeypatch, rows):
    monkeypatch.setattr(log_parts, "PART_ROWS", rows)
    expected = whole(w)
    with log_parts.learnt(w.store, w.spec, reversed(versions(w))) as log:
        assert [len(part) for part in log.parts] == [rows] * (N // rows) + [N % rows] * (N % rows > 0)
        assert pl.concat(log.parts).equals(expected)
        assert (log.rows, log.split_at) == (N, expected["at"][round(0.6 * N)])
        assert pl.concat(log.earlier).equals(expected.filter(pl.col("at") < log.split_at))


@pytest.mark.parametrize("least", [1, 10_000])
def test_an_apprentices_log_is_left_out_or_imitated_and_thinned_alike(w, monkeypatch, tmp_path, least):
    """Every fifth decision is the app's own; with few others they are what is learnt."""
    monkeypatch.setattr(log_parts, "PART_ROWS", PART)
    every = (
        whole(w)
        .drop("late_reward")
        .with_row_index()
        .with_columns(role=pl.when(pl.col("index") % 5 == 0).then(pl.lit(APPRENTICE)).otherwise("role"))
        .drop("index")
    )
    spec = w.spec.model_copy(update={"training": w.spec.training.model_copy(update={"min_rows": least})})
    found = []
    for i, version in enumerate(versions(w)):
        path = tmp_path / f"{i}.parquet"
        part = every.filter(
            pl.col("at") // HOUR == every.filter(pl.col("event_id") == first(w, version))["at"][0] // HOUR
        )
        part.sample(fraction=1.0, shuffle=i == 0, seed=1).write_parquet(path)  # one file is in no order
        found.append(HourRows.of(path, 0.5))
    log = log_parts._in_parts(found, [[] for _ in found], spec)
    expected = imitation.learnt(thinned(every, 0.5), spec)
    assert pl.concat(log.parts).drop("late_reward").equals(expected)
    assert (log.rows, log.split_at) == (len(expected), expected["at"][round(0.6 * len(expected))])
    assert 0 < len(expected) < N / 2 + 60
    assert [hour.sorted for hour in found] == [False] + [True] * (len(found) - 1)


def first(w, version):
    return pl.read_parquet(w.store.root / version.data)["event_id"][0]


def test_rows_named_within_another_event_are_one_part(w, tmp_path):
    rows = whole(w).drop("late_reward")
    rows.with_columns(event_id=pl.concat_str(pl.lit("page/"), "event_id")).write_parquet(tmp_path / "rows.parquet")
    hour = HourRows.of(tmp_path / "rows.parquet", 1.0)
    assert hour.grouped
    log = log_parts._whole([hour], [[]], w.spec)
    assert [len(part) for part in log.parts] == [N]
    assert (log.rows, log.split_at) == (N, rows["at"][round(0.6 * N)])


def test_a_guardrail_is_counted_for_rows_in_any_parts(w, tmp_path):
    rows, hidden = whole(w), dict.fromkeys(range(0, N, 7), 2.0)
    totals = GuardrailTotals(w.store, w.spec, tmp_path, clock.now())
    found = pl.concat([totals.of(part) for part in rows.iter_slices(100)])
    made, _ = World(seed=4).log(N)
    expected = {d.event_id: hidden.get(i, 0.0) for i, d in enumerate(made)}
    assert found["hide"].to_list() == [expected[event] for event in rows["event_id"]]
    assert found["at"].equals(rows["at"])


def test_frames_are_cut_to_length():
    frames = [pl.DataFrame({"x": range(n, n + k)}) for n, k in ((0, 0), (0, 5), (5, 1), (6, 0), (6, 9))]
    assert [part["x"].to_list() for part in cut(frames, 6)] == [[*range(6)], [*range(6, 12)], [12, 13, 14]]
    assert list(cut([], 6)) == []


def test_a_key_is_of_every_part_on_a_line_of_its_own():
    assert digest(["a", 1.5, ""]) == digest(iter(["a", "1.5", ""])) == "ca6d7f080786107f"
    assert len({digest(parts) for parts in ([], ["a"], ["a", ""], ["a", "b"], ["ab"])}) == 5
