"""How often the gate is wrong, on a population of known truth: promised, and kept. Sizes by marker; the whole table is
`croupier simulate gate --grid` (models/GATE.md)."""

from pathlib import Path

import numpy as np
import pytest

from croupier.models.simulation.gate_simulation import RULES, banditdb, draw_log, ours, rates, sagemaker, simulate
from croupier.models.simulation.populations import Population, drifting, from_classes, from_reels, load, mix

SIZES = [
    pytest.param(30, id="30 logs", marks=pytest.mark.slow),
    pytest.param(500, id="500 logs", marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
]


def digits(lift, **more) -> Population:
    x, y, name = load(None)
    return from_classes(x, y, name=name, lift=lift, models=2, **more)


@pytest.mark.parametrize("runs", SIZES)
def test_a_null_candidate_stays_out(runs):
    """≤ 2 % at one look, ≤ 5 % at twenty; a plain normal bound at twenty looks is far above, on the same logs."""
    for explored in (1.0, 0.1):
        null = digits(0.0, explored=explored)
        assert abs(null.lift) < 1e-12
        once, often = (simulate(null, runs=runs, rows=20_000, looks=looks) for looks in (1, 20))
        assert once["promoted_rate"] <= 0.02
        assert often["promoted_rate"] <= 0.05
        assert often["rules"]["clt"]["promoted_rate"] > 0.08
        assert often["rules"]["sagemaker"]["promoted_rate"] > 0.25


@pytest.mark.parametrize("runs", SIZES)
@pytest.mark.parametrize("lift", [0.14, 0.27])
def test_a_better_candidate_gets_in(runs, lift):
    """≥ 75 % at 20,000 rows, at one look and at twenty, and never rejected."""
    for looks in (1, 20):
        found = simulate(digits(lift), runs=runs, rows=20_000, looks=looks)
        assert found["promoted_rate"] >= 0.75
        assert found["rejected_rate"] == 0.0
        assert found["promoted_rate"] + found["not_enough_rate"] == pytest.approx(1.0)


def test_rates_add_up_and_are_reproducible():
    a, b = (simulate(digits(0.1), runs=5, rows=2000, looks=4, seed=3) for _ in range(2))
    assert a == b
    for rule in (a, *a["rules"].values()):
        assert rule["promoted_rate"] + rule["rejected_rate"] + rule["not_enough_rate"] == pytest.approx(1.0)
    assert set(a["rules"]) == set(RULES) - {"ours"}
    assert rates([("promote", 10), ("reject", 30), ("not enough evidence", 99)])["median_rows"] == 20


def test_populations_have_the_value_they_claim():
    population = digits(0.2)
    assert population.lift == pytest.approx(0.2, abs=1e-12)
    assert population.candidate.sum(axis=1) == pytest.approx(np.ones(len(population.truth)))
    reels = from_reels(lift=0.1, visits=400)
    assert reels.lift == pytest.approx(0.1, abs=1e-9)
    log = draw_log(population, 40_000, np.random.default_rng(0))
    weighted = (log.candidate.weight * log.candidate.reward).mean()
    assert weighted == pytest.approx(population.value(population.candidate), rel=0.05)
    with pytest.raises(ValueError, match="ask for a smaller lift"):
        mix(population.candidate, population.champion, population.truth, 2.0)


def test_a_drifting_log_keeps_its_lift_and_changes_by_the_day():
    population = drifting(digits(0.0))
    lifts = []
    for seed in range(8):
        log = draw_log(population, 10_000, np.random.default_rng(seed))
        gain = (log.candidate.weight - log.champion.weight) * log.candidate.reward
        lifts.append([gain[:5000].mean(), gain[5000:].mean()])
    early, late = np.mean(lifts, axis=0)
    assert abs(early + late) < 0.05
    assert late - early > 0.03


def test_the_compared_rules_do_what_is_said_of_them():
    log = draw_log(digits(0.27), 3000, np.random.default_rng(0))
    assert sagemaker(log, [3000])[1] == 75
    assert banditdb(log, [1000, 2000, 3000]) == ("promote", 3000)
    assert banditdb(draw_log(digits(0.0), 3000, np.random.default_rng(0)), [1000, 2000])[0] != "promote"
    assert ours(log, [500])[0] == "not enough evidence"  # fewer rows than GateSpec.min_rows, whatever they say


def test_data_of_ones_own(tmp_path: Path):
    np.savez(tmp_path / "mine.npz", X=np.ones((24, 2)), y=np.array(["no", "yes", "yes"] * 8))
    x, y, name = load(tmp_path / "mine.npz")
    assert (x.shape, y.tolist(), name) == ((24, 2), [0, 1, 1] * 8, "mine")
    for words, x, y in (
        ("rows ≥ 20", np.zeros((3, 2)), np.arange(3)),
        ("missing, infinite or no numbers", np.full((24, 2), np.nan), np.arange(24)),
        ("found the one class 7", np.zeros((24, 2)), np.full(24, 7)),
        (r"y \(10,\)", np.zeros((24, 2)), np.arange(10)),
    ):
        np.savez(tmp_path / "bad.npz", X=x, y=y)
        with pytest.raises(ValueError, match=words):
            load(tmp_path / "bad.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(ValueError, match="found no arrays"):
        load(tmp_path / "text.npz")
    with pytest.raises(ValueError, match="explored: found 3"):
        digits(0.0, explored=3.0)
    np.savez(tmp_path / "bad.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="expected X and y"):
        load(tmp_path / "bad.npz")
    with pytest.raises(ValueError, match="found no file"):
        load(tmp_path / "none.npz")
