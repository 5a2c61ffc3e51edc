"""What `init` takes a column for, and the sentence that says so."""

import tomllib

import polars as pl
import pytest

from croupier.features.exchange.guess import guess_app
from croupier.features.exchange.guess_feature import guess_feature
from croupier.features.exchange.sources import open_source
from croupier.features.spec import AppSpec


def spec_lines(found):
    return {name: lines[0].split('"')[1] for name, lines in found.items()}


@pytest.mark.parametrize(("values", "kinds", "words"), [
    (["27", 28, "29.5", None] * 10, {"x": "numeric"}, "20 of 30 were written as text"),
    (["12.50", "n/a", "8.00", ""] * 10, {"x": "numeric"}, "numbers from 8 to 12.5"),
    (["0123", "0456", "0789"] * 10, {"x": "categorical"}, "3 categories"),  # names of digits, not numbers
    (["inf", "1_0", "٣x"] * 10, {"x": "categorical"}, "3 categories"),
    ([[1, 2], [3.5, 4], [], None], {"x": "embedding"}, "an embedding"),
    ([[1, 2], [3]] * 5, {}, "left out: lists of 1 to 2 numbers"),
    ([[[1], [2]]] * 5, {}, "lists of neither numbers nor words"),
    ([["red"], ["blue", "red"], ["blue"]], {"x": "tags"}, "lists of words (tags)"),
    (["x" * 2000, "y"] * 5, {}, "texts of up to 2000 characters"), (["1e999", "2"] * 5, {"x": "categorical"}, "2 cat"),
    ([["red"]] * 5, {}, "left out: lists of words, always red"), ([["y", "x"], ["y"]], {"x": "tags"}, "2 words"),
    ([["w"] * 300, ["v"]], {}, "up to 300 words"), ([True, False, None] * 5, {"x": "categorical"}, "2 categories"),
    ([f"the {i} th of many long tales" for i in range(40)], {}, "free text, 7 words on average"),
    ([[1], "a"], {}, "left out: 1 lists among 2 values"), ([{"a": 1}, "b"], {}, "left out: nested values"),
    ([[], [], None], {}, "left out: no value in the sample"), ([None], {}, "left out: no value in the sample"),
    ([f"name {i % 896}" for i in range(900)], {}, "look like an identifier"),
])  # fmt: skip
def test_kinds(values, kinds, words):
    found, note = guess_feature("x", values)
    assert spec_lines(found) == kinds
    assert words in note


@pytest.mark.parametrize("name", ["customer_id", "orderNo", "order no", "uuid", "accountId"])
def test_numbers_that_are_names_are_left_out(name):
    assert guess_feature(name, [100 + i % 896 for i in range(900)])[0] == {}
    assert guess_feature("paid", [100 + i % 896 for i in range(900)])[0] != {}


def test_every_guess_is_read_back(tmp_path):
    n = 40
    pl.DataFrame(
        {
            "arm": ["a", "b"] * (n // 2),
            "p": [0.5] * n,
            "reward": [1.0, None] * (n // 2),
            "tags": [["ä b", 'q"'], ["x.y"]] * (n // 2),
            "rag": [[1.0], [1.0, 2.0]] * (n // 2),
            "device": [{"os": "ä", "size": {"px": 3.5}}, {"os": "b", "size": {"px": 4.25}}] * (n // 2),
            "age": ["1", "2.5"] * (n // 2),
            "vec": [[1.0, 2.0], None] * (n // 2),
            "none": pl.Series([None] * n, dtype=pl.String),
        }
    ).write_parquet(tmp_path / "log.parquet")
    guess = guess_app(open_source(tmp_path / "log.parquet", unit_key="k"))
    spec = AppSpec.model_validate(tomllib.loads(guess.toml))
    assert {k: f.type for k, f in spec.context.items()} == {
        "tags": "tags",
        "device.os": "categorical",
        "device.size.px": "numeric",
        "age": "numeric",
        "vec": "embedding",
    }
    assert [name for name, f in spec.context.items() if f.strings] == ["age"]


def test_init_says_which_column_is_the_unit(tmp_path):
    pl.DataFrame(
        {"arm": ["a", "b"] * 20, "p": [0.5] * 40, "reward": [1] * 40, "who": [f"n{i}" for i in range(40)]}
    ).write_csv(tmp_path / "log.csv")
    source = open_source(tmp_path / "log.csv", unit_key="k")
    assert any("say --column unit_id=NAME" in note for note in source.notes)
    assert any("say --column unit_id=who" in note for note in guess_app(source).notes)
    named = open_source(tmp_path / "log.csv", unit_key="k", columns={"unit_id": "who"})
    assert "column who is the unit_id" in named.notes
