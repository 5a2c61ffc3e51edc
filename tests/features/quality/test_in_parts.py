"""A log that is judged in parts and shards comes to what Great Expectations, at once, makes of all its rows."""

import re
from datetime import UTC, datetime, timedelta

import orjson
import polars as pl
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts import interval_rows
from croupier.features.interactions.parts.interval_rows import IntervalRows
from croupier.features.quality import gx, rules
from croupier.features.spec import AppSpec, RewardSpec
from croupier.features.worlds.reels import START, World

pytestmark = pytest.mark.medium  # each log is judged twice, with all pages

WORLD = World(seed=5)
N = 1200
BEGIN = datetime.fromtimestamp(START / 1e6, UTC)
SPAN = {"start": BEGIN, "end": BEGIN + timedelta(seconds=N)}
PLACE = pl.int_range(pl.len())
ANEW = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|2\d{7}T\d{6}\.\d{6}Z|>[0-9a-f]{32}<")


def put(rows, places, **values):
    given = {
        name: pl.when(PLACE.is_in(places)).then(pl.lit(value, dtype=rows.schema[name])).otherwise(name)
        for name, value in values.items()
    }
    return rows.with_columns(**given)


def twice(rows):
    """One id thrice, far from each other, and another twice, side by side."""
    return put(put(rows, [3, 600, 1199], event_id="thrice"), [400, 401], event_id="twice")


def faulty(rows):
    rows = put(put(twice(rows), range(0, 900, 3), reward=9.0), [5, 6, 700], role="chef")
    return put(put(put(rows, [8, 801], arm="nobody"), [900], propensity=0.9), [12, 1000], pass_probability=None)


def staged(rows):
    """Two releases, half of whose units are on the candidate, where it should have a fifth."""
    on = pl.when(pl.col("unit_id").hash(1) % 2 == 0).then(pl.lit("candidate")).otherwise(pl.lit("champion"))
    release = pl.when(PLACE < 500).then(3).otherwise(4).cast(pl.Int64)
    return rows.with_columns(stage=pl.lit("20%"), release=release, role=on)


def drifted(rows):
    text = pl.col("context").str.replace(r'"country":"[A-Z]*"', '"country":"MARS"')
    return rows.with_columns(context=pl.when(PLACE % 3 == 0).then(text).otherwise("context"))


LOGS = {
    "sound": (lambda rows: rows, []),
    "twice": (twice, ["held"]),
    "faulty": (faulty, ["critical"]),
    "staged": (staged, ["warnings"]),
    "drifted": (drifted, ["warnings"]),
    "in another order": (lambda rows: rows.sample(fraction=1.0, shuffle=True, seed=1), []),
}  # and where its findings are


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    path = tmp_path_factory.mktemp("app") / "app.toml"
    path.write_text(WORLD.app_toml())
    spec, rows = AppSpec.read(path), WORLD.interactions(N)
    return spec, rows, Encoder.fit(spec, rows[:300], WORLD.arms())


def judged(app, rows, folder):
    known = [arm.arm_id for arm in WORLD.arms()][:-2]
    account = Account(decisions_in=N, interactions=N)
    held = {f"{BEGIN:%Y-%m-%dT%H}": dict.fromkeys(rows.filter(reward=9.0)["event_id"][:50], "released")}
    log, how = IntervalRows.of(rows), {"encoder": app[2], "arms": known, "account": account, "quarantined": held}
    return gx.check(log, reward=app[0].reward, folder=folder, limit=0.2, **SPAN, **how)


def numbers_of(value):
    """All numbers in JSON, in order, and its shape without them."""
    if isinstance(value, dict):
        pairs = [(name, numbers_of(each)) for name, each in value.items()]
        return [x for _, (found, _) in pairs for x in found], {name: shape for name, (_, shape) in pairs}
    if isinstance(value, list):
        items = [numbers_of(each) for each in value]
        return [x for found, _ in items for x in found], [shape for _, shape in items]
    return ([value], "number") if isinstance(value, int | float) else ([], value)


@pytest.mark.parametrize("name", LOGS)
def test_in_parts_as_at_once(app, tmp_path, name, monkeypatch):
    fault, where = LOGS[name]
    rows = fault(app[1])
    whole = judged(app, rows, tmp_path / "whole")
    monkeypatch.setattr(interval_rows, "PART_ROWS", 170)
    monkeypatch.setattr(interval_rows, "SHARD_ROWS", 300)
    parts = judged(app, rows, tmp_path / "parts")
    assert [what for what in ("critical", "held", "warnings") if getattr(whole, what)] == where
    for what in ("critical", "warnings", "held", "quarantined", "rules", "rows"):
        assert getattr(parts, what) == getattr(whole, what), what
    assert parts.broken.equals(whole.broken)
    for group, found in whole.audit.items():
        assert parts.audit[group].n == found.n
        assert parts.audit[group].log_e == pytest.approx(found.log_e, rel=1e-9)
    healths = [orjson.loads((tmp_path / way / "health/health.json").read_bytes()) for way in ("whole", "parts")]
    (expected, shape), (found, same) = map(numbers_of, healths)
    assert same == shape
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["faulty", "staged"])
def test_the_pages_say_the_same(app, tmp_path, name, monkeypatch):
    rows = LOGS[name][0](app[1])
    judged(app, rows, tmp_path / "whole")
    monkeypatch.setattr(interval_rows, "PART_ROWS", 170)
    monkeypatch.setattr(interval_rows, "SHARD_ROWS", 300)
    judged(app, rows, tmp_path / "parts")
    pages = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.html"))
    assert len(pages) >= 6
    for page in pages:
        texts = [(tmp_path / way / page).read_text() for way in ("whole", "parts")]
        assert ANEW.sub("", texts[1]) == ANEW.sub("", texts[0]), page


def test_great_expectations_own_results_of_all_rows(app, monkeypatch):
    """Every field of every result, of which two list more unexpected rows than Great Expectations lists values."""
    facts = rules.row_facts(faulty(app[1])).with_row_index("row")
    asked = rules.row_rules(RewardSpec(), START, START + N * 1_000_000)
    judge = gx.Judge(("interval", BEGIN), pages=False)
    whole, parts = judge.suite("whole", asked), judge.suite("parts", asked)
    whole.add(facts)
    for part in facts.iter_slices(170):
        parts.add(part, [rule for rule in asked if rule.expectation != rules.UNIQUE])
    for of_shard in (pl.col("event_id").hash(7) % 3 == number for number in range(3)):
        parts.add(facts.filter(of_shard), [rule for rule in asked if rule.expectation == rules.UNIQUE])
    for rule in asked:
        (expected, found) = (frame.result(rule.name) for frame in (whole, parts))
        assert repr(found) == repr(expected), rule.name
    assert whole.result("reward_in_range")["unexpected_count"] == 300
    assert [row["row"] for row in parts.result("event_id_unique")["unexpected_index_list"]] == [3, 400, 401, 600, 1199]


def test_every_rule_about_rows_can_be_judged_so():
    """Each row by itself, or all rows of an event id together."""
    alone = {"ExpectColumnValuesToBeBetween", "ExpectColumnValuesToNotBeNull", "ExpectColumnValuesToBeInSet"}
    found = rules.row_rules(RewardSpec(), START, START + 1)
    assert {rule.expectation for rule in found} == {*alone, rules.UNIQUE}
    assert [rule.column for rule in found if rule.expectation == rules.UNIQUE] == ["event_id"]


def test_what_is_no_count_of_rows_is_not_added():
    judge = gx.Judge(("interval", BEGIN), pages=False)
    limits = {"max_value": 3}
    greatest = rules.Rule(name="greatest", column="x", says="", limits=limits, expectation="ExpectColumnMaxToBeBetween")
    frame = judge.suite("frame", [greatest])
    frame.add(pl.DataFrame({"x": [1.0, 2.0]}))
    assert frame.result("greatest") == {"observed_value": 2.0}
    with pytest.raises(ValueError, match="judge such a rule on all rows at once"):
        frame.add(pl.DataFrame({"x": [4.0]}))


def test_rows_that_were_not_looked_at_have_not_passed():
    judge = gx.Judge(("interval", BEGIN), pages=False)
    limits = {"value_set": [1]}
    known = rules.Rule(name="known", column="x", says="", limits=limits, expectation="ExpectColumnValuesToBeInSet")
    frame = judge.suite("frame", [known])
    frame.add(pl.DataFrame({"x": [1, 1]}))
    assert [result["success"] for _, result in frame.judged(2)] == [True]
    with pytest.raises(RuntimeError, match=r"judged 2 rows by known, expected each of 3 once"):
        frame.judged(3)
