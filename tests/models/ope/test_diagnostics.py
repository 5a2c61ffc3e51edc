"""What explains a verdict sums to it: parts by the arms' age, the lift as it grew, groups of like arms."""

import re

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue, Interactions
from croupier.features.quality.pages import plane
from croupier.features.spec import GateSpec
from croupier.features.utc import DAY
from croupier.models.baselines import Uniform
from croupier.models.exploration import with_floor
from croupier.models.gate.evaluation import evaluate
from croupier.models.gate.gate_page import curve
from croupier.models.ope import diagnostics
from croupier.models.ope.diagnostics import arm_groups, by_age

N, K = 3000, 6
BORN = np.array([0, 0, 50 * DAY, 50 * DAY, 99 * DAY, 99 * DAY])


class Prefers:
    name = "prefers"

    def __init__(self, arm):
        self.arm = arm

    def pmf(self, batch):
        return with_floor((batch.arm == self.arm).astype(float), batch.mask, 0.4)


def catalogue(features):
    return Catalogue(ids=tuple("abcdef"[: len(features)]), features=np.asarray(features, np.float32), digest="")


@pytest.fixture(scope="module")
def log():
    """A uniform log of one hour on day 100; later arms earn more."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, K, N)
    batch = Batch(
        context=rng.normal(size=(N, 2)).astype(np.float32),
        arm=np.tile(np.arange(K), (N, 1)),
        mask=np.ones((N, K), bool),
        pair=np.zeros((N, K, 0), np.float32),
        catalogue=catalogue(np.eye(K)),
    )
    return Interactions(
        batch=batch,
        chosen=chosen,
        reward=(rng.random(N) < 0.1 + 0.1 * chosen).astype(float),
        propensity=np.full(N, 1 / K),
        pmf=np.full((N, K), 1 / K),
        at=99 * DAY + 10**9 + np.arange(N) * 10**6,
        unit=np.arange(N, dtype=np.uint64),
        weight=np.ones(N),
    )


@pytest.fixture(scope="module")
def judged(log):
    policies = {"uniform": Uniform(), "new": Prefers(5)}
    return evaluate(policies, log, champion="uniform", floor=0.0, gate=GateSpec(), born=BORN).policies["new"]


def test_parts_by_age_sum_to_the_lift(judged):
    (parts,) = [rows for name, rows in judged.details["segments"].items() if name.startswith("age")]
    assert [p["value"] for p in parts] == ["arms under a day old", "older arms"]
    assert sum(p["lift"] for p in parts) == pytest.approx(judged.lift, rel=1e-6)  # q̂ is in single precision
    assert parts[0]["lift"] > 0 > parts[1]["lift"]  # it moves decisions from the old arms to a new one
    assert sum(p["rounds"] for p in parts) == N


def test_ages_have_their_edges_where_they_say(log):
    gap = np.zeros((N, K))
    born = log.at[0] - np.array([1, 2, 7, 8, 30, 31]) * DAY + 2 * N * 10**6  # a little younger than whole days
    found = by_age(log, (gap, gap), np.zeros((N, K)), born)
    shown = np.bincount(log.chosen, minlength=K)
    assert [p["rounds"] for p in found] == [shown[0], shown[1] + shown[2], shown[3] + shown[4], shown[5]]
    assert {type(value) for row in found for value in row.values()} == {str, float}, "it is written as JSON"
    assert by_age(log, (gap, gap), np.zeros((N, K)), np.zeros(K, np.int64)) == []  # one age says nothing


def test_the_lift_as_it_grew_ends_where_the_verdict_is(judged):
    rows = judged.details["curve"]
    assert [r["rows"] for r in rows] == sorted(r["rows"] for r in rows)
    assert rows[-1] == {
        "rows": N,
        "value": pytest.approx(judged.lift),
        "lower": pytest.approx(judged.lift_bounds.lower),
        "upper": pytest.approx(judged.lift_bounds.upper),
    }
    assert rows[-1]["upper"] - rows[-1]["lower"] < rows[4]["upper"] - rows[4]["lower"]


def test_a_curve_stays_in_its_box_and_bears_unbounded_ends():
    rows = [
        {"rows": 10.0 * k, "value": 0.1, "lower": None if k < 3 else 0.1 - 1 / k, "upper": 5.0 / k}
        for k in range(1, 10)
    ]
    drawn = curve("mine", rows)
    (band,) = re.findall(r'<polygon points="([^"]+)"', drawn)
    places = np.array([list(map(float, p.split(","))) for p in band.split()])
    assert len(places) == 2 * len(rows)
    assert (places.min(axis=0) >= (plane.LEFT, plane.TOP)).all()
    assert (places.max(axis=0) <= (plane.WIDTH, plane.HEIGHT)).all()
    assert "Lift of mine as rounds came in; after 90 rounds 0.1, from -0.01111 to 0.5556" in drawn
    assert curve("mine", rows[:1]) == ""


def test_like_arms_are_one_group_and_mere_names_are_none():
    groups = arm_groups(catalogue([[0, 0], [0.1, 0], [0, 0.1], [9, 9], [9, 9.1], [9.1, 9]]))
    assert len(set(groups[:3])) == len(set(groups[3:])) == 1
    assert groups[0] != groups[3]
    assert arm_groups(catalogue(np.eye(6))) is None
    assert arm_groups(catalogue(np.zeros((6, 0)))) is None


def test_mips_is_reported_where_arms_are_alike(log):
    from dataclasses import replace

    alike = replace(log, batch=replace(log.batch, catalogue=catalogue([[0], [0], [0], [1], [1], [1]])))
    policies = {"uniform": Uniform(), "new": Prefers(5)}
    found = evaluate(policies, alike, champion="uniform", floor=0.0, gate=GateSpec()).policies["new"].intervals
    likeness = (0.6 + 0.2) / 0.5, (0.2 / 0.5)  # of the groups: 0.6 on arm 5, 0.4 shared by all six
    weight = np.where(log.chosen >= 3, likeness[0], likeness[1])
    assert found["mips"]["value"] == pytest.approx((weight * log.reward).mean())
    assert set(found) == set(diagnostics.REPORTED) | {"mips"}
