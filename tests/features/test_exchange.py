"""Logs of others in, ours out: exact round trips, VW trains on what we write, and what is missing is said."""

import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from features import catalogue, dsjson, exchange
from features.audit import PROPENSITY_ONLY
from features.dsjson import DsjsonSource
from features.exchange import open_source
from features.guess import guess_app
from features.schema import Decision
from features.spec import AppSpec, SpecError
from features.tabular import TableSource
from features.worlds.reels import START, World

WORLD = World(seed=6)


@pytest.fixture(scope="module")
def ours():
    return WORLD.interactions(600)


@pytest.fixture
def exported(ours, tmp_path):
    path = tmp_path / "log.dsjson"
    path.write_bytes(b"".join(dsjson.export(ours, WORLD.arms())))
    return path


def spec_of(guess, tmp_path):
    (tmp_path / "guess.toml").write_text(guess.toml)
    return AppSpec.read(tmp_path / "guess.toml")


def test_what_we_export_we_import(ours, exported):
    source = open_source(exported, unit_key="k")
    records = list(source.records())
    assert [r.decision for r in records] == [Decision.from_row(row) for row in ours.iter_rows(named=True)]
    rewards = {r.decision.event_id: reward.value for r in records for reward in r.rewards}
    assert rewards == dict(ours.filter(pl.col("reward") != 0).select("event_id", "reward").iter_rows())
    features = {a.arm_id: a.features for a in WORLD.arms()}
    assert {a.arm_id: a.features for a in source.arms()} == {k: features[k] for k in {a.arm_id for a in source.arms()}}
    assert not source.skipped


def test_vw_trains_on_it_unchanged(exported, ours, tmp_path):
    import vowpalwabbit

    options = "--dsjson --cb_explore_adf --epsilon 0.1 -q CA -q CP --quiet"
    from_file = vowpalwabbit.Workspace(f"{options} --data {exported} -f {tmp_path / 'm.vw'}")
    assert from_file.get_weighted_examples() == len(ours)
    uniform = -ours["reward"].sum()  # its loss, were every arm as likely as logged
    assert from_file.get_sum_loss() < 1.2 * uniform  # progressive IPS loss: it learns
    from_file.finish()
    lines = [orjson.loads(text) for text in exported.read_bytes().splitlines()]
    path = write_lines(tmp_path / "bare.json", [{k: v for k, v in x.items() if k != "Croupier"} for x in lines])
    bare = vowpalwabbit.Workspace(f"{options} --data {path}")  # and our own key beside VW's changes nothing
    assert bare.get_sum_loss() == pytest.approx(from_file.get_sum_loss(), rel=1e-6)
    bare.finish()


def personalizer(i, *, chosen=1, cost=-1.0, extra=None):
    """A line as rlclientlib writes it: nested namespaces, no tags."""
    actions = [{"TAction": {"topic": t}, "price": {"now": 1.0 + i}} for t in ("sports", "news", "art")]
    order = [chosen + 1, *(k + 1 for k in range(3) if k != chosen)]
    return {
        "_label_cost": cost, "_label_probability": 0.8, "_label_Action": chosen + 1, "_labelIndex": chosen,
        "EventId": f"e{i}", "Timestamp": f"2020-01-01T00:00:{i:02d}.1234567Z", "a": order, "p": [0.8, 0.1, 0.1],
        "c": {"GUser": {"major": "math", "hobby": ["a"]}, "_multi": actions}, "pdrop": 0.5, **(extra or {}),
    }  # fmt: skip


def write_lines(path, lines):
    path.write_bytes(b"".join(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n" for line in lines))
    return path


def test_a_foreign_dsjson_log(tmp_path):
    path = write_lines(tmp_path / "x.json", [personalizer(0), personalizer(1, cost=0.0)])
    source = DsjsonSource(path, unit_key="k")
    assert sorted(a.features["TAction_topic"] for a in source.arms()) == ["art"] * 2 + ["news"] * 2 + ["sports"] * 2
    # prices differ, so the digests do: two times three arms. With an id they are three, and the price is the pair's
    lines = [personalizer(i) for i in range(2)]
    for line in lines:
        for action in line["c"]["_multi"]:
            action["id"] = action["TAction"]["topic"]
    source = DsjsonSource(write_lines(path, lines), unit_key="k")
    assert {a.arm_id: a.features for a in source.arms()}["news"] == {"TAction_topic": "news"}
    first = next(iter(source.records())).decision
    assert first.arms == ("sports", "news", "art")
    assert (first.arm, first.propensity, first.pmf) == ("news", 0.8, (0.1, 0.8, 0.1))
    assert first.context == {"GUser_major": "math", "GUser_hobby": ["a"]}
    assert first.arm_context == ({"price_now": 1.0},) * 3
    assert first.pass_probability == 0.5
    assert first.at == 1577836800123456


def test_unusable_lines_are_counted_by_reason(tmp_path):
    lines = [
        personalizer(0), b"{oops\n", {"EventId": "e0", "RewardValue": 1}, personalizer(2, extra={"_skipLearn": True}),
        personalizer(3, extra={"_label_probability": 0.0}), personalizer(4, extra={"p": [0.8, 0.8, 0.1]}),
        personalizer(5, extra={"_label_cost": float("inf")} ), b"\n",
    ]  # fmt: skip
    lines[6] = orjson.dumps(lines[6]).replace(b'"_label_cost":null', b'"_label_cost":"x"') + b"\n"
    source = DsjsonSource(write_lines(tmp_path / "x.json", lines), unit_key="k")
    assert len(list(source.records())) == 1
    assert source.skipped == {"not JSON": 1, "no c._multi (an observation, or another problem type)": 1,
                              "_skipLearn": 1, "bad propensity": 1, "bad pmf": 1, "bad value": 1}  # fmt: skip


def test_names_vw_would_swallow_are_refused(ours):
    hidden = ours[:1].with_columns(context=pl.lit('{"_age": 1}'))
    with pytest.raises(ValueError, match="underscore"):
        list(dsjson.export(hidden, WORLD.arms()))


TABLE = pl.DataFrame({
    "user_id": ["ann@example.org", "bob", "ann@example.org"], "item_id": [3, 1, 3], "click": [1, None, 0],
    "propensity_score": [0.5, 0.25, 0.5], "timestamp": ["2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z", None],
    "age": [30.5, None, 41.0], "city": ["Wien", "Graz", "Wien"], "arm.genre": ["x", "y", "x"],
})  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet", "tsv"])
def test_a_table(tmp_path, ending):
    path = tmp_path / f"log.{ending}"
    if ending == "parquet":
        TABLE.write_parquet(path)
    else:
        TABLE.write_csv(path, separator="\t" if ending == "tsv" else ",")
    source = open_source(path, unit_key="k")
    records = list(source.records())
    first, second, third = (r.decision for r in records)
    assert [a.arm_id for a in source.arms()] == ["1", "3"]
    assert source.arms()[1].features == {"genre": "x"}
    assert (first.arm, first.arms, first.pmf, first.stage) == ("3", ("1", "3"), (0.5, 0.5), PROPENSITY_ONLY)
    assert second.pmf == (0.25, 0.75)
    assert first.context == {"age": 30.5, "city": "Wien"}
    assert second.context == {"city": "Graz"}
    assert (first.at, second.at) == (1714557600000000, 1714557601000000)
    assert first.unit_id == third.unit_id != second.unit_id
    assert "ann" not in str(records)
    assert [[reward.value for reward in r.rewards] for r in records] == [[1.0], [], [0.0]]
    assert records[0].rewards[0].kind == "click"


def test_columns_can_be_named_and_missing_ones_are_said(tmp_path):
    path = tmp_path / "log.parquet"
    TABLE.rename({"propensity_score": "how_likely"}).write_parquet(path)
    with pytest.raises(ValueError, match=r"no column for the propensity.*--column propensity=NAME.*how_likely"):
        open_source(path, unit_key="k")
    source = open_source(path, unit_key="k", columns={"propensity": "how_likely"})
    assert next(iter(source.records())).decision.propensity == 0.5
    with pytest.raises(ValueError, match="found no such column"):
        open_source(path, unit_key="k", columns={"propensity": "nope"})
    with pytest.raises(ValueError, match="found no such role"):
        open_source(path, unit_key="k", columns={"nope": "click"})


def test_whole_pmfs_candidates_and_pairs_of_a_table(tmp_path):
    path = tmp_path / "log.parquet"
    pl.DataFrame({
        "arm": ["b", "b", "c"], "arms": [["a", "b"], ["b", "c"], ["a", "b"]],
        "pmf": [[0.3, 0.7], [0.6, 0.3], [0.5, 0.5]],
        "propensity": [0.7, 0.6, 0.5], "reward": [0.5, 1.0, 1.0], "context": ['{"x": 1}', '{"x": 2}', "{}"],
        "arm_context": ['[{"d": 1}, {"d": 2}]', "[]", "[]"], "at": [1_700_000_000, 1_700_000_001, 1_700_000_002],
    }).write_parquet(path)  # fmt: skip
    source = TableSource(path, unit_key="k", columns={})
    (record,) = source.records()
    d = record.decision
    assert (d.arms, d.pmf, d.stage, d.context) == (("a", "b"), (0.3, 0.7), "", {"x": 1})
    assert d.arm_context == ({"d": 1}, {"d": 2})
    assert d.at == 1_700_000_000_000_000
    assert source.skipped == {"bad pmf": 1, "bad arm": 1}
    assert [a.arm_id for a in source.arms()] == ["a", "b", "c"]


def test_a_partition_of_our_own(ours, tmp_path):
    ours.write_parquet(tmp_path / "v0001.parquet")
    records = list(open_source(tmp_path / "v0001.parquet", unit_key="k").records())
    for record, row in zip(records, ours.iter_rows(named=True), strict=True):
        d, theirs = record.decision, Decision.from_row(row)
        assert (d.event_id, d.at, d.context, d.arms, d.pmf, d.arm, d.arm_context, d.stage) == (
            theirs.event_id, theirs.at, theirs.context, theirs.arms, theirs.pmf, theirs.arm, theirs.arm_context, "")  # fmt: skip
        assert [reward.value for reward in record.rewards] == [row["reward"]]


def test_arm_features_must_be_the_arms(tmp_path):
    path = tmp_path / "log.parquet"
    TABLE.with_columns(pl.Series("arm.genre", ["x", "y", "z"])).write_parquet(path)
    with pytest.raises(ValueError, match=r"arm\.genre"):
        open_source(path, unit_key="k").arms()


def test_guesses(tmp_path):
    n = 100
    pl.DataFrame({
        "arm": [f"a{i % 3}" for i in range(n)], "p": [1 / 3] * n, "reward": [0.0, 2.5] * 50,
        "age": [20.5 + i for i in range(n)], "level": [i % 4 for i in range(n)],
        "city": [f"c{i % 7}" for i in range(n)],
        "spend": [0.1] * 99 + [900.0], "email": [f"user{i}@example.org" for i in range(n)],
        "vec": [[float(i), 1.0] for i in range(n)], "seen": ["2024-05-01T10:00:00"] * 50 + ["2024-05-02T11:00:00"] * 50,
        "same": ["x"] * n, "odd name": [float(i) for i in range(n)],
    }).write_parquet(tmp_path / "log.parquet")  # fmt: skip
    source = open_source(tmp_path / "log.parquet", unit_key="k")
    guess = guess_app(source)
    spec = spec_of(guess, tmp_path)
    assert {k: (f.type, f.transform) for k, f in spec.context.items()} == {
        "age": ("numeric", "standardise"), "level": ("categorical", "standardise"),
        "city": ("categorical", "standardise"), "spend": ("numeric", "log"), "vec": ("embedding", "standardise"),
        "seen": ("timestamp", "standardise"), "odd name": ("numeric", "standardise"),
    }  # fmt: skip
    assert spec.context["vec"].length == 2
    assert spec.arm.keys() == {"arm_id"}
    assert spec.reward.range == (0.0, 2.5)
    assert any("email: left out" in note and "identifier" in note for note in guess.notes)


def test_nothing_usable_is_said(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("arm,p,reward\na,0,1\n")
    with pytest.raises(ValueError, match=r"no row of this log can be used.*bad propensity"):
        guess_app(open_source(path, unit_key="k"))
    (tmp_path / "log.xlsx").touch()
    with pytest.raises(ValueError, match="unknown kind"):
        open_source(tmp_path / "log.xlsx", unit_key="k")


def test_init_then_import_by_command(tmp_path, monkeypatch, ours):
    from serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    log = tmp_path / "mine.csv"
    base = TABLE.select("user_id", "item_id", "click", "propensity_score", "city")
    n = 40
    wide = pl.concat([base] * n).with_columns(email=pl.Series([f"u{i}@example.org" for i in range(3 * n)]))
    wide.write_csv(log)
    run = CliRunner().invoke
    made = run(app.init, [str(log), "--app", "shop"])
    assert made.exit_code == 0, made.output
    assert "looks like an identifier" in made.output or "look like an identifier" in made.output
    assert [a.arm_id for a in catalogue.read(tmp_path / "var/shop/catalogue.json")] == ["1", "3"]
    again = run(app.init, [str(log), "--app", "shop"])
    assert isinstance(again.exception, ValueError)
    for expected in ("120 decisions, 80 new rewards, 0 rows skipped", "120 decisions, 0 new rewards, 0 rows skipped"):
        out = run(app.import_, [str(log), "--app", "shop"])
        assert out.exit_code == 0, out.output
        assert expected in out.output
    stored = b"".join(p.read_bytes() for p in (tmp_path / "var").rglob("*") if p.is_file())
    assert b"Wien" in stored
    assert b"example.org" not in stored  # neither the unit nor the column that looked like an identifier


@pytest.mark.parametrize("command", ["init", "import_"])
def test_a_column_without_a_role_is_named_not_passed_over(tmp_path, monkeypatch, exported, command):
    from serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    out = CliRunner().invoke(getattr(app, command), [str(exported), "--app", "shop", "--column", "arm:item"])
    assert isinstance(out.exception, ValueError)
    assert str(out.exception).startswith("--column: found 'arm:item', expected ROLE=COLUMN")
    assert not (tmp_path / "var" / "shop" / "app.toml").exists()


def test_import_needs_an_app(tmp_path, monkeypatch, exported):
    from serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    out = CliRunner().invoke(app.import_, [str(exported), "--app", "nothing"])
    assert isinstance(out.exception, SpecError)


@pytest.mark.parametrize("command", ["account", "restatements", "forget", "export"])
def test_a_misspelt_app_is_said_and_not_made(tmp_path, monkeypatch, command):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app.toml").write_text("")
    more = {"forget": ["someone"], "export": [str(tmp_path / "out.json")]}.get(command, [])
    from serving.cli import app as cli

    done = CliRunner().invoke(cli, [command, *more, "--app", "shpo"])
    assert done.exit_code == 1
    assert "expected one of shop" in done.output
    assert [p.name for p in tmp_path.iterdir()] == ["shop"]


def test_only_declared_features_enter(exported):
    class Kept:
        def __init__(self):
            self.decisions, self.rewards = [], []

        def append_decisions(self, decisions):
            self.decisions += decisions

        def append_rewards(self, rewards):
            self.rewards += rewards
            return [True] * len(rewards)

    kept = Kept()
    spec = AppSpec.model_validate({"context": {"age": {"type": "numeric"}}})
    done = exchange.import_log(kept, open_source(exported, unit_key="k"), spec)
    assert (done.decisions, done.start, done.end) == (600, START, START + 599_000_000)
    assert {tuple(d.context) for d in kept.decisions} == {("age",)}
    assert {d.arm_context for d in kept.decisions} == {()}


@pytest.mark.medium
def test_in_by_command_and_out_again(tmp_path, monkeypatch, exported, ours):
    """DSJSON → init → import → ship → join → export: the same decisions, probabilities and costs."""
    from features import build
    from serving.commands import app

    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path / "var"))
    target = tmp_path / "again.dsjson"
    for command, *arguments in ((app.init, exported), (app.import_, exported), (app.export, target), (app.report,)):
        if command is app.export:
            build.collect("loop")
            build.join("loop", "2026-09-21T14:00:00+00:00", "2026-09-21T15:00:00+00:00")
        out = CliRunner().invoke(command, [*map(str, arguments), "--app", "loop"])
        assert out.exit_code == 0, out.output
    first, second = ([orjson.loads(x) for x in p.read_bytes().splitlines()] for p in (exported, target))
    assert second == first
    assert "health: file://" in out.output
