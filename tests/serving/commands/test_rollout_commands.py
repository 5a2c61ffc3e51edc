"""`croupier rollout …` and `croupier release …` as an operator types them."""

import json

import pytest
from typer.testing import CliRunner

from croupier import Embedded
from croupier.features import clock
from croupier.features.encoding import catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.store import layout
from croupier.features.store.storage import open_store
from croupier.features.utc import HOUR
from croupier.features.workspace import Workspace
from croupier.models.baselines import FixedArm, Uniform
from croupier.serving.cli import app
from croupier.serving.operate import publish, succession
from croupier.serving.release import bundle, bundle_store, rollout_mirror
from croupier.serving.triton.server import Ports

ARMS = [Arm(arm_id=f"a{i}", features={"price": float(i)}) for i in range(3)]
TOML = '[context.age]\ntype = "numeric"\n[arm.price]\ntype = "numeric"\n[reward.kinds.click]\n'


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(tmp_path))
    monkeypatch.setenv("CROUPIER_APP", "shop")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "app.toml").write_text(TOML)
    catalogue.write(tmp_path / "shop" / "catalogue.json", ARMS)
    return tmp_path / "shop"


def publish_one(home, candidate):
    spec = Workspace.open("shop").spec

    def build(folder, number):
        bundle.write_release(
            folder,
            number=number,
            champion=Uniform(),
            candidate=candidate,
            encoder=Encoder.empty(spec, ARMS),
            arms=ARMS,
            floor=0.1,
            meta={},
        )

    publish.publish(open_store(str(home / "store")), home, build, triton=None)


def croupier(*words):
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "160"})
    return done.exit_code, done.output


def test_before_the_first_release_each_command_says_so(home):
    assert croupier("rollout", "status") == (0, "no release yet\n")
    code, said = croupier("rollout", "advance")
    assert (code, "publish a release first" in said) == (1, True)
    code, said = croupier("release", "verify", "1")
    assert (code, "no release 1" in said) == (1, True)


def test_up_by_hand_to_the_next_champion_and_back(home, monkeypatch):
    publish_one(home, FixedArm(arm="a1"))
    nobody = "no server of shop runs here, and nobody decided in the last hour, since "
    assert croupier("rollout", "status")[1].startswith(f"release 1: 5%, meant for 5% of units, but {nobody}")
    monkeypatch.setenv("CROUPIER_TRITON", "127.0.0.1:8001")
    assert croupier("rollout", "status")[1].startswith("release 1: 5%, 5% of units, since ")
    monkeypatch.delenv("CROUPIER_TRITON")
    for stage in ("20%", "50%"):
        assert croupier("rollout", "advance", "--reason", "looks good")[1].startswith(f"release 1: {stage}")
    code, said = croupier("rollout", "advance")
    assert code == 0
    assert "release 2: the candidate of release 1 is the champion" in said
    status = croupier("rollout", "status")[1]
    assert status.startswith(f"release 2: watch 1%, meant for 1% of units kept back, but {nobody}")
    assert "UTC against predecessor, which 0.01 of units are served; no matured decisions of both sides yet" in status
    code, said = croupier("rollout", "abort", "--yes")
    assert (code, "release 2 was promoted (watch 1%)" in said) == (1, True)
    code, said = croupier("rollout", "rollback", "1")
    assert (code, "release 3 serves the champion of release 1" in said) == (0, True)
    listed = croupier("release", "list")[1]
    assert [listed.count(status) for status in ("past", "current", "fixed_arm")] == [2, 1, 2]
    assert "as their manifest says" in croupier("release", "verify", "3")[1]
    assert croupier("release", "prune", "--keep", "1")[1] == "deleted 1 releases: 2\n"


def test_who_decides_without_a_server_serves(home):
    publish_one(home, FixedArm(arm="a1"))
    with Embedded("shop", var=home.parent) as shop:
        shop.select(unit_id="u", context={}, arms=["a1"])
        assert croupier("rollout", "status")[1].startswith("release 1: 5%, 5% of units, since ")
    with clock.at(clock.now_us() + 2 * HOUR):
        assert "nobody decided in the last hour" in croupier("rollout", "status")[1]


def test_abort_history_watch_and_report(home):
    publish_one(home, FixedArm(arm="a1"))
    watched = json.loads(croupier("rollout", "watch")[1])
    assert (watched["stage"], watched["share"], watched["promoted"]) == ("5%", 0.05, None)
    assert croupier("rollout", "abort", "--yes", "--reason", "complaints")[1].startswith(
        "release 1: aborted, 0% of units"
    )
    history = croupier("rollout", "history")[1]
    assert "complaints" in history
    assert history.index("release 1 published") < history.index("complaints")
    assert rollout_mirror.RolloutReader(home / "rollout.json").view(1).share == 0.0
    page = croupier("rollout", "report")[1].strip()
    assert "complaints" in (home / "reports" / "rollout" / "1.html").read_text()
    assert page.endswith("1.html")
    code, said = croupier("rollout", "advance")
    assert (code, "release 1 is aborted: publish a new release" in said) == (1, True)


def test_a_reason_is_text_whatever_brackets_are_in_it(home):
    publish_one(home, FixedArm(arm="a1"))
    assert croupier("rollout", "abort", "--yes", "--reason", "[/bold] [red]slow")[0] == 0
    assert "[/bold] [red]slow" in croupier("rollout", "history")[1]


def test_a_promotion_that_failed_is_made_up_for_by_advancing_again(home, monkeypatch):
    publish_one(home, FixedArm(arm="a1"))
    with monkeypatch.context() as broken:
        broken.setattr(succession, "promote", _no_disk)
        answers = [croupier("rollout", "advance") for _ in range(3)]
    assert [code for code, _ in answers] == [0, 0, 1]
    assert "no space left" in answers[2][1]
    code, said = croupier("rollout", "advance")
    assert (code, "release 2: the candidate of release 1 is the champion" in said) == (0, True)
    assert croupier("rollout", "advance")[0] == 1
    assert len(bundle_store.listed(open_store(str(home / "store")))) == 2


def _no_disk(*_args, **_kwargs):
    raise OSError("no space left")


@pytest.mark.parametrize("words", [
    ("rollout", "status"), ("rollout", "watch"), ("release", "list"), ("release", "verify", "1"), ("replay", "e1"),
    ("report",), ("gate", "report"),
])  # fmt: skip
def test_a_misspelt_app_is_named_and_not_made(home, words):
    code, said = croupier(*words, "--app", "shopp")
    assert (code, "expected one of shop" in said) == (1, True)
    assert not (home.parent / "shopp").exists()


def test_a_server_or_a_store_out_of_reach_is_one_sentence(home, monkeypatch):
    publish_one(home, None)
    monkeypatch.setenv("CROUPIER_TRITON", f"127.0.0.1:{Ports.free().grpc}")
    code, said = croupier("rollout", "rollback", "1")
    assert (code, said.startswith("croupier: 127.0.0.1:"), "no Triton answers there" in said) == (1, True, True)
    assert bundle_store.current(open_store(str(home / "store"))) == 1
    (home / "no-folder").write_text("")
    monkeypatch.setenv("CROUPIER_STORE", str(home / "no-folder"))
    code, said = croupier("release", "list")
    assert (code, said.startswith("croupier: "), "no-folder" in said) == (1, True, True)


@pytest.mark.parametrize("content", ["[]", "{", "5", '{"share": 1}', "[" * 100_000])
def test_a_state_that_is_none_is_named(home, content):
    publish_one(home, None)
    (home / "store" / layout.ROLLOUT).write_text(content)
    code, said = croupier("rollout", "status")
    assert (code, said.startswith("croupier: rollout state: found ")) == (1, True)


def test_simulate_rollout_prints_and_writes(tmp_path):
    out = tmp_path / "out.json"
    code, said = croupier("simulate", "rollout", "--runs", "20", "--effect", "-0.6", "--json", str(out))
    assert code == 0, said
    found = json.loads(out.read_text())
    assert json.loads(said) == found
    assert (found["runs"], found["effect"], found["reached_100"]) == (20, -0.6, 0.0)
    assert found["aborted"] >= 0.8
    assert found["median_reached"] is None
    for wrong, expected in (("20", "between -1 (no clicks) and 9 (all)"), ("nan", "between -1 (no clicks) and 9")):
        code, said = croupier("simulate", "rollout", "--effect", wrong)
        assert (code, expected in said) == (1, True), said
    assert croupier("simulate", "rollout", "--runs", "0")[0] == 2
    code, said = croupier("simulate", "rollout", "--world", "moon")
    assert (code, "expected one of bernoulli, reels" in said) == (1, True)


@pytest.mark.medium
def test_simulate_rollout_by_days(tmp_path):
    out = tmp_path / "out.json"
    options = ["--runs", "20", "--season", "0.3:-0.6", "--late", "champion:0.2", "--per-day", "24000"]
    code, said = croupier("simulate", "rollout", *options, "--json", str(out))
    assert code == 0, said
    cell = json.loads(out.read_text())["rows"]["declared"]["24000"]
    assert (cell["runs"], cell["reached_100"], cell["late"]["candidate"]) == (20, 0.0, 0.0)
    assert cell["aborted"] == 1.0, "60 % worse over a day is harm, late rewards or not"
    for wrong, expected in (
        (["--late", "nobody:0.1"], "late: found nobody, expected candidate or champion"),
        (["--season", "much"], "--season: found 'much', expected numbers"),
        (["--season", "3"], "click rates between 0 and 1"),
        (["--late", "champion:1.5"], "late {'champion': 1.5}, expected shares in [0, 1]"),
        (["--days", "--per-day", "5"], "expected 24 decisions a day or more"),
    ):
        code, said = croupier("simulate", "rollout", "--runs", "1", *wrong)
        assert (code, expected in said) == (1, True), said


def test_begin_makes_the_first_release_and_no_second(home):
    first = CliRunner().invoke(app, ["release", "begin"])
    assert (first.exit_code, first.stdout) == (0, "release 1 is the first: all arms alike\n"), first.output
    again = CliRunner().invoke(app, ["release", "begin", "--json"])
    assert json.loads(again.stdout) == {"app": "shop", "release": 1, "made": False}
    loaded = bundle.load(layout.served(home, 1))
    assert (loaded.champion.name, loaded.candidate) == ("uniform", None)
    assert len(bundle_store.listed(open_store(str(home / "store")))) == 1
