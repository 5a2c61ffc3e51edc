"""`croupier arm …` as an operator types it."""

import json

import pytest
from typer.testing import CliRunner

from croupier.features.encoding import catalogue
from croupier.serving.cli import app
from croupier.serving.release import bundle, bundle_store
from tests.serving.arm_shop import ARMS, Shop


@pytest.fixture
def shop(tmp_path, monkeypatch):
    made = Shop(tmp_path / "var", monkeypatch)
    yield made
    made.spool.close()


def croupier(*words):
    done = CliRunner().invoke(app, ["arm", *map(str, words)], env={"COLUMNS": "160"})
    return done.exit_code, done.output


def arms(shop):
    """Of the current release, by id."""
    number = bundle_store.current(shop.w.store)
    return number, {a.arm_id: a for a in bundle.load(shop.w.home / "triton" / "select_arm" / str(number)).arms}


@pytest.mark.medium
def test_an_arm_is_added_changed_paused_resumed_and_retired_and_is_live_each_time(shop):
    path = shop.w.home / "catalogue.json"
    assert croupier("add", "n0", "--feature", "price=9.5") == (0, f"release 2: n0 in {path}\n")
    number, now = arms(shop)
    assert (number, now["n0"].features, list(now)) == (2, {"price": 9.5}, ["a0", "a1", "a2", "a3", "n0"])
    assert croupier("add", "n0", "--change", "--feature", "price=7")[0] == 0
    assert arms(shop)[1]["n0"].features == {"price": 7.0}
    assert croupier("pause", "n0", "a1")[0] == 0
    assert [a for a, arm in arms(shop)[1].items() if arm.paused] == ["a1", "n0"]
    croupier("add", "n0", "--change", "--feature", "price=8")
    assert arms(shop)[1]["n0"].paused, "new features do not show a paused arm"
    assert croupier("resume", "n0")[0] == 0
    assert [a for a, arm in arms(shop)[1].items() if arm.paused] == ["a1"]
    assert croupier("retire", "a3")[0] == 0
    number, now = arms(shop)
    assert (number, now["a3"].valid_to > 0, now["a2"].valid_to) == (7, True, 0)
    assert [a.arm_id for a in catalogue.read(path)] == ["a0", "a1", "a2", "a3", "n0"]
    assert croupier("retire", "a3") == (0, f"{path}: nothing changed\n")
    croupier("resume", "a3")
    assert arms(shop)[1]["a3"].valid_to == 0


def test_an_end_can_be_set_ahead(shop):
    assert croupier("retire", "a0", "--at", "2100-01-01")[0] == 0
    assert arms(shop)[1]["a0"].valid_to == 4_102_444_800_000_000
    assert json.loads(croupier("list", "--json")[1])[0]["status"] == "active"


@pytest.mark.medium
def test_list_says_what_becomes_of_each_arm(shop):
    croupier("add", "n0", "--feature", "price=9.5")
    croupier("pause", "a0")
    croupier("retire", "a1")
    catalogue.write(
        shop.w.home / "catalogue.json", [a for a in catalogue.read(shop.w.home / "catalogue.json") if a.arm_id != "a2"]
    )
    rows = {row["arm_id"]: row for row in json.loads(croupier("list", "--json")[1])}
    assert {a: row["status"] for a, row in rows.items()} == {
        "a0": "paused",
        "a1": "retired",
        "a2": "retired",
        "a3": "active",
        "n0": "active",
    }
    assert {a: row["live"] for a, row in rows.items()} == {"a0": True, "a1": True, "a2": False, "a3": True, "n0": True}
    assert {a: (row["new"], row["shown"], row["until"]) for a, row in rows.items() if row["new"]} == {
        "n0": (True, 0, 150)
    }
    code, table = croupier("list")
    assert code == 0
    assert "│ n0  │ active  │ yes" in table
    assert "shown 0 of 150" in table


@pytest.mark.medium
@pytest.mark.parametrize("ending", ["json", "csv"])
def test_arms_are_added_and_retired_by_file(shop, tmp_path, ending):
    new, old = tmp_path / f"new.{ending}", tmp_path / f"old.{ending}"
    if ending == "json":
        new.write_text('[{"arm_id": "n0", "features": {"price": 5}}, {"arm_id": "007", "features": {"price": 6}}]')
        old.write_text('["a0", "a1"]')
    else:
        new.write_text("arm_id,price,title\nn0,5,\n007,6,Bond\n")
        old.write_text("arm_id\na0\na1\n")
    code, said = croupier("add", "--file", new, "--json")
    body = said[said.index("{") :]
    assert (code, json.loads(body)) == (
        0,
        {
            "app": "shop",
            "arms": ["n0", "007"],
            "release": 2,
            "problem": "",
            "catalogue": str(shop.w.home / "catalogue.json"),
        },
    )
    now = arms(shop)[1]
    assert (now["n0"].features["price"], now["007"].features["price"]) == (5, 6)
    assert croupier("retire", "--file", old)[0] == 0
    assert [a for a, arm in arms(shop)[1].items() if arm.valid_to] == ["a0", "a1"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retire", "a9"), "arm: found 'a9', expected one of the 4 arms of the catalogue; did you mean 'a3' or 'a2'"),
        (("pause", "zebra"), "arm: found 'zebra', expected one of the 4 arms of the catalogue\n"),
        (("add", "a0"), "arm: found 'a0' in the catalogue already; --change gives it new features"),
        (("add", "n0", "--feature", "price"), "--feature: found 'price', expected NAME=VALUE, such as price=12.5"),
        (("add", "n0", "--feature", "price=dear"), "arm.price: found 'dear', expected a finite number"),
        (("add",), "arm add: expected an arm id, or --file with several"),
        (("retire",), "arm: expected arm ids, or --file with them"),
        (("retire", "a0", "a1", "a2", "a3"), "4 arms, none of which can be chosen now"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(shop, words, said):
    before = (shop.w.home / "catalogue.json").read_bytes()
    code, text = croupier(*words)
    assert code == 1
    assert said in text
    assert (shop.w.home / "catalogue.json").read_bytes() == before
    assert bundle_store.current(shop.w.store) == 1


def test_a_misspelt_feature_is_kept_and_said(shop):
    code, said = croupier("add", "n0", "--feature", "prise=3")
    assert code == 0
    assert "prise: kept, and not used: app.toml does not declare it under [arm]; did you mean price?" in said
    assert ARMS[0].arm_id in arms(shop)[1]
