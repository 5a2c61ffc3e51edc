"""The page says what the verdict says, asks no server for anything, and survives awkward names and numbers."""

import re

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.features.spec import GateSpec
from croupier.models.baselines import Uniform
from croupier.models.exploration import with_floor
from croupier.models.gate.evaluation import Asked, evaluate
from croupier.models.gate.gate_page import headline, render, write_report
from tests.page_words import unscripted


class Fixed:
    name = "fixed"

    def __init__(self, arm):
        self.arm = arm

    def pmf(self, batch):
        return with_floor((batch.arm == self.arm).astype(float), batch.mask, 0.3)


def judged(copies=1):
    """4,000 rounds of as many units, each `copies` times."""
    n, rng = 4000, np.random.default_rng(0)
    chosen = rng.integers(0, 3, n)
    batch = Batch(
        context=rng.normal(size=(n, 2)).astype(np.float32),
        arm=np.tile(np.arange(3), (n, 1)),
        mask=np.ones((n, 3), bool),
        pair=np.zeros((n, 3, 0), np.float32),
        catalogue=Catalogue(ids=("a<b>", "b", "c"), features=np.eye(3, dtype=np.float32), digest=""),
    )
    log = Interactions(
        batch=batch,
        chosen=chosen,
        reward=(rng.random(n) < np.array([0.1, 0.3, 0.5])[chosen]).astype(float),
        propensity=np.full(n, 1 / 3),
        pmf=np.full((n, 3), 1 / 3),
        at=np.arange(n) * 10**9,
        unit=np.arange(n, dtype=np.uint64),
        weight=np.ones(n),
    )
    policies = {"uniform": Uniform(), "best": Fixed(2), "<worst>": Fixed(0)}
    segments = {"country": np.array(["AT", "BR"])[chosen % 2]}
    rows = np.repeat(np.arange(n), copies)
    segments = {name: values[rows] for name, values in segments.items()}
    guardrails = {"calm": rng.normal(size=n)[rows]}
    return evaluate(
        policies,
        log[rows],
        champion="uniform",
        floor=0.02,
        gate=GateSpec(),
        segments=segments,
        guardrails=guardrails,
        asked=Asked(margins={"calm": 0.5}),
    ).to_dict()


@pytest.fixture(scope="module")
def body():
    return judged()


def test_the_page_shows_what_was_decided(body):
    page = render(body)
    assert "Promoted: best." in page
    assert re.findall(r'<span class="badge (\w+)">\s*([^<\n]+)', page) == [("good", "promote"), ("bad", "reject")]
    best = body["policies"]["best"]
    assert f"{best['lift']['value']:.4g} [{best['lift']['lower']:.4g}, {best['lift']['upper']:.4g}]" in page
    assert page.count('class="good">✔ yes') + page.count('class="bad">✘ no') == 2 * len(best["conditions"])
    assert "By country" in page


def test_the_page_says_what_rounds_of_the_same_units_are_worth(body):
    copied = judged(copies=4)
    best, alone = copied["policies"]["best"], body["policies"]["best"]
    assert best["details"]["design_effect"] == pytest.approx(4, rel=0.02)  # its reward model is fitted on copies too
    assert best["lift"]["value"] == pytest.approx(alone["lift"]["value"], rel=0.05)
    for name in ("lift_lower", "second_estimator_upper"):  # ends as far from the lift as without the copies
        ends = [next(c["value"] for c in p["conditions"] if c["name"] == name) for p in (best, alone)]
        assert ends[0] - best["lift"]["value"] == pytest.approx(ends[1] - alone["lift"]["value"], rel=0.2)
    calm = [next(c["value"] for c in p["conditions"] if c["name"] == "guardrail:calm") for p in (best, alone)]
    assert calm[0] == pytest.approx(calm[1], rel=0.2)
    assert "of 4,000 units" in render(copied)
    assert "of 4,000 units" in render(body)
    worth = re.search(r"these rounds say what\s+([\d,]+) would of units that come once", render(copied))
    assert int(worth[1].replace(",", "")) == pytest.approx(4000, rel=0.02)
    assert "of units that come once" not in render(body)


def test_nothing_is_asked_of_a_server_and_names_are_escaped(body):
    page = unscripted(render(body))
    assert not re.search(r"https?://|<script|@import|url\(", page)
    assert "<worst>" not in page
    assert "&lt;worst&gt;" in page
    assert "a&lt;b&gt;" in page


def test_unbounded_numbers_show_as_a_dash(body, tmp_path):
    silent = body | {"policies": {k: p | {"lower": None} for k, p in body["policies"].items()}}
    for p in silent["policies"].values():
        p["intervals"] = {e: {"value": 0.0, "lower": None, "upper": None} for e in p["intervals"]}
    text = write_report({"evaluation": silent}, tmp_path / "page.html").read_text()
    assert "0 [–, –]" in text


def test_headline_says_how_many_more_rounds():
    policy = {"lift": {"value": 0.01, "lower": -0.02}, "verdict": "not enough evidence", "rows_needed": 12_345,
              "conditions": [{"name": "ess", "passed": False}]}  # fmt: skip
    assert "(ess). About 12,345 more rounds" in headline("x", policy, "uniform")
    assert "for an answer" in headline("x", policy, "uniform", value=0.1, per_day=3000)
    assert "about 4 days at this log's traffic" in headline("x", policy, "uniform", value=0.1, per_day=3000)
    assert "0.01 (10.0%) more" in headline("x", policy, "uniform", value=0.1)
    assert "More rounds will not help" in headline("x", policy | {"rows_needed": None}, "uniform")


def test_another_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="found no champion, policies, rows"):
        write_report({"a": 1}, tmp_path / "x.html")
