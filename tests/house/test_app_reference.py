"""The reference of app.toml is generated, whole and true; the starter file loads and means the defaults."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from croupier.features.reference import page, starter, toml
from croupier.features.reference.keys import tables
from croupier.features.spec import AppSpec, KindSpec

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_generator_says():
    committed = (ROOT / "features" / "APP_TOML.md").read_text(encoding="utf-8")
    assert committed == page.markdown(), "run: .venv/bin/python -m croupier.features.reference"


def test_a_key_is_there_with_its_unit_default_and_meaning():
    text = page.markdown()
    assert (
        "| `window_seconds` | number > 0 | seconds | `3600.0` | how long after a decision a reward still counts |"
        in text
    )
    assert '| `every` | duration such as "90s", "30m", "6h" or "1d" |  | `"6h"` | time between trainings' in text
    assert "| `stages` | list of numbers |  | `[0.05, 0.2, 0.5, 1.0]` |" in text


def test_every_key_of_the_models_is_in_it():
    found = {f"{table.path}.{key.name}" for table in tables() for key in table.keys}

    def walk(schema, path, defs):
        for name, part in schema.get("properties", {}).items():
            inner = [p for p in (part, part.get("additionalProperties"), part.get("items")) if isinstance(p, dict)]
            refs = [p["$ref"] for p in inner if "$ref" in p]
            if refs:
                yield from walk(defs[refs[0].rpartition("/")[2]], f"{path}{name}.", defs)
            else:
                yield path + name

    schema = AppSpec.model_json_schema()
    assert found == set(walk(schema, "", schema["$defs"]))


def test_a_key_that_nobody_described_is_named():
    class Careless(BaseModel):
        described: float = Field(1.0, description="fine")
        forgotten: float = 2.0

    class App(BaseModel):
        part: Careless = Field(Careless(), description="a table")

    with pytest.raises(ValueError, match=r"^Careless.forgotten: found no description, expected Field"):
        list(tables(App))


def test_the_starter_loads_and_means_the_defaults(tmp_path):
    (tmp_path / "app.toml").write_text(starter.text("shop"))
    assert AppSpec.read(tmp_path / "app.toml") == AppSpec()


def test_each_commented_line_of_it_is_valid_and_says_the_default(tmp_path):
    text = re.sub(r"^# (?=[\[a-z])", "", starter.text("shop").partition("\n\n")[2], flags=re.M)
    found = tomllib.loads(text)
    whole = AppSpec.model_validate(found)
    plain = AppSpec()
    for part in ("record", "quality", "policies", "training", "gate", "refresh", "rollout"):
        assert getattr(whole, part) == getattr(plain, part)
        assert set(found[part]) == set(type(getattr(plain, part)).model_fields)
    assert whole.reward == plain.reward.model_copy(
        update={"kinds": {"click": KindSpec(clip=(0.0, 100.0), range=(0.0, 100.0))}}
    )
    assert {name: feature.type for name, feature in whole.context.items()} == {"device": "categorical"}
    assert whole.interactions[0].a == "context.device"


@pytest.mark.parametrize("value", [True, 3, 0.1, float("inf"), 'a "b"\n', (1.0, 2.0), [], {}, {"a b": {"c": 1}}])
def test_values_survive_as_toml(value):
    back = tomllib.loads(f"x = {toml.value(value)}")["x"]
    assert back == (list(value) if isinstance(value, tuple) else value)
    assert type(back) is type(value) or isinstance(value, tuple)
