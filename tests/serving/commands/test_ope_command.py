"""`croupier ope` on a table, on DSJSON and with arms named: numbers equal to plain sums over the file."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from croupier.features import build
from croupier.features.encoding import catalogue
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import World
from croupier.serving.cli import app
from croupier.serving.operate import verdict_release

pytestmark = pytest.mark.medium  # a second each, or many of them: not in `make check`


@pytest.fixture
def log(tmp_path):
    rng, n = np.random.default_rng(0), 600
    arm = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    frame = pl.DataFrame({
        "item": arm, "click": (rng.random(n) < 0.3).astype(int), "p": np.select([arm == "a", arm == "b"], [0.5, 0.3], 0.2),
        "country": rng.choice(["AT", "BR"], n),
    })  # fmt: skip
    frame.write_csv(tmp_path / "log.csv")
    return tmp_path / "log.csv", frame


def run(*arguments):
    return CliRunner().invoke(app, ["ope", *map(str, arguments)])


def test_one_arm_on_a_csv(log, tmp_path):
    path, frame = log
    done = run(
        path, "--policy", "arm:b", "--arm", "item", "--reward", "click", "--propensity", "p", "--json", tmp_path / "o"
    )
    assert done.exit_code == 0, done.output
    shown = frame.filter(pl.col("item") == "b")
    found = json.loads((tmp_path / "o").read_text())
    assert found["estimates"]["ips"]["value"] == pytest.approx(shown["click"].sum() / 0.3 / 600)
    assert found["estimates"]["snips"]["value"] == pytest.approx(shown["click"].mean())
    assert found["ess"] == pytest.approx(len(shown))


def test_uniform_on_dsjson(log, tmp_path):
    _, frame = log
    lines = [
        {
            "_label_cost": -row["click"],
            "_label_probability": row["p"],
            "_label_Action": "abc".index(row["item"]) + 1,
            "_labelIndex": "abc".index(row["item"]),
            "EventId": f"e{i}",
            "Timestamp": "2026-01-01T00:00:00Z",
            "a": [1, 2, 3],
            "p": [0.5, 0.3, 0.2],
            "c": {"User": {"country": row["country"]}, "_multi": [{"_tag": x, "Arm": {"id": x}} for x in "abc"]},
        }
        for i, row in enumerate(frame.iter_rows(named=True))
    ]
    (tmp_path / "log.json").write_text("\n".join(map(json.dumps, lines)))
    done = run(tmp_path / "log.json", "--policy", "uniform", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    expected = (frame["click"] / frame["p"] / 3).mean()
    assert (found["rows"], found["estimates"]["ips"]["value"]) == (600, pytest.approx(expected))


def test_an_unknown_arm_names_those_there_are(log):
    done = run(log[0], "--policy", "arm:z", "--arm", "item", "--reward", "click", "--propensity", "p")
    assert done.exit_code == 1


def test_rows_that_cannot_be_used_are_counted_and_shown(log, tmp_path):
    """An impossible propensity is no weight; an empty reward means that none came, as it does for `import`."""
    _, frame = log
    reward = pl.Series([None if i in (3, 9) else v for i, v in enumerate(frame["click"])])
    p = pl.Series([0.0 if i == 5 else v for i, v in enumerate(frame["p"])])
    frame.with_columns(click=reward, p=p).write_csv(tmp_path / "holes.csv")
    done = run(tmp_path / "holes.csv", "--policy", "uniform", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    assert (found["rows"], found["skipped"]) == (599, {"bad propensity": 1})
    assert found["without_reward"] == 2
    kept = frame.with_row_index().filter(pl.col("index") != 5)
    click = kept["click"] * ~kept["index"].is_in([3, 9])
    assert found["estimates"]["ips"]["value"] == pytest.approx((click / kept["p"] / 3).mean())
    assert "2 rows without a reward count as the declared default" in " ".join(done.output.split())


def test_a_column_of_numbers_named_x_is_a_feature(log, tmp_path):
    log[1].with_columns(x=pl.Series(np.arange(600) / 600)).write_csv(tmp_path / "x.csv")
    done = run(tmp_path / "x.csv", "--policy", "uniform", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "o").read_text())["rows"] == 600


def test_a_feature_made_after_the_draw_is_named(tmp_path):
    """The arm's number beside the arm's name: DM and DR would learn from it what no policy can know."""
    rng, n = np.random.default_rng(1), 3000
    arm = rng.integers(0, 3, n)
    pl.DataFrame(
        {
            "arm": arm.astype(str),
            "shown": arm + 0.5,
            "age": rng.random(n),
            "p": np.full(n, 1 / 3),
            "reward": (rng.random(n) < 0.1 + 0.3 * (arm == 2)).astype(int),
        }
    ).write_csv(tmp_path / "leak.csv")
    done = run(tmp_path / "leak.csv", "--policy", "uniform", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "o").read_text())["leak"].startswith("shown")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [("none.csv", "", "found an empty file (0 bytes)"), ("head.csv", "item,click,p\n", "found no usable row (it is empty)"),
     ("zero.csv", "item,click,p\na,1,0\nb,0,0\n", "found propensities of 0 in 2 of 2 rows, expected the probability, above 0")],
)  # fmt: skip
def test_files_without_a_usable_row_say_so_in_one_sentence(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    done = run(tmp_path / name, "--policy", "uniform")
    assert done.exit_code == 1
    assert words in done.output
    assert "Traceback" not in done.output


def test_an_app_of_ours_is_given_by_its_folder(tmp_path, monkeypatch):
    """The newest version of every joined hour: the number of interactions, and IPS as summed by hand."""
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    world, w = World(seed=1), Workspace.open("reels")
    w.home.mkdir()
    (w.home / "app.toml").write_text(world.app_toml())
    catalogue.write(w.home / "catalogue.json", world.arms())
    assert "found no joined interactions" in run(w.home, "--policy", "uniform").output
    decisions, rewards = world.log(800)
    spool = w.spool()
    spool.append_decisions(decisions)
    spool.append_rewards(rewards)
    spool.close()
    build.collect("reels")
    build.join("reels", "2026-09-21T00:00+00:00", "2026-09-22T00:00+00:00")
    done = run(w.home, "--policy", "uniform", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    assert (found["rows"], found["estimates"]["ips"]["value"]) == (800, pytest.approx(len(rewards) / 800))
    assert verdict_release.bootstrap(w).number == 1  # uniform as well
    done = run(w.home, "--policy", "1", "--app", "reels", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "o").read_text())["estimates"]["ips"] == found["estimates"]["ips"]
    assert "no release 7 in" in run(w.home, "--policy", "7", "--app", "reels").output


@pytest.mark.parametrize("arm", ["a", "[red]", "b"])
def test_an_arms_name_is_shown_as_it_is(tmp_path, arm):
    frame = pl.DataFrame({"arm": [arm, "z"] * 20, "propensity": [0.5] * 40, "reward": [1.0, 0.0] * 20})
    frame.write_csv(tmp_path / "log.csv")
    done = run(tmp_path / "log.csv", "--policy", f"arm:{arm}")
    assert done.exit_code == 0, done.output
    assert f"arm:{arm}: 40 rows, 20 effective" in done.output


@pytest.mark.parametrize(("p", "reward"), [(5e-324, 1.0), (1e-200, 1.0), (0.5, 1e300)])
def test_numbers_that_overflow_are_named(tmp_path, p, reward):
    frame = pl.DataFrame({"p": [p] * 40, "r": [reward, -reward] * 20, "pi": [1.0] * 40})
    frame.write_csv(tmp_path / "log.csv")
    done = run(tmp_path / "log.csv", "--target-pmf", "pi", "--reward", "r", "--propensity", "p")
    assert done.exit_code == 1
    assert f"found a propensity of {p:.3g} and a reward of {reward:.3g}" in done.output


@pytest.mark.parametrize("odd", [1e300, -1e31])
def test_one_reward_that_overflows_among_others_is_named(tmp_path, odd):
    frame = pl.DataFrame({"arm": ["a", "b"] * 20, "propensity": [0.5] * 40, "reward": [odd, *[0.0, 1.0] * 19, 1.0]})
    frame.write_csv(tmp_path / "log.csv")
    done = run(tmp_path / "log.csv", "--policy", "arm:a")
    assert done.exit_code == 1
    assert f"reward: found {abs(odd):.3g} in size" in done.output


@pytest.mark.parametrize("first", ["rewarded", "plain"])
def test_lines_of_one_event_count_once(tmp_path, first):
    """One rewarded line nine times and nine unrewarded events: .1, not .5. A copy without the reward takes nothing away."""
    many = [("e0", "a", 1.0)] * 9 + [("e0", "a", None)]
    others = [(f"e{i}", "ab"[i % 2], 0.0) for i in range(1, 10)]
    rows = many + others if first == "rewarded" else others + many
    columns = list(zip(*rows, strict=True))
    pl.DataFrame(
        {"event_id": columns[0], "arm": columns[1], "reward": columns[2], "propensity": [0.5] * 19}, strict=False
    ).write_csv(tmp_path / "log.csv")
    done = run(tmp_path / "log.csv", "--policy", "uniform", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    assert (found["rows"], found["repeats"], found["skipped"]) == (10, 9, {})
    assert found["estimates"]["ips"]["value"] == pytest.approx(0.1)
    assert "9 rows repeat an event: each event counts once" in " ".join(done.output.split())


def test_an_event_id_of_another_decision_is_counted_apart(tmp_path):
    ids = [f"e{i % 20}" for i in range(21)]  # the last row bears the first one's id
    arm = ["ab"[i % 2] for i in range(20)] + ["b"]
    pl.DataFrame({"event_id": ids, "arm": arm, "reward": [1.0] * 21, "propensity": [0.5] * 21}).write_csv(
        tmp_path / "log.csv"
    )
    done = run(tmp_path / "log.csv", "--policy", "arm:a", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    assert (found["rows"], found["repeats"], found["skipped"]) == (20, 0, {"event id of another decision": 1})


def test_an_arm_that_some_rows_offer_is_judged_where_they_do(tmp_path):
    """x is offered in every third row and earns .6 there; before, its weights averaged −17 standard errors off 1."""
    rng, n = np.random.default_rng(3), 3000
    arms = [["a", "b", "x"] if i % 3 == 0 else ["a", "b"] for i in range(n)]
    arm = [row[rng.integers(len(row))] for row in arms]
    reward = [float(rng.random() < {"a": 0.1, "b": 0.2, "x": 0.6}[k]) for k in arm]
    pl.DataFrame(
        {
            "arm": arm,
            "arms": [json.dumps(row) for row in arms],
            "propensity": [1 / len(row) for row in arms],
            "reward": reward,
        }
    ).write_csv(tmp_path / "log.csv")
    done = run(tmp_path / "log.csv", "--policy", "arm:x", "--json", tmp_path / "o")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    assert found["offered"] == {"rows": 1000, "of": 3000, "share": pytest.approx(1 / 3)}
    shown = [r for r, k in zip(reward, arm, strict=True) if k == "x"]
    assert found["estimates"]["ips"]["value"] == pytest.approx(3 * sum(shown) / 1000)
    assert found["estimates"]["snips"]["value"] == pytest.approx(np.mean(shown))
    assert abs(found["weight_z"]) < 3
    said = " ".join(done.output.split())
    assert "arm:x could be chosen in 1,000 of 3,000 rows (33.3%): this is its value there" in said
    run(tmp_path / "log.csv", "--policy", "arm:a", "--json", tmp_path / "o")
    assert json.loads((tmp_path / "o").read_text())["offered"]["share"] == 1.0


def test_what_could_not_be_checked_is_said(log, tmp_path):
    path, _ = log
    done = run(
        path, "--policy", "arm:b", "--arm", "item", "--reward", "click", "--propensity", "p", "--json", tmp_path / "o"
    )
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "o").read_text())
    assert {
        "name": "propensity_self_test:likeliest_arm",
        "reason": "the log has the drawn arm's probability alone",
    } in found["unchecked"]
    assert "not checked: propensity_self_test:likeliest_arm, because the log has" in " ".join(done.output.split())


def test_columns_of_ones_own_names_are_said_by_role_as_init_and_import_have_it(tmp_path):
    """What the refusal tells to do is there to be done."""
    log = tmp_path / "shop.csv"
    rows = [
        f"2026-01-01T00:00:{i % 60:02d}Z;k{i};{'007' if i % 2 else '7'};0,5;{'1' if i % 4 == 1 else ''}"
        for i in range(400)
    ]
    log.write_text("\n".join(["Zeit;Kunde;gezeigt;Wahrscheinlichkeit;gekauft", *rows]) + "\n")
    done = CliRunner().invoke(app, ["ope", str(log), "--policy", "arm:007", "--json", "-"])
    assert done.exit_code == 1
    assert "say --column arm=NAME --column propensity=NAME --column reward=NAME" in done.stderr
    given = [
        f"--column={role}" for role in ("arm=gezeigt", "propensity=Wahrscheinlichkeit", "reward=gekauft", "at=Zeit")
    ]
    done = CliRunner().invoke(app, ["ope", str(log), "--policy", "arm:007", *given, "--json", "-"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["estimates"]["ips"]["value"] == pytest.approx(0.5)
